"""Kernels of a GPU: int8 in words of four bytes, and what schedules every family there."""
