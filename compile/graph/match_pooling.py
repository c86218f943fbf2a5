"""Recognize a max pooling. Not a pass itself."""

from __future__ import annotations

from tvm import relax

from compile.graph.quantized_graph import NotLowerable
from compile.kernels.common.window import Window

#: Each number of a window is a load of its own in the kernel's text.
_MOST_TAPS = 64


def match_pooling(call: relax.Call) -> Window:
    """The windows of a ``call`` of relax.nn.max_pool2d in NHWC, padded with minus infinity.

    Raises:
        NotLowerable: they are dilated or too large, or one more is begun at the end.
    """
    attrs = call.attrs
    rows, columns = (int(extent) for extent in attrs.pool_size)
    if [int(step) for step in attrs.dilation] != [1, 1]:
        raise NotLowerable("the max pooling is dilated")
    if bool(attrs.ceil_mode):
        raise NotLowerable("the max pooling rounds its size up (ceil_mode)")
    if rows * columns > _MOST_TAPS:
        raise NotLowerable(f"the max pooling has windows of {rows}x{columns}")
    top, left, bottom, right = (int(extent) for extent in attrs.padding)
    down, across = (int(step) for step in attrs.strides)
    return Window((rows, columns), (down, across), (top, left, bottom, right))
