"""Recognize depth to space (pixel shuffle), which NHWC has no op for. Not a pass itself.

It is a reshape, a permutation and a reshape, in one of two orders of the channels. In PyTorch's the
numbers of one channel for all pixels of a block are neighbours; in the other one the channels of a
pixel are, which are moved together.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import relax

from compile.graph.constants import Definitions
from compile.graph.quantized_graph import NotLowerable, op_name

#: [N,H,W,C,row,column] to [N,H,row,W,column,C]: PyTorch's order.
PIXELS_TOGETHER = (0, 1, 4, 2, 5, 3)
#: [N,H,W,row,column,C] to [N,H,row,W,column,C].
CHANNELS_TOGETHER = (0, 1, 3, 2, 4, 5)


@dataclass(frozen=True)
class DepthToSpace:
    """``data`` [1,H,W,factor*factor*C] as [1,factor*H,factor*W,C].

    Attributes:
        data: the original expression.
        factor: rows and columns of the block that a pixel becomes.
        channels_together: the order of the channels; False for PyTorch's.
    """

    data: relax.Expr
    factor: int
    channels_together: bool


def match_depth_to_space(call: relax.Call, definitions: Definitions) -> DepthToSpace:
    """What ``call``, a reshape, is the end of.

    Raises:
        NotLowerable: it is no depth to space.
    """
    rows = definitions.get(call.args[0])
    if rows is None or op_name(rows) != "permute_dims":
        raise NotLowerable("reshape is lowered at the end of a pixel shuffle only")
    blocks = definitions.get(rows.args[0])
    if blocks is None or op_name(blocks) != "reshape":
        raise NotLowerable("reshape is lowered at the end of a pixel shuffle only")
    axes = tuple(int(axis) for axis in rows.attrs.axes)
    data = blocks.args[0]
    shape, result = ([int(extent) for extent in expr.ty.shape] for expr in (data, call))
    if axes not in (PIXELS_TOGETHER, CHANNELS_TOGETHER) or len(shape) != 4 or len(result) != 4:
        raise NotLowerable("reshape is lowered at the end of a pixel shuffle only")
    factor = result[1] // shape[1]
    batch, height, width, depth = shape
    if not factor or result != [batch, height * factor, width * factor, depth // factor**2]:
        raise NotLowerable("reshape is lowered at the end of a shuffle of square blocks only")
    return DepthToSpace(data, factor, axes == CHANNELS_TOGETHER)
