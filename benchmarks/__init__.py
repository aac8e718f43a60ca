"""Benchmarks: each a ratio in one run against a baseline. From the repository root: python -m benchmarks.NAME."""
