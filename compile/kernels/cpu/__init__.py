"""Kernels of a processor's cores."""
