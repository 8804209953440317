"""What `vad-agent pbx` costs, and how late its decisions are, by the number of calls."""
