"""Cost and latency of the panel."""
