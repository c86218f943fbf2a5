"""What the header of a JPEG XL codestream says of its pixels.

ISO/IEC 18181-1, annexes D and E. libjxl tells it, too, but no package for Python passes it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compile.imaging.colour_spaces import D65, PRIMARIES

_SIGNATURE = 0x0AFF
# Of width by height, by number.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZES = ((1, 9), (1, 13), (1, 18), (1, 30))
_PREVIEW_8 = ((16, 0), (32, 0), (1, 5), (33, 9))
_PREVIEW = ((1, 6), (65, 8), (321, 10), (1345, 12))
_ENUM = ((0, 0), (1, 0), (2, 4), (18, 6))
_XY = ((0, 19), (524288, 19), (1048576, 20), (2097152, 21))
_ALPHA, _SPOT, _CFA = 0, 2, 5
_RGB, _GREY, _XYB = 0, 1, 2
_CUSTOM = 2

_WHITES = {1: D65, 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}
_PRIMARIES = {
    1: (0.639998686, 0.330010138, 0.300003784, 0.600003357, 0.150002046, 0.059997204),
    **{code: PRIMARIES[code][1] for code in (9, 11)},
}


@dataclass
class JxlHeader:
    """What it says.

    Attributes:
        height, width: before the picture is turned.
        is_float: whether its samples are floats.
        bits: of a sample.
        has_profile: whether its colours are those of an ICC profile in the file.
        white, primaries: x and y of the white; of red, green and blue.
        transfer: of ITU-T H.273; 17 is DCI's and 2 unknown.
        gamma: of the linear light, instead of a transfer function; None for none.
    """

    height: int
    width: int
    is_float: bool = False
    bits: int = 8
    has_profile: bool = False
    white: tuple[float, ...] = D65
    primaries: tuple[float, ...] = _PRIMARIES[1]
    transfer: int = 13
    gamma: float | None = None


def read_jxl_header(codestream: bytes) -> JxlHeader:
    """Read the header of a codestream.

    Raises:
        ValueError: it is cut off, or of another kind.
    """
    return _read(_Bits(codestream))[0]


def find_frames(codestream: bytes) -> int:
    """Find the byte behind the header, where the frames begin.

    Raises:
        ValueError: the header is cut off, or of another kind, or says what an encoder of plain
            pictures does not: a profile, how bright it is, extensions, matrices of its own.
    """
    bits = _Bits(codestream)
    header, is_extended = _read(bits)
    # How tones are mapped stands there only where something else unusual does.
    if header.has_profile or is_extended or bits.take(2) or not bits.flag():
        raise ValueError("its header is not that of a plain picture")
    return -(-bits.position // 8)


def _read(bits: _Bits) -> tuple[JxlHeader, bool]:
    """The header up to its colours, and whether it says more than usual."""
    if bits.take(16) != _SIGNATURE:
        raise ValueError("it is no codestream")
    header = JxlHeader(*_read_size(bits))
    if bits.flag():  # All is as usual.
        return header, False
    is_extended = bits.flag()
    if is_extended:
        bits.take(3)  # The orientation, which libjxl applies.
        if bits.flag():
            _read_size(bits)
        if bits.flag():
            _skip_preview(bits)
        if bits.flag():
            bits.number((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.number((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.number((0, 0), (0, 3), (0, 16), (0, 32))
            bits.flag()
    header.is_float, header.bits = _read_depth(bits)
    bits.flag()
    for _ in range(bits.number((0, 0), (1, 0), (2, 4), (1, 12))):
        _skip_channel(bits)
    bits.flag()  # Whether it is encoded as XYB: it is decoded to the same numbers.
    if not bits.flag():
        _read_colours(bits, header)
    return header, is_extended


class _Bits:
    """Reads numbers, the lowest bits first."""

    def __init__(self, data: bytes) -> None:
        # No header is as long.
        self._value, self._end = int.from_bytes(data[:4096], "little"), 8 * len(data[:4096])
        self.position = 0

    def take(self, count: int) -> int:
        start, self.position = self.position, self.position + count
        if self.position > self._end:
            raise ValueError("the header is cut off")
        return self._value >> start & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.take(1))

    def number(self, *forms: tuple[int, int]) -> int:
        least, count = forms[self.take(2)]
        return least + self.take(count)


def _read_size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.flag()

    def side() -> int:
        return 8 * (1 + bits.take(5)) if is_small else bits.number(*_SIZES)

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return height, side()
    over, under = _RATIOS[ratio - 1]
    return height, height * over // under


def _skip_preview(bits: _Bits) -> None:
    forms = _PREVIEW_8 if bits.flag() else _PREVIEW
    bits.number(*forms)
    if bits.take(3) == 0:
        bits.number(*forms)


def _read_depth(bits: _Bits) -> tuple[bool, int]:
    if not bits.flag():
        return False, bits.number((8, 0), (10, 0), (12, 0), (1, 6))
    depth = bits.number((32, 0), (16, 0), (24, 0), (1, 6))
    bits.take(4)
    return True, depth


def _skip_channel(bits: _Bits) -> None:
    if bits.flag():
        return
    kind = bits.number(*_ENUM)
    _read_depth(bits)
    bits.number((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.number((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == _ALPHA:
        bits.flag()
    elif kind == _SPOT:
        bits.take(4 * 16)
    elif kind == _CFA:
        bits.number((1, 0), (0, 2), (3, 4), (19, 8))


def _read_colours(bits: _Bits, header: JxlHeader) -> None:
    header.has_profile = bits.flag()
    space = bits.number(*_ENUM)
    if header.has_profile:
        return
    if space == _XYB:
        raise ValueError("its colours are XYB")
    code = bits.number(*_ENUM)
    header.white = _read_points(bits, 1) if code == _CUSTOM else _known(_WHITES, code)
    if space != _GREY:
        code = bits.number(*_ENUM)
        header.primaries = _read_points(bits, 3) if code == _CUSTOM else _known(_PRIMARIES, code)
    if bits.flag():
        header.gamma = 1e7 / max(bits.take(24), 1)
    else:
        header.transfer = bits.number(*_ENUM)
    bits.number(*_ENUM)  # The rendering intent.


def _known(table: Mapping[int, tuple[float, ...]], code: int) -> tuple[float, ...]:
    if code not in table:
        raise ValueError(f"its colours have an unknown code ({code})")
    return table[code]


def _read_points(bits: _Bits, count: int) -> tuple[float, ...]:
    numbers: Sequence[int] = [bits.number(*_XY) for _ in range(2 * count)]
    return tuple((number >> 1 ^ -(number & 1)) / 1e6 for number in numbers)
