"""The kernel that makes HDR10 of what a network gives: its output to Y'CbCr 4:2:0 of 10 bits in PQ
and BT.2020, and how bright each row is.

It is compiled for the processor when a clip begins. NumPy takes as long for a frame as the network;
this takes a twentieth of it. Powers and logarithms are polynomials, accurate to a tenth of a code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from tvm import tirx
from tvm.script import tirx as T
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as B

from compile.imaging.decode_hdr import CURVATURE, H_MAX, PEAK, WHITE_SLOPE
from compile.imaging.transfer import BT2020_LUMINANCE, PQ_PEAK_NITS, pq_encode

NAME, CELLS_NAME = "light_to_hdr10", "means_of_cells"
#: Of a row's statistics: the largest, the smallest and the mean max(R, G, B) in cd/m2.
LARGEST, SMALLEST, MEAN = range(3)

#: Pixels of a side of the cells in which a correction is given.
CELL = 16
# What is added up side by side, so that the sums are vectors.
_LANES = 16
_PQ_DEGREE, _DARKEST = 15, 1e-12
_M1 = 2610 / 16384
_LN_2 = math.log(2)
# ITU-R BT.2020, tables 4 and 5, for codes of 10 bits in the narrow range.
_BLUE_SPAN, _RED_SPAN = 1.8814, 1.4746
_BLACK, _LUMA, _GREY, _CHROMA = 64.0, 876.0, 512.0, 896.0
# Of red, green and blue in a photograph's luma, in 256ths.
_SDR_WEIGHTS = (54, 183, 19)

Value = Any


def create_light_kernel(
    size: tuple[int, int],
    decoding: str,
    to_bt2020: NDArray[np.floating],
    white_nits: float,
    corrected: bool,
) -> tirx.PrimFunc:
    """The kernel (data float32 [H,W,3], photo uint8 [H,W,3], curve float32 [256], cells float32
    [rows + 2, columns + 2]) -> (planes uint16 [Y, Cb and Cr one behind the other], levels float32
    [H,3]).

    Chroma lies beside the left one of its pair of luma, as in most videos. Of an odd height or
    width the last row or column counts twice.

    Args:
        size: height and width of the picture.
        decoding: what the network's output means, a name of
            :data:`compile.imaging.decode_picture.DECODERS`.
        to_bt2020: its linear light to that of BT.2020, [3, 3].
        white_nits: of light 1.
        corrected: whether ``curve`` at the photo's luma, and what is between the middles of the
            ``cells``, of which there is one more on each side, are added to the output first; else
            they and the photo are not read.
    """
    height, width = size
    rows, columns = -(-height // 2), -(-width // 2)
    across = -(-width // CELL)
    wide, luma, chroma = -(-width // _LANES) * _LANES, height * width, rows * columns
    matrix = np.asarray(to_bt2020, np.float64) * (white_nits / PQ_PEAK_NITS)
    decode = _DECODERS[decoding]
    with IRBuilder() as builder, B.prim_func(is_private=False, s_tir=False):
        B.func_name(NAME)
        B.func_attr({"tirx.noalias": True})
        data = B.arg("data", _buffer((height, width, 3), "float32"))
        photo = B.arg("photo", _buffer((height, width, 3), "uint8"))
        curve = B.arg("curve", _buffer((256,), "float32"))
        cells = B.arg("cells", _buffer((-(-height // CELL) + 2, across + 2), "float32"))
        planes = B.arg("planes", _buffer((luma + 2 * chroma,), "uint16"))
        levels = B.arg("levels", _buffer((height, 3), "float32"))
        shift, brightest = _rows("shift", ((across + 1) * CELL,)), _rows("brightest", (wide,))
        light = [_rows(f"light{c}", (wide,)) for c in range(3)]
        other = [_rows(f"other{c}", (wide,)) for c in range(3)]
        between = _rows("between", (across + 2,))
        tint = [_rows(name, (width + 2,)) for name in ("blue0", "blue1", "red0", "red1")]
        lanes = [_rows(name, (_LANES,)) for name in ("largest", "smallest", "sum")]
        with B.serial(wide - width) as x:
            B.buffer_store(brightest, T.float32(0), [x + width])
        with B.serial(rows) as pair:
            for half in (0, 1):
                y = tirx.min(pair * 2 + half, tirx.IntImm("int32", height - 1))
                if corrected:
                    _store_shift(shift, between, cells, y)
                    with B.serial(width) as x:
                        both = shift[x + CELL // 2] + curve[_sdr_luma(photo, y, x)]
                        B.buffer_store(shift, both, [x + CELL // 2])
                with B.serial(width) as x:
                    for c in range(3):
                        value = data[y, x, c]
                        value = value + shift[x + CELL // 2] if corrected else value
                        B.buffer_store(light[c], decode(value), [x])
                with B.serial(width) as x:
                    for c in range(3):
                        B.buffer_store(other[c], _positive(_weighted(light, x, matrix[c])), [x])
                with B.serial(width) as x:
                    top = tirx.max(tirx.max(other[0][x], other[1][x]), other[2][x])
                    B.buffer_store(brightest, top, [x])
                _store_levels(levels, y, brightest, width, lanes)
                for c in range(3):
                    with B.serial(width) as x:
                        B.buffer_store(light[c], _log2(other[c][x]), [x])
                    with B.serial(width) as x:
                        B.buffer_store(other[c], _exp2(light[c][x] * T.float32(_M1)), [x])
                    with B.serial(width) as x:
                        B.buffer_store(light[c], _polynomial(_PQ, other[c][x] * 2 - 1), [x])
                blue, red = tint[half], tint[2 + half]
                with B.serial(width) as x:
                    B.buffer_store(shift, _weighted(light, x, BT2020_LUMINANCE), [x])
                with B.serial(width) as x:
                    B.buffer_store(planes, _code(shift[x], _LUMA, _BLACK), [y * width + x])
                    B.buffer_store(blue, light[2][x] - shift[x], [x + 1])
                    B.buffer_store(red, light[0][x] - shift[x], [x + 1])
                for row in (blue, red):
                    B.buffer_store(row, row[1], [0])
                    B.buffer_store(row, row[width], [width + 1])
            for place, span, halves in ((0, _BLUE_SPAN, tint[:2]), (1, _RED_SPAN, tint[2:])):
                with B.serial(columns) as x:
                    code = _code(_beside_left(halves, x), _CHROMA / span, _GREY)
                    B.buffer_store(planes, code, [luma + place * chroma + pair * columns + x])
    return builder.get()


def create_cells_kernel(size: tuple[int, int]) -> tirx.PrimFunc:
    """The kernel (data float32 [H,W,3], photo uint8 [H,W,3]) -> (means float32 [2, rows, columns])
    of cells of :data:`CELL` pixels a side: of the photo's luma, in codes, and of the data."""
    height, width = size
    down, across = (-(-side // CELL) for side in size)
    with IRBuilder() as builder, B.prim_func(is_private=False, s_tir=False):
        B.func_name(CELLS_NAME)
        B.func_attr({"tirx.noalias": True})
        data = B.arg("data", _buffer((height, width, 3), "float32"))
        photo = B.arg("photo", _buffer((height, width, 3), "uint8"))
        means = B.arg("means", _buffer((2, down, across), "float32"))
        sums = [_rows(name, (across * CELL,)) for name in ("luma", "light")]
        with B.serial(down) as row:
            for one in sums:
                with B.serial(across * CELL) as x:
                    B.buffer_store(one, T.float32(0), [x])
            rows = tirx.min(tirx.IntImm("int32", CELL), height - row * CELL)
            with B.serial(rows) as i, B.serial(width) as x:
                y = row * CELL + i
                light = data[y, x, 0] + data[y, x, 1] + data[y, x, 2]
                luma = _sdr_luma(photo, y, x).astype("float32")
                B.buffer_store(sums[0], sums[0][x] + luma, [x])
                B.buffer_store(sums[1], sums[1][x] + light * T.float32(1 / 3), [x])
            with B.serial(across) as cell:
                columns = tirx.min(tirx.IntImm("int32", CELL), width - cell * CELL)
                share = T.float32(1) / (rows * columns).astype("float32")
                for place, one in enumerate(sums):
                    total: Value = T.float32(0)
                    for i in range(CELL):
                        total = total + one[cell * CELL + i]
                    B.buffer_store(means, total * share, [place, row, cell])
    return builder.get()


def sdr_luma(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luma at which a curve is looked up, uint8, of ``photo`` uint8 [..., 3]."""
    red, green, blue = (photo[..., c] * np.uint16(one) for c, one in enumerate(_SDR_WEIGHTS))
    return ((red + green + blue) >> 8).astype(np.uint8)


def _buffer(shape: Sequence[int], dtype: str) -> tirx.Buffer:
    # NumPy aligns its arrays to 16 bytes, and views of them to an element.
    return B.buffer(shape, dtype, align=4, layout=None)


def _rows(name: str, shape: Sequence[int]) -> tirx.Buffer:
    buffer = B.alloc_buffer(shape, "float32", scope="global", layout=None)
    IRBuilder.name(name, buffer)
    return buffer


def _store_shift(shift: tirx.Buffer, between: tirx.Buffer, cells: tirx.Buffer, y: Value) -> None:
    """What lies between the middles of the cells in row ``y``, from half a cell before it on."""
    (count,) = between.shape
    place = y + CELL // 2
    down = (place % CELL).astype("float32") * T.float32(1 / CELL)
    with B.serial(count) as x:
        upper, lower = cells[place // CELL, x], cells[place // CELL + 1, x]
        B.buffer_store(between, upper + (lower - upper) * down, [x])
    with B.serial(count - 1) as cell, B.serial(CELL) as i:
        step = (between[cell + 1] - between[cell]) * T.float32(1 / CELL)
        B.buffer_store(shift, between[cell] + step * i.astype("float32"), [cell * CELL + i])


def _store_levels(
    levels: tirx.Buffer, y: Value, brightest: tirx.Buffer, width: int, lanes: list[tirx.Buffer]
) -> None:
    """Lane by lane: LLVM keeps the order of float sums, and so makes no vectors of one."""
    whole, rest = width // _LANES, width % _LANES
    steps: tuple[Callable[[Value, Value], Value], ...] = (tirx.max, tirx.min, lambda a, b: a + b)
    starts = (0.0, 1e9, 0.0)
    for lane, start in zip(lanes, starts, strict=True):
        with B.vectorized(_LANES) as i:
            B.buffer_store(lane, T.float32(start), [i])
    with B.serial(whole) as x:
        for lane, step in zip(lanes, steps, strict=True):
            with B.vectorized(_LANES) as i:
                B.buffer_store(lane, step(lane[i], brightest[x * _LANES + i]), [i])
    for place, (lane, step) in enumerate(zip(lanes, steps, strict=True)):
        if rest:
            with B.serial(rest) as i:
                B.buffer_store(lane, step(lane[i], brightest[whole * _LANES + i]), [i])
        with B.serial(_LANES - 1) as i:
            B.buffer_store(lane, step(lane[0], lane[i + 1]), [0])
        unit = PQ_PEAK_NITS / width if place == MEAN else PQ_PEAK_NITS
        B.buffer_store(levels, lane[0] * T.float32(unit), [y, place])


def _sdr_luma(photo: tirx.Buffer, y: Value, x: Value) -> Value:
    weighted = [photo[y, x, c].astype("int32") * one for c, one in enumerate(_SDR_WEIGHTS)]
    return (weighted[0] + weighted[1] + weighted[2]) >> 8


def _weighted(rows: list[tirx.Buffer], x: Value, weights: NDArray[np.floating]) -> Value:
    red, green, blue = (
        row[x] * T.float32(float(one)) for row, one in zip(rows, weights, strict=True)
    )
    return red + green + blue


def _beside_left(halves: list[tirx.Buffer], x: Value) -> Value:
    upper, lower = (row[x * 2] + row[x * 2 + 1] * 2 + row[x * 2 + 2] for row in halves)
    return (upper + lower) * T.float32(1 / 8)


def _code(value: Value, scale: float, zero: float) -> Value:
    # Half of a code more is rounding, of what is not negative.
    return (value * T.float32(scale) + T.float32(zero + 0.5)).astype("int32").astype("uint16")


def _positive(value: Value) -> Value:
    return tirx.min(tirx.max(value, T.float32(0)), T.float32(1))


def _polynomial(coefficients: Sequence[float], x: Value) -> Value:
    value: Value = T.float32(coefficients[-1])
    for one in reversed(coefficients[:-1]):
        value = value * x + T.float32(one)
    return value


def _exp2(x: Value) -> Value:
    """Of -126 to 126."""
    whole = tirx.floor(x)
    power = T.reinterpret((whole.astype("int32") + 127) << 23, dtype="float32")
    return _polynomial(_EXP2, x - whole) * power


def _log2(x: Value) -> Value:
    """Of a positive number; 0 counts as a very small one."""
    bits = T.reinterpret(tirx.max(x, T.float32(_DARKEST)), dtype="int32")
    exponent = ((bits >> 23) - 127).astype("float32")
    mantissa = T.reinterpret((bits & 0x7FFFFF) | 0x3F800000, dtype="float32")
    return exponent + _polynomial(_LOG2, mantissa - T.float32(1))


def _fit(function: Callable, low: float, high: float, degree: int) -> list[float]:
    """Coefficients of a polynomial on [low, high] that is nearly the best one."""
    fitted = Chebyshev.interpolate(function, degree, domain=[low, high])
    return [float(one) for one in fitted.convert(kind=Polynomial, domain=[-1, 1]).coef]


def _pq_of_power(u: NDArray[np.floating]) -> NDArray[np.floating]:
    """PQ of Y = ((u + 1) / 2) ^ (1 / m1): smooth, and so nearly a polynomial."""
    return pq_encode(((u + 1) / 2) ** (1 / _M1) * PQ_PEAK_NITS)


_EXP2 = _fit(np.exp2, 0, 1, 6)
_LOG2 = _fit(lambda x: np.log2(1 + x), 0, 1, 9)
_PQ = _fit(_pq_of_power, -1, 1, _PQ_DEGREE)
_SRGB = _fit(lambda x: ((x + 0.055) / 1.055) ** 2.4, 0, 1, 9)


def _decode_extended_srgb(output: Value) -> Value:
    h = tirx.min(tirx.max(output, T.float32(0.5)), T.float32(H_MAX))
    z = _log2(h / (T.float32(1) - h)) * T.float32(_LN_2)
    t = tirx.max(z - T.float32(1), T.float32(0))
    octaves = t * (T.float32(WHITE_SLOPE / _LN_2) + t * T.float32(CURVATURE / _LN_2))
    return tirx.min(_decode_srgb(z) * _exp2(octaves), T.float32(PEAK))


def _decode_srgb(output: Value) -> Value:
    inside = _positive(output)
    curved = _polynomial(_SRGB, inside)
    return tirx.Select(inside <= T.float32(0.04045), inside * T.float32(1 / 12.92), curved)


_DECODERS: dict[str, Callable[[Value], Value]] = {
    "extended_srgb": _decode_extended_srgb,
    "linear": lambda output: output,
    "srgb": _decode_srgb,
}
