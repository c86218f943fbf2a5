"""The converters of PyTorch's operators that put numbers into another order: a reshape, a
permutation and a reshape each, NCHW."""

from __future__ import annotations

from typing import Any

from torch import fx
from tvm import relax


def channel_shuffle(node: fx.Node, importer: Any) -> relax.Var:
    """``channel_shuffle(x, groups)``: channel c of group g becomes channel c * groups + g."""
    data, groups = _arguments(node)
    x = importer.env[data]
    batch, channels, height, width = (int(extent) for extent in x.ty.shape)
    split = (batch, groups, channels // groups, height, width)
    return _rearranged(x, importer, split, [0, 2, 1, 3, 4], (batch, channels, height, width))


def pixel_unshuffle(node: fx.Node, importer: Any) -> relax.Var:
    """``pixel_unshuffle(x, factor)``: row i and column j of each block of pixels become channel
    (c * factor + i) * factor + j."""
    data, factor = _arguments(node)
    x = importer.env[data]
    batch, channels, height, width = (int(extent) for extent in x.ty.shape)
    rows, columns = height // factor, width // factor
    blocks = (batch, channels, rows, factor, columns, factor)
    shape = (batch, channels * factor**2, rows, columns)
    return _rearranged(x, importer, blocks, [0, 1, 3, 5, 2, 4], shape)


def _arguments(node: fx.Node) -> tuple[Any, ...]:
    """The arguments, whose types the operator's schema says and FX's do not."""
    return node.args


def _rearranged(
    x: relax.Var,
    importer: Any,
    blocks: tuple[int, ...],
    axes: list[int],
    shape: tuple[int, ...],
) -> relax.Var:
    emit = importer.block_builder.emit
    permuted = emit(relax.op.permute_dims(emit(relax.op.reshape(x, blocks)), axes))
    return emit(relax.op.reshape(permuted, shape))


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
REARRANGING = {
    "channel_shuffle.default": channel_shuffle,
    "pixel_unshuffle.default": pixel_unshuffle,
}
