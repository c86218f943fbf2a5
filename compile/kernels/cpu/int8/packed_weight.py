"""The layout of weights that a dot product instruction reads.

``[O/lanes, KH, KW, I/group, lanes, group]``, one vector after the other, zeros behind the last
channels. Packed at compile time; a kernel loads a vector of it as it stands.

Where several steps are taken together, ``[KH, KW, I/(steps*group), O/lanes, steps, lanes, group]``:
neighbours in memory are needed one after the other. In the other layout the neighbour of a vector's
weights is its next step, and LLVM loads both by one instruction long before it is needed, for which
there are no registers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tvm import te, tirx

from compile.kernels.cpu.instructions.dot_product import DotProduct


def packed_shape(
    channels_out: int, kernel: tuple[int, int], channels_in: int, dot: DotProduct
) -> tuple[int, ...]:
    """Shape of the packed weights."""
    lanes = dot.lanes_for(channels_out)
    vectors, groups = -(-channels_out // lanes), -(-channels_in // dot.group)
    if not dot.weights_by_step:
        return vectors, *kernel, groups, lanes, dot.group
    steps = _steps_beside(dot, groups)
    return *kernel, groups // steps, vectors, steps, lanes, dot.group


def _steps_beside(dot: DotProduct, groups: int) -> int:
    """Steps of a vector that lie beside each other in the second layout, of ``groups``."""
    assert dot.steps_together is not None
    return dot.steps_together if groups % dot.steps_together == 0 else 1


def packed_vectors(weight: te.Tensor, dot: DotProduct) -> int:
    """How many vectors of output channels a packed ``weight`` has."""
    return int(weight.shape[-4 if dot.weights_by_step else -6])


def packed_at(
    weight: te.Tensor,
    dot: DotProduct,
    channel: tuple[tirx.Expr, tirx.Expr],
    tap: tuple[tirx.Expr | int, tirx.Expr | int],
    k: tirx.Expr,
    first: tirx.Expr | int = 0,
    of: tuple[tirx.Expr, ...] = (),
) -> tirx.Expr:
    """One number of a packed ``weight``.

    Args:
        channel: of the output, its vector and its lane.
        tap: row and column of the window.
        k: channel of the input, behind those of ``first`` whole groups; where steps lie beside
            each other, ``first`` is a multiple of them.
        of: which of several that are packed side by side.
    """
    vector, lane = channel
    if not dot.weights_by_step:
        return weight[(*of, vector, *tap, first + k // dot.group, lane, k % dot.group)]
    steps = int(weight.shape[-3])
    unit = first // steps + k // (steps * dot.group)
    return weight[(*of, *tap, unit, vector, k // dot.group % steps, lane, k % dot.group)]


def pack_for_dot_product(weight: NDArray[np.signedinteger], dot: DotProduct) -> NDArray:
    """OIHW ``weight`` in the layout above and the instruction's type."""
    channels_out, channels_in, rows, columns = weight.shape
    lanes, group = dot.lanes_for(channels_out), dot.group
    padded = np.pad(weight, [(0, -channels_out % lanes), (0, -channels_in % group), (0, 0), (0, 0)])
    groups = padded.shape[1] // group
    if not dot.weights_by_step:
        split = padded.reshape(-1, lanes, groups, group, rows, columns)
        order: tuple[int, ...] = (0, 4, 5, 2, 1, 3)
    else:
        steps = _steps_beside(dot, groups)
        split = padded.reshape(-1, lanes, groups // steps, steps, group, rows, columns)
        order = (5, 6, 2, 0, 3, 1, 4)
    return np.ascontiguousarray(split.transpose(order)).astype(dot.weight_dtype)
