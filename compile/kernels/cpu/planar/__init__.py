"""Kernels of the head whose vectors are pixels of a row, not channels: [1,H,C,W]."""
