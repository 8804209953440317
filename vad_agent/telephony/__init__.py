"""Calls at the PBX: media protocols, call control, and the loop of each operator's calls."""
