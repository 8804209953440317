"""Audio samples as bytes: levels, files, devices, echo cancellation."""
