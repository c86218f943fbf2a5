"""The padded feature map under the window of a GPU's convolution, as an expression without
branches.

What lies beyond the edge is loaded from the nearest place in the feature map, and chosen away
(``mqnet.choose`` in :mod:`compile.kernels.gpu.dp4a`).
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import te, tirx

from compile.kernels.common.window import Window
from compile.kernels.gpu.dp4a import choose

#: (row and column of the padded feature map, channel) -> int8.
Element = Callable[[tirx.Expr, tirx.Expr, tirx.Expr], tirx.Expr]


def clamped_element(data: te.Tensor) -> Element:
    """The elements of ``data`` [1,H,W,C]; those that only fill its last packed int8x4 are its last
    channel, for their weights are zero."""
    channels = int(data.shape[3])
    return lambda y, x, c: data(0, y, x, tirx.min(c, channels - 1))


def padded_element(data: te.Tensor, window: Window, value: tirx.Expr) -> Element:
    """As :func:`clamped_element`, with ``value`` around the feature map."""
    _, height, width, _ = (int(extent) for extent in data.shape)
    top, left, bottom, right = window.padding
    within = clamped_element(data)

    def element(y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        row, column = y - top, x - left
        inside = []
        if top or bottom:
            inside += [row >= 0, row < height]
            row = tirx.max(tirx.min(row, height - 1), 0)
        if left or right:
            inside += [column >= 0, column < width]
            column = tirx.max(tirx.min(column, width - 1), 0)
        loaded = within(row, column, c)
        return choose(tirx.all(*inside), loaded, value) if inside else loaded

    return element
