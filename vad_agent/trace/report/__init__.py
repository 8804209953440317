"""Recorded calls: what a person reads afterwards."""
