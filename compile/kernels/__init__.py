"""Kernels of the compiler: for each family first the compute, then its built-in schedule."""
