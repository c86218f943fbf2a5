"""Kinds of kernels by names that ours and LiteRT's have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable

from compile.kernels.families import kinds_by_family

# Beside the kernel families: what bench and TVM call theirs.
_KINDS = {
    **kinds_by_family(),
    "copy": "copies between devices",
    # What TVM's own operators were lowered to.
    "": "elementwise",
}
# XNNPACK's operators by the family that is like them.
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
        name = _KINDS.get(family, family)
        sums[name] = sums.get(name, 0) + seconds
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def litert_families(types: dict[str, float]) -> dict[str, float]:
    """LiteRT's times by the kinds that our kernels have, from XNNPACK's names for its own; an
    operator that none of ours is like keeps its name."""
    return seconds_by_family(
        (next((f for pattern, f in _XNNPACK if re.search(pattern, name)), name), seconds)
        for name, seconds in types.items()
    )
