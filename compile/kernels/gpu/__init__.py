"""Kernels of a GPU: packed int8x4 for its dot product, and what schedules every family there."""
