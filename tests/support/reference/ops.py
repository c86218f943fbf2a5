"""Every rule of the int8 backbone's arithmetic in plain NumPy.

Source of the rules: the project's design, "Arithmetic of the backbone". Activations are int8 NHWC
with ``real = scale * (q - zero_point)``, weights int8 OIHW, symmetric per output channel. Every
function here takes the zero points off before it multiplies, in int64 or in float64 where that is
exact; the compiler folds them into biases. Nothing is imported from the compiler.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

INT8_MIN, INT8_MAX = -128, 127

#: Integers up to here are exact in float64, and so is a sum of products that stays below.
_EXACT_IN_FLOAT64 = 2**53


@dataclass(frozen=True)
class Affine:
    """``real = scale * (q - zero_point)``; the scale is a float32, the zero point an int8."""

    scale: np.float32
    zero_point: int


def requantize(
    accumulator: NDArray[np.integer],
    multiplier: ArrayLike,
    zero_point: int,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
) -> NDArray[np.int8]:
    """``clamp(rne(f32(acc) * multiplier) + z_y, low, high)``; f32 and rne round ties to even.

    ``multiplier`` is float32 and broadcasts against the last axis of ``accumulator``.

    Raises:
        OverflowError: the accumulator is no int32.
    """
    product = _to_float32(accumulator) * np.asarray(multiplier, np.float32)
    return _round_and_clamp(product, zero_point, low, high)


def conv_multiplier(
    data: np.float32, weight: NDArray[np.float32], output: np.float32
) -> NDArray[np.float32]:
    """float32 [O]: ``s_x * s_w[c] / s_y`` of float32 scales, in float64 and rounded once."""
    return np.float32(np.float64(data) * weight.astype(np.float64) / np.float64(output))


def conv_bias(
    bias: NDArray[np.float32], data: np.float32, weight: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Integers [O]: ``rne(bias / (s_x * s_w[c]))`` in float64."""
    scale = np.float64(data) * weight.astype(np.float64)
    return np.rint(bias.astype(np.float64) / scale).astype(np.int64)


def conv2d(
    data: NDArray[np.int8],
    data_zero_point: int,
    weight: NDArray[np.int8],
    bias: NDArray[np.integer],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
    dilation: tuple[int, int] = (1, 1),
) -> NDArray[np.int64]:
    """The accumulators [1,OH,OW,O] of a convolution: ``sum((q_x - z_x) * w) + bias[c]``.

    ``data`` [1,H,W,I], ``weight`` OIHW with the I of one of the ``groups``, ``padding`` (top, left,
    bottom, right) with the real number 0, which is the zero point.
    """
    top, left, bottom, right = padding
    centred = data[0].astype(np.int64) - data_zero_point
    centred = np.pad(centred, ((top, bottom), (left, right), (0, 0)))
    extent = [(k - 1) * step + 1 for k, step in zip(weight.shape[2:], dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(centred, extent, axis=(0, 1))
    windows = windows[:: stride[0], :: stride[1]]  # [OH, OW, I, KH, KW]
    windows = windows[..., :: dilation[0], :: dilation[1]]
    if groups == weight.shape[0] == windows.shape[2]:
        result = np.zeros(windows.shape[:3], np.int64)
        for y, x in np.ndindex(weight.shape[2:]):
            result += windows[..., y, x] * weight[:, 0, y, x].astype(np.int64)
    else:
        parts = zip(np.split(windows, groups, 2), np.split(weight, groups), strict=True)
        result = np.concatenate([_exact_matmul(*part) for part in parts], 2)
    return result[None] + bias.astype(np.int64)


def _exact_matmul(windows: NDArray[np.int64], weight: NDArray[np.int8]) -> NDArray[np.int64]:
    rows, columns = windows.shape[:2]
    terms = int(np.prod(weight.shape[1:]))
    # |q - z| <= 255 and |w| <= 128: float64, which has a fast product, is exact.
    assert terms * 255 * 128 < _EXACT_IN_FLOAT64
    left = windows.reshape(rows * columns, terms).astype(np.float64)
    right = weight.reshape(len(weight), terms).T.astype(np.float64)
    return (left @ right).astype(np.int64).reshape(rows, columns, len(weight))


def add(
    left: NDArray[np.int8],
    left_zero_point: int,
    right: NDArray[np.int8],
    right_zero_point: int,
    multipliers: tuple[np.float32, np.float32],
    zero_point: int,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
) -> NDArray[np.int8]:
    """``clamp(rne(f32(a - z_a) * m_a + f32(b - z_b) * m_b) + z_y)``; m = s/s_y.

    Three float32 operations, each rounded: no fused multiply-add.
    """
    a = _to_float32(left.astype(np.int64) - left_zero_point) * np.float32(multipliers[0])
    b = _to_float32(right.astype(np.int64) - right_zero_point) * np.float32(multipliers[1])
    return _round_and_clamp(a + b, zero_point, low, high)


def add_multipliers(
    left: np.float32, right: np.float32, output: np.float32
) -> tuple[np.float32, np.float32]:
    """``s_a / s_y`` and ``s_b / s_y`` of float32 scales, in float64 and rounded once."""
    return tuple(np.float32(np.float64(scale) / np.float64(output)) for scale in (left, right))


def multiply(
    left: NDArray[np.int8],
    left_zero_point: int,
    right: NDArray[np.int8],
    right_zero_point: int,
    multiplier: np.float32,
    zero_point: int,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
) -> NDArray[np.int8]:
    """``clamp(rne(f32((a - z_a) * (b - z_b)) * multiplier) + z_y)``."""
    a = left.astype(np.int64) - left_zero_point
    b = right.astype(np.int64) - right_zero_point
    return requantize(a * b, multiplier, zero_point, low, high)


def multiply_multiplier(left: np.float32, right: np.float32, output: np.float32) -> np.float32:
    """``s_a * s_b / s_y`` of float32 scales, in float64 and rounded once."""
    return np.float32(np.float64(left) * np.float64(right) / np.float64(output))


def mean(
    data: NDArray[np.int8],
    data_zero_point: int,
    multiplier: np.float32,
    zero_point: int,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
) -> NDArray[np.int8]:
    """``clamp(rne(f32(sum(q - z_x)) * multiplier) + z_y)`` over H and W: [1,H,W,C] -> [1,1,1,C]."""
    total = (data.astype(np.int64) - data_zero_point).sum(axis=(1, 2), keepdims=True)
    return requantize(total, multiplier, zero_point, low, high)


def mean_multiplier(data: np.float32, output: np.float32, pixels: int) -> np.float32:
    """``s_x / (s_y * H*W)`` of float32 scales, in float64 and rounded once."""
    return np.float32(np.float64(data) / (np.float64(output) * pixels))


def average_pool(
    data: NDArray[np.int8],
    data_zero_point: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    scales: tuple[np.float32, np.float32],
    zero_point: int,
    counts_padding: bool = True,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
) -> NDArray[np.int8]:
    """``clamp(rne(f32(sum(q - z_x)) * m) + z_y)`` of each window, [1,H,W,C] -> [1,OH,OW,C].

    ``m = s_x / (s_y * count)`` of the two ``scales``, in float64 and rounded once; the count is of
    the whole window or, unless it ``counts_padding``, of what of it is inside.
    """
    top, left, bottom, right = padding
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(data.astype(np.int64) - data_zero_point, widths)
    inside = np.pad(np.ones_like(data, np.int64), widths, constant_values=int(counts_padding))
    total, count = (
        np.lib.stride_tricks.sliding_window_view(numbers, kernel, axis=(1, 2))[
            :, :: stride[0], :: stride[1]
        ].sum(axis=(-2, -1))
        for numbers in (padded, inside)
    )
    multiplier = np.float32(np.float64(scales[0]) / (np.float64(scales[1]) * count))
    return requantize(total, multiplier, zero_point, low, high)


def dequantize(numbers: ArrayLike, parameters: Affine) -> NDArray[np.float32]:
    """``scale * (q - zero_point)``, one float32 multiply, as PyTorch does it."""
    centred = np.asarray(numbers, np.int64) - parameters.zero_point
    return centred.astype(np.float32) * parameters.scale


def quantize(
    real: ArrayLike, parameters: Affine, low: int = INT8_MIN, high: int = INT8_MAX
) -> NDArray[np.int8]:
    """``clamp(rne(x * (1/scale)) + zero_point)`` with a float32 reciprocal, as PyTorch does it.

    Source: ``quantized_decomposed.quantize_per_tensor`` in torch/ao/quantization/fx/_decomposed.py.
    """
    inverse = np.float32(1.0 / np.float64(parameters.scale))
    product = np.asarray(real, np.float32) * inverse
    return _round_and_clamp(product, parameters.zero_point, low, high)


def look_up(data: NDArray[np.integer], table: NDArray[np.int8]) -> NDArray[np.int8]:
    """``table[q - q_min]`` for int8 or uint8 ``data``; ``table`` has 256 entries, or as many for
    each channel [C,256]."""
    if table.ndim == 2:
        return table[np.arange(len(table)), data.astype(np.int64) - np.iinfo(data.dtype).min]
    return table[data.astype(np.int64) - np.iinfo(data.dtype).min]


def upsample(data: NDArray[np.int8], factor: int) -> NDArray[np.int8]:
    """Nearest neighbour: [1,H,W,C] -> [1,factor*H,factor*W,C]."""
    return data.repeat(factor, axis=1).repeat(factor, axis=2)


def concat(*parts: NDArray[np.int8]) -> NDArray[np.int8]:
    """``parts`` [1,H,W,*] side by side along their channels."""
    return np.concatenate(parts, axis=3)


def max_pool(
    data: NDArray[np.int8],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> NDArray[np.int8]:
    """The largest of each window, [1,H,W,C] -> [1,OH,OW,C], with the smallest number around."""
    (top, left, bottom, right), least = padding, np.iinfo(data.dtype).min
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(data, widths, constant_values=least)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]].max(axis=(-2, -1))


def pixel_shuffle(data: NDArray[np.int8], factor: int) -> NDArray[np.int8]:
    """[1,H,W,C*factor*factor] -> [1,factor*H,factor*W,C] in PyTorch's order of channels."""
    _, height, width, depth = data.shape
    out = np.empty((1, height * factor, width * factor, depth // factor**2), data.dtype)
    for row, column in np.ndindex(factor, factor):
        place = row * factor + column
        out[:, row::factor, column::factor] = data[..., place :: factor**2]
    return out


def resize_nearest(data: NDArray[np.int8], size: tuple[int, int]) -> NDArray[np.int8]:
    """Pixel ``(y * H // rows, x * W // columns)``: [1,H,W,C] -> [1,*size,C]."""
    rows, columns = (
        np.arange(outputs) * extent // outputs
        for extent, outputs in zip(data.shape[1:3], size, strict=True)
    )
    return data[:, rows][:, :, columns]


def resize_bilinear(
    data: NDArray[np.int8], size: tuple[int, int], aligned: bool = False
) -> NDArray[np.int8]:
    """``rne(f32(sum(w * q)) * f32(1/D))`` with whole weights of a sum D in lowest terms: [1,H,W,C]
    -> [1,*size,C], half-pixel centres or ``aligned`` corners, without antialiasing."""
    rows, columns = (
        _bilinear_weights(extent, outputs, aligned)
        for extent, outputs in zip(data.shape[1:3], size, strict=True)
    )
    total = np.einsum("yh,bhwc,xw->byxc", rows[0], data.astype(np.int64), columns[0])
    return requantize(total, np.float32(1 / (rows[1] * columns[1])), 0)


def _bilinear_weights(extent: int, outputs: int, aligned: bool) -> tuple[NDArray[np.int64], int]:
    """Weights [outputs, extent] as whole numbers, and what each row of them sums up to."""
    centres = [Fraction(2 * i + 1, 2) * Fraction(extent, outputs) for i in range(outputs)]
    positions = [centre - Fraction(1, 2) for centre in centres]
    if aligned:
        positions = [Fraction(i * (extent - 1), max(1, outputs - 1)) for i in range(outputs)]
    shares = math.lcm(*(position.denominator for position in positions))
    weights = np.zeros((outputs, extent), np.int64)
    for index, position in enumerate(positions):
        position = max(position, Fraction(0))
        before = math.floor(position)
        after = int((position - before) * shares)
        weights[index, before] += shares - after
        weights[index, min(before + 1, extent - 1)] += after
    return weights, shares


def channel_maximum(data: NDArray[np.int8]) -> NDArray[np.int8]:
    """The largest channel of each pixel: [1,H,W,C] -> [1,H,W,1]."""
    return data.max(axis=3, keepdims=True)


def channel_mean(
    data: NDArray[np.int8],
    zero_point: int,
    multiplier: np.float32,
    out_zero_point: int,
    low: int = INT8_MIN,
    high: int = INT8_MAX,
) -> NDArray[np.int8]:
    """``rne(f32(sum(q - z)) * multiplier) + z_y`` over the channels of each pixel: [1,H,W,C] ->
    [1,H,W,1]."""
    total = (data.astype(np.int64) - zero_point).sum(axis=3, keepdims=True)
    return requantize(total, multiplier, out_zero_point, low, high)


def border(data: NDArray, padding: tuple[int, int, int, int], mode: str, fill: int = 0) -> NDArray:
    """``data`` [1,H,W,C] with a border of (top, left, bottom, right) in PyTorch's ``mode``, or of
    the number ``fill``; below 0, so many pixels are cut off."""
    top, left, bottom, right = padding
    if max(padding) <= 0:
        _, height, width, _ = data.shape
        return data[:, -top : height + bottom, -left : width + right]
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    if mode == "constant":
        return np.pad(data, widths, constant_values=fill)
    return np.pad(data, widths, mode="edge" if mode == "replicate" else "reflect")


def _to_float32(numbers: NDArray[np.integer]) -> NDArray[np.float32]:
    """int32 numbers as float32, ties to even (IEEE 754, which NumPy's cast follows)."""
    limits = np.iinfo(np.int32)
    if numbers.size and not limits.min <= numbers.min() <= numbers.max() <= limits.max:
        raise OverflowError("an accumulator needs more than 32 bits")
    return numbers.astype(np.int32).astype(np.float32)


def _round_and_clamp(
    product: NDArray[np.float32], zero_point: int, low: int, high: int
) -> NDArray[np.int8]:
    assert product.dtype == np.float32, "NumPy has promoted the rule's float32"
    return np.clip(np.rint(product).astype(np.int64) + zero_point, low, high).astype(np.int8)
