"""Benchmarks: every figure that the project states has a command here."""
