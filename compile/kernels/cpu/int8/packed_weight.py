"""The layout of weights that a dot product instruction reads: one vector after the other.

``[O/lanes, KH, KW, I/group, lanes, group]``, zeros behind the last channels. Packed at compile
time; a kernel loads a vector of it as it stands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compile.kernels.cpu.instructions.dot_product import DotProduct


def packed_shape(
    channels_out: int, kernel: tuple[int, int], channels_in: int, dot: DotProduct
) -> tuple[int, int, int, int, int, int]:
    """Shape of the packed weights."""
    lanes = dot.lanes_for(channels_out)
    vectors, groups = -(-channels_out // lanes), -(-channels_in // dot.group)
    return vectors, *kernel, groups, lanes, dot.group


def pack_for_dot_product(weight: NDArray[np.signedinteger], dot: DotProduct) -> NDArray:
    """OIHW ``weight`` in the layout above and the instruction's type."""
    channels_out, channels_in, rows, columns = weight.shape
    vectors, *_, groups, lanes, group = packed_shape(
        channels_out, (rows, columns), channels_in, dot
    )
    padding = (vectors * lanes - channels_out, groups * group - channels_in)
    padded = np.pad(weight, [(0, padding[0]), (0, padding[1]), (0, 0), (0, 0)])
    split = padded.reshape(vectors, lanes, groups, group, rows, columns)
    return np.ascontiguousarray(split.transpose(0, 4, 5, 2, 1, 3)).astype(dot.weight_dtype)
