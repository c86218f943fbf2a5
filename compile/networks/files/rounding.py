"""LiteRT's rounding of int8 operations on a processor, and how it is met to the bit.

LiteRT computes them with XNNPACK. Convolutions, products and means are rounded as ours are, once,
from a float32 product; its multiplier is rounded in steps, ``(s_x * s_w) / s_y`` in float32 each.
Sums and changes of scale are in fixed point there, with multipliers of 21 and of 8 bits, ties
rounded up. Ours are in float32, ties to even: multipliers and a small offset are looked for with
which both agree on every pair of bytes (XNNPACK, src/microparams-init.c, and the qs8-vadd, qs8-vcvt
kernels).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from compile.networks.files.graph_builder import Quantized

_BYTES = np.arange(-128, 128, dtype=np.int64)
_SUM_BITS, _RESCALE_BITS = 20, 8
_LEAST, _MOST = -128, 127
_LEAST_STEP = 1e-3

#: Added before rounding, in steps of the output: ties go up, and nothing else is near one.
_OFFSETS = (0.0, *(sign * 2.0**-power for power in range(10, 21) for sign in (1, -1)))


def product_scales(
    data: float, weights: NDArray[np.float32], output: float
) -> tuple[float, NDArray[np.float32]]:
    """Scales of the two factors of a product with which the compiler's multiplier, ``data * weights
    / output`` rounded once, is XNNPACK's to the bit: a power of two times ``output``, and what is
    left. Their products are those of ``data`` and ``weights``, but for that rounding."""
    wanted = np.float32(data) * weights / np.float32(output)
    power = 2.0 ** round(np.log2(data / output))
    return output * power, (wanted / np.float32(power)).astype(np.float32)


def xnnpack_sum(
    left: NDArray[np.int64], right: NDArray[np.int64], of: tuple[Quantized, Quantized, Quantized]
) -> NDArray[np.int64]:
    """The sum of two int8 tensors, of which ``of`` are the scales and that of the result, whose
    scale is never negative; that of an operand is, where it is subtracted."""
    a, b, y = of
    ratios = [float(np.float32(one.scale) / np.float32(y.scale)) for one in (a, b)]
    shift = _SUM_BITS - int(np.floor(np.log2(max(map(abs, ratios)))))
    factors = [round(ratio * 2**shift) for ratio in ratios]
    total = (left - a.zero_point) * factors[0] + (right - b.zero_point) * factors[1]
    rounded = (total + (1 << (shift - 1))) >> shift
    return np.clip(rounded + y.zero_point, _LEAST, _MOST)


def sum_scales(of: tuple[Quantized, Quantized, Quantized]) -> tuple[float, float, int]:
    """Scales of the operands of a sum with which the compiler's agrees with :func:`xnnpack_sum` on
    most pairs of bytes, and on how many it does not, of 65,536."""
    a, b, y = of
    left, right = np.meshgrid(_BYTES, _BYTES, indexing="ij")
    wanted = xnnpack_sum(left, right, of)
    x, z = (left - a.zero_point).astype(np.float32), (right - b.zero_point).astype(np.float32)
    best = (a.scale, b.scale, wanted.size + 1)
    steps = sorted(itertools.product(range(-4, 5), repeat=2), key=lambda ks: sum(k * k for k in ks))
    for first, second in steps:
        scales = [
            float(np.float32(scale * (1 + k * 2.0**-23)))
            for scale, k in ((a.scale, first), (b.scale, second))
        ]
        factors = [np.float32(np.float64(scale) / np.float64(y.scale)) for scale in scales]
        rounded = np.rint(x * factors[0] + z * factors[1]) + y.zero_point
        missed = int(np.count_nonzero(np.clip(rounded, _LEAST, _MOST) != wanted))
        if missed < best[2]:
            best = (scales[0], scales[1], missed)
        if missed == 0:
            break
    return best


def xnnpack_rescale(data: Quantized, output: Quantized) -> NDArray[np.int64]:
    """int8 [256]: each byte from -128 on, changed from one scale to another."""
    factor = round(float(np.float32(data.scale) / np.float32(output.scale)) * 2**_RESCALE_BITS)
    total = (_BYTES - data.zero_point) * factor
    rounded = (total + (1 << (_RESCALE_BITS - 1))) >> _RESCALE_BITS
    return np.clip(rounded + output.zero_point, _LEAST, _MOST)


def line_through(
    table: NDArray[np.int64], data: Quantized, output: Quantized, factor: float, shift: float
) -> tuple[float, float, int]:
    """A factor and a shift near those given, with which ``x * factor + shift`` of the numbers x
    that the bytes mean, quantized, is ``table`` of most bytes, and of how many it is not."""
    x = data.real(_BYTES)
    best = (factor, shift, table.size + 1)
    for offset in _OFFSETS:
        moved = float(np.float32(shift + offset * output.scale))
        line = (x * np.float32(factor)).astype(np.float32) + np.float32(moved)
        missed = int(np.count_nonzero(output.quantized(line) != table))
        if missed < best[2]:
            best = (factor, moved, missed)
        if missed == 0:
            break
    return best


def real_bias(
    counts: NDArray[np.int64], units: NDArray[np.float64], output: float | None
) -> NDArray[np.float32] | None:
    """The numbers that the integers of a bias mean, each counting its channel's ``units``.

    A float32 has 24 bits. Of a bias of more, in a channel whose weights are next to nothing, the
    last ones are lost; None where that is more than a thousandth of a step of ``output``.
    """
    real = (counts.astype(np.float64) * units).astype(np.float32)
    lost = np.abs(np.rint(real.astype(np.float64) / units) - counts)
    if output is not None and np.any(lost * units / output > _LEAST_STEP):
        return None
    return real
