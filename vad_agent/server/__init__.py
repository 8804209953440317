"""`vad-agent serve`: the desk of callbacks with its HTTP API."""
