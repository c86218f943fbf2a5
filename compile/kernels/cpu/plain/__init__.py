"""Kernels that need no dot product instruction."""
