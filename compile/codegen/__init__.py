"""From scheduled kernels to files: OpenCL text and shared libraries."""
