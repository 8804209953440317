"""Callbacks: taken, stored, rung three times, accounted for. `docs/callbacks.md` is the map."""
