"""The rules of a call. Pure code; time is a count of frames."""
