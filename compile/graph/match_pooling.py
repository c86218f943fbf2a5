"""Recognize a pooling. Not a pass itself."""

from __future__ import annotations

from tvm import relax

from compile.graph.quantized_graph import NotLowerable
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.average_pool import AveragedWindow

#: Each number of a window is a load of its own in the kernel's text.
_MOST_TAPS = 64


def match_pooling(call: relax.Call) -> Window:
    """The windows of a ``call`` of relax.nn.max_pool2d in NHWC, padded with minus infinity.

    Raises:
        NotLowerable: they are dilated or too large, or one more is begun at the end.
    """
    window = _window(call, "max pooling")
    rows, columns = window.kernel
    if rows * columns > _MOST_TAPS:
        raise NotLowerable(f"the max pooling has windows of {rows}x{columns}")
    return window


def match_average_pooling(call: relax.Call) -> AveragedWindow:
    """The windows of a ``call`` of relax.nn.avg_pool2d in NHWC.

    Raises:
        NotLowerable: they are dilated, one more is begun at the end, or one has nothing inside.
    """
    window = _window(call, "average pooling")
    (rows, columns), (top, left, bottom, right) = window.kernel, window.padding
    if max(top, bottom) >= rows or max(left, right) >= columns:
        raise NotLowerable("a window of the average pooling holds nothing but padding")
    return AveragedWindow(window, bool(call.attrs.count_include_pad))


def _window(call: relax.Call, name: str) -> Window:
    attrs = call.attrs
    rows, columns = (int(extent) for extent in attrs.pool_size)
    if [int(step) for step in attrs.dilation] != [1, 1]:
        raise NotLowerable(f"the {name} is dilated")
    if bool(attrs.ceil_mode):
        raise NotLowerable(f"the {name} rounds its size up (ceil_mode)")
    top, left, bottom, right = (int(extent) for extent in attrs.padding)
    down, across = (int(step) for step in attrs.strides)
    return Window((rows, columns), (down, across), (top, left, bottom, right))
