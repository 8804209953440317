"""Attached to a headset: the loop that feeds the session, and what stands around it."""
