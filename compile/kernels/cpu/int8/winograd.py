"""Winograd's F(4x4, 3x3) in whole numbers: a 3x3 convolution with a quarter of its multiplications.

A tile of 4x4 results needs 6x6 data. With the matrices of Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks" (2015), section 4.1::

    Y = A^T [(G g G^T) * (B^T d B)] A          (* number by number)

G has fractions; 24 times G has none. Its last row is taken 6 times only, and A makes up for it, so
that every number of G g G^T fits int16 for int8 weights; the result is 24 * 24 times the
convolution. Every number of B^T d B fits int16 for int8 data: each of the two steps adds up to ten
times the largest.

What overflows is the sum over the input channels, and that does no harm: it is kept modulo 2^32,
and so is what A makes of it. There 576 * y is known modulo 2^32, hence 64 * y (9 has an inverse),
hence y itself as long as it is within 26 bits: :func:`is_exact` says whether a layer's weights
allow no other. So the accumulator that comes out is that of the direct convolution, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from compile.kernels.common.wrapping import wrapping_add, wrapping_mul, wrapping_sub

#: Rows and columns of a tile of results, and of its data.
RESULTS, TAPS = 4, 6

_G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]])

_INVERSE_OF_9 = pow(9, -1, 1 << 32)
_BITS_OF_64 = 6

#: The accumulator's magnitude stays below it.
_LIMIT = 1 << 31 - _BITS_OF_64
_LARGEST_DATA = 128


def is_exact(weight: NDArray[np.int8]) -> bool:
    """Whether no int8 data can make an accumulator of OIHW ``weight`` that is lost."""
    sums = np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3))
    return bool(_LARGEST_DATA * sums.max(initial=0) < _LIMIT)


def transform_weight(weight: NDArray[np.int8]) -> NDArray[np.int16]:
    """G g G^T of OIHW ``weight`` 3x3, [O,I,6*6,1]."""
    transformed = np.einsum("ar,oirs,bs->oiab", _G, weight.astype(np.int64), _G)
    return transformed.reshape(*weight.shape[:2], TAPS * TAPS, 1).astype(np.int16)


def transform_data(d: Sequence[tirx.Expr]) -> list[tirx.Expr]:
    """B^T d, of six int16 each."""
    two, four, five = (tirx.const(n, "int16") for n in (2, 4, 5))
    a, b = d[4] - d[2] * four, d[3] - d[1] * four
    e, f = d[4] - d[2], (d[3] - d[1]) * two
    first = d[0] * four - d[2] * five + d[4]
    last = d[1] * four - d[3] * five + d[5]
    return [first, a + b, a - b, e + f, e - f, last]


def transform_sums(m: Sequence[tirx.Expr]) -> list[tirx.Expr]:
    """A^T m, four int32 modulo 2^32 of six."""
    p, q = wrapping_add(m[1], m[2]), wrapping_sub(m[1], m[2])
    r, s = wrapping_add(m[3], m[4]), wrapping_sub(m[3], m[4])
    t = s << 1
    return [
        wrapping_add(wrapping_add(m[0], p), r),
        wrapping_add(q, t),
        wrapping_add(p, r << 2),
        wrapping_add(q, wrapping_add(t, m[5]) << 2),
    ]


def accumulator(product: tirx.Expr) -> tirx.Expr:
    """The int32 y of ``product`` = 576 * y modulo 2^32."""
    return wrapping_mul(product, tirx.const(_INVERSE_OF_9, "int32")) >> _BITS_OF_64
