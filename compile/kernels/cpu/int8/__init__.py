"""Kernels of int8 whose weights lie as a core's dot product instruction reads them, NHWC."""
