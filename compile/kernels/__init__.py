"""Kernels of the compiler: for each family first the compute, then its default schedule."""
