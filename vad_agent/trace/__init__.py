"""The trace of a call: its format, event files, the replay, compliance, the report."""
