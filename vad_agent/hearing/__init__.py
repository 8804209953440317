"""From samples to speech or not, and why it is quiet."""
