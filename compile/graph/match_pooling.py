"""Recognize a max pooling. Not a pass itself."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import relax

from compile.graph.quantized_graph import NotLowerable

#: Each number of a window is a load of its own in the kernel's text.
_MOST_TAPS = 64


@dataclass(frozen=True)
class Pooling:
    """Windows whose largest number is taken.

    Attributes:
        kernel: (rows, columns) of a window.
        stride: (rows, columns) between neighbouring windows.
        padding: (top, left, bottom, right) in pixels, of minus infinity.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]


def match_pooling(call: relax.Call) -> Pooling:
    """The windows of a ``call`` of relax.nn.max_pool2d in NHWC.

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
    return Pooling((rows, columns), (down, across), (top, left, bottom, right))
