"""Kinds of kernels by names that ours and LiteRT's have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Our kernel families (compile/kernels/) and XNNPACK's operators, by common names.
_FAMILIES = {
    "packed_pointwise": "1x1 convolution",
    "packed_concat_pointwise": "1x1 convolution",
    "matrix_pointwise": "1x1 convolution",
    "inverted_residual": "inverted residual",
    "packed_conv": "3x3 convolution",
    "pointwise": "1x1 convolution",
    "planar_pointwise": "1x1 convolution",
    "planar_conv": "3x3 convolution",
    "packed_depthwise": "depthwise convolution",
    "depthwise": "depthwise convolution",
    "spatial_conv": "3x3 convolution",
    "row_statistics": "means",
    "planar_row_statistics": "means",
    "planar_statistics": "means",
    "instance_norm_statistics": "means",
    "mean": "means",
    "move": "copies",
    "word_concat_pointwise": "1x1 convolution",
    "word_conv": "dense convolution",
    "word_depthwise": "depthwise convolution",
    "gpu_row_statistics": "means",
    "gpu_statistics": "means",
    "copy": "copies between devices",
    "normalize": "elementwise",
    "planar_normalize": "elementwise",
    "gpu_normalize": "elementwise",
    "elementwise": "elementwise",
    # What TVM's own operators were lowered to.
    "": "elementwise",
}
_XNNPACK = (
    ("Fully Connected", "pointwise"),
    ("DWConv", "depthwise"),
    ("IGEMM", "spatial_conv"),
    ("Mean|Reduce", "mean"),
    ("Copy|Reshape|Concat|Pad", "move"),
    ("Add|Clamp|Convert|Multiply|Reciprocal|Sigmoid|Square|Subtract|TanH|Unary", "elementwise"),
)


def seconds_by_family(times: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Seconds by kind of kernel, the longest first, of (family, seconds); a family that is of no
    kind is one of its own."""
    sums: dict[str, float] = {}
    for family, seconds in times:
        name = _FAMILIES.get(family, family)
        sums[name] = sums.get(name, 0) + seconds
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def litert_families(types: dict[str, float]) -> dict[str, float]:
    """LiteRT's times by the kinds that our kernels have, from XNNPACK's names for its own; an
    operator that none of ours is like keeps its name."""
    return seconds_by_family(
        (next((f for pattern, f in _XNNPACK if re.search(pattern, name)), name), seconds)
        for name, seconds in types.items()
    )
