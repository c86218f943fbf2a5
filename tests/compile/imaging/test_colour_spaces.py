"""What PNG's chunks say of colour ends in the sRGB values that it stands for.

Right values come from the formulas of the standards in NumPy (tests/support/picture_files.py).
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import (
    ADOBE,
    BT2020,
    D65,
    P3,
    SRGB,
    by_formula,
    chrm,
    chunk,
    gama,
    iccp,
    png,
    scene,
    srgb_of_light,
)

from compile.imaging.colour_spaces import space_of_numbers
from compile.imaging.read_photo import read_photo

PALETTE = scene(64, 64)
GAMMA_18 = space_of_numbers(1.8, None, "a test").profile or b""


def read(tmp_path: Path, data: bytes) -> NDArray[np.int64]:
    path = tmp_path / "photo"
    path.write_bytes(data)
    return read_photo(path).astype(int)


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.6])
def test_gama(tmp_path: Path, gamma: float) -> None:
    photo = read(tmp_path, png(PALETTE, gama(gamma)))
    assert np.abs(photo - by_formula(PALETTE, D65, SRGB, gamma)).max() < 0.6


@pytest.mark.parametrize(
    ("white", "primaries"),
    [(D65, P3), (D65, BT2020), ((0.314, 0.351), P3), ((0.3457, 0.3585), ADOBE)],
)
@pytest.mark.parametrize("gamma", [None, 1.8, 2.2])
def test_chrm(
    tmp_path: Path, white: tuple[float, float], primaries: tuple[float, ...], gamma: float | None
) -> None:
    """Alone with sRGB's curve, with gAMA with that."""
    chunks = [chrm(white, primaries)] + ([] if gamma is None else [gama(gamma)])
    photo = read(tmp_path, png(PALETTE, *chunks))
    # The gamut is clipped where the picture has colours outside of sRGB.
    assert np.abs(photo - by_formula(PALETTE, white, primaries, gamma)).max() < 1


@pytest.mark.parametrize("chunks", [[gama(2.2)], [gama(2.2), chrm(D65, SRGB)], [chrm(D65, SRGB)]])
def test_srgb_as_written_for_old_readers(tmp_path: Path, chunks: list[bytes]) -> None:
    """PNG specification, third edition, 11.3.2.5: gAMA 45455 beside sRGB's chromaticities."""
    np.testing.assert_array_equal(read(tmp_path, png(PALETTE, *chunks)), PALETTE)


@pytest.mark.parametrize(
    ("codes", "white", "primaries", "gamma"),
    [
        ((12, 13, 0, 1), D65, P3, None),
        ((9, 13, 0, 1), D65, BT2020, None),
        ((1, 8, 0, 1), D65, SRGB, 1.0),
        ((11, 4, 0, 1), (0.314, 0.351), P3, 2.2),
    ],
)
def test_cicp(
    tmp_path: Path,
    codes: tuple[int, ...],
    white: tuple[float, float],
    primaries: tuple[float, ...],
    gamma: float | None,
) -> None:
    photo = read(tmp_path, png(PALETTE, chunk(b"cICP", bytes(codes))))
    assert np.abs(photo - by_formula(PALETTE, white, primaries, gamma)).max() < 1


def test_cicp_of_bt709(tmp_path: Path) -> None:
    """ITU-R BT.709-6, item 1.2, inverted."""
    photo = read(tmp_path, png(PALETTE, chunk(b"cICP", bytes((1, 1, 0, 1)))))
    value = PALETTE / 255
    light = np.where(value < 0.081, value / 4.5, ((value + 0.099) / 1.099) ** (1 / 0.45))
    assert np.abs(photo - srgb_of_light(light)).max() < 0.7


@pytest.mark.parametrize("depth", [8, 16])
def test_cicp_in_narrow_range(tmp_path: Path, depth: int) -> None:
    """ITU-T H.273, 8.3: black is 16 and white 235, times 256 in 16 bits."""
    full = PALETTE.astype(float) / 255
    unit = 1 if depth == 8 else 256
    narrow = np.rint((16 + 219 * full) * unit).astype(np.uint8 if depth == 8 else np.uint16)
    photo = read(tmp_path, png(narrow, chunk(b"cICP", bytes((1, 13, 0, 0)))))
    assert np.abs(photo - PALETTE).max() <= 1


def test_precedence(tmp_path: Path) -> None:
    """PNG specification, third edition, 4.3: cICP, iCCP, sRGB, gAMA and cHRM."""
    cicp, srgb = chunk(b"cICP", bytes((12, 13, 0, 1))), chunk(b"sRGB", b"\0")
    numbers = [gama(1.0), chrm(D65, BT2020)]
    chunks = [cicp, iccp(GAMMA_18), srgb, *numbers]
    right = [
        by_formula(PALETTE, D65, P3, None),
        by_formula(PALETTE, D65, SRGB, 1.8),
        PALETTE,
        by_formula(PALETTE, D65, BT2020, 1.0),
    ]
    for first, values in enumerate(right):
        # The chunks' order in the file does not count.
        photo = read(tmp_path, png(PALETTE, *chunks[first:][::-1]))
        assert np.abs(photo - values).max() < 1, first


@pytest.mark.parametrize(
    "bad",
    [
        chunk(b"cICP", bytes((2, 2, 0, 1))),  # unspecified
        chunk(b"cICP", bytes((9, 13, 9, 1))),  # YCbCr, which PNG has not
        chunk(b"cICP", b"\1"),
        chunk(b"iCCP", b"x\0\0not zlib"),
        chunk(b"iCCP", b""),
        gama(1.0)[:-1] + b"?",  # its check sum
    ],
)
def test_a_chunk_that_is_no_use_is_said_and_passed_over(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    photo = read(tmp_path, png(PALETTE, bad, chrm(D65, P3)))
    assert np.abs(photo - by_formula(PALETTE, D65, P3, None)).max() < 1
    assert bad[4:8].decode() in caplog.text or "ICC profile" in caplog.text


@pytest.mark.parametrize(
    "bad",
    [
        chunk(b"gAMA", bytes(4)),
        chunk(b"gAMA", b"\1"),
        chunk(b"gAMA", struct.pack(">I", 1)),
        chunk(b"cHRM", bytes(32)),
        chunk(b"cHRM", struct.pack(">8I", *[31270, 32900] * 4)),
        chunk(b"cHRM", b"\xff" * 32),
    ],
)
def test_numbers_that_are_no_colour_space(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    np.testing.assert_array_equal(read(tmp_path, png(PALETTE, bad)), PALETTE)
    assert bad[4:8].decode() in caplog.text
