"""Synthetic calls with known truth: recordings, the recipes they are mixed from, and their builder."""
