"""Tensors that are read as if they were joined along their channels, and the joined one were made.

Such a part may be a tensor of its own, or one whose pixels are repeated, or become blocks of pixels
of fewer channels: only the place that is read differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import te, tirx


@dataclass(frozen=True)
class JoinedPart:
    """Some channels of a joined feature map.

    Attributes:
        channels: how many of the joined ones.
        factor: rows and columns of the block of pixels that one of the tensor's becomes.
        shuffled: whether those pixels are from channels of their own, (row * factor + column) *
            channels and on; otherwise they are the same.
    """

    channels: int
    factor: int = 1
    shuffled: bool = False

    def shape(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Of the tensor, for a joined feature map of ``height`` x ``width``."""
        depth = self.channels * (self.factor**2 if self.shuffled else 1)
        return 1, height // self.factor, width // self.factor, depth

    def element(self, tensor: te.Tensor, y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        """The number at (row, column, channel of this part) of the joined feature map."""
        factor = self.factor
        if self.shuffled:
            k = k + (y % factor * factor + x % factor) * self.channels
        read = tensor[0, y // factor, x // factor, k] if factor > 1 else tensor[0, y, x, k]
        # An expression, which indexing alone is not.
        return tirx.Cast(str(tensor.dtype), read.asobject())


def joined_element(
    tensors: Sequence[te.Tensor],
    parts: Sequence[JoinedPart],
    y: tirx.Expr,
    x: tirx.Expr,
    k: tirx.Expr,
) -> tirx.Expr:
    """The number at (row, column, channel) of what ``tensors``, one for each of ``parts``, are
    joined to. A schedule that cuts the loop over channels where they join leaves no choice."""
    first = sum(part.channels for part in parts)
    result: tirx.Expr | None = None
    for tensor, part in reversed(list(zip(tensors, parts, strict=True))):
        end, first = first, first - part.channels
        value = part.element(tensor, y, x, k - first if first else k)
        result = value if result is None else tirx.if_then_else(k < end, value, result)
    assert result is not None
    return result
