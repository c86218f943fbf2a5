"""Recognize a border around a feature map. Not a pass itself."""

from __future__ import annotations

import math

from tvm import relax

from compile.graph.quantized_graph import NotLowerable
from compile.kernels.common.border import MODES, Border


def match_border(call: relax.Call) -> Border:
    """What a ``call`` of relax.nn.pad puts around the rows and columns of an NHWC feature map.

    Raises:
        NotLowerable: it is of another mode or of other axes, or its number is not finite.
    """
    mode = str(call.attrs.pad_mode)
    widths = [int(width) for width in call.attrs.pad_width]
    if mode == "constant" and max(widths) <= 0:
        mode = "replicate"  # It is cut off, and nothing is put around.
    if mode not in MODES:
        raise NotLowerable(f"padding of mode {mode} has no kernel")
    if len(widths) != 8 or any(widths[:2] + widths[6:]):
        raise NotLowerable("padding is lowered for rows and columns only")
    top, bottom, left, right = widths[2:6]
    fill = float(call.attrs.pad_value) if mode == "constant" else 0.0
    if not math.isfinite(fill):
        raise NotLowerable(f"a border of {fill} has no kernel")
    return Border((top, left, bottom, right), mode, fill)
