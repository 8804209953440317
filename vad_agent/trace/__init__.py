"""The trace of a call: its format, event files, replay, compliance, the report."""
