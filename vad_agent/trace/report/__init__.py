"""The HTML report of a recorded call."""
