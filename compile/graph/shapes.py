"""Shapes of a graph's tensors as plain numbers. Not a pass itself."""

from __future__ import annotations

from tvm import relax


def tensor_shape(tensor: relax.Expr) -> tuple[int, ...]:
    """Return the extents of a ``tensor`` of which they are known."""
    return tuple(int(extent) for extent in tensor.ty.shape)


def feature_map_shape(tensor: relax.Expr) -> tuple[int, int, int, int]:
    """Return the extents of a feature map in its layout: it has four."""
    first, second, third, fourth = tensor_shape(tensor)
    return first, second, third, fourth
