"""Which kernels a device computes a convolution by."""
