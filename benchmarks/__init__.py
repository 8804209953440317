"""Benchmarks of the product's cost, compared with alternatives. See README.md."""
