"""Callbacks: accepted, stored, dialled up to three times and accounted for. See `docs/centre.md`."""
