"""Benchmarks of the live loop, on a private audio server: `make bench-live`."""
