"""Benchmarks: each a ratio in one run against a baseline. Run one from the repository root: python -m benchmarks.NAME."""
