"""A network's output as a file is the file of its light."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from compile.imaging.base_photo import BasePhoto
from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.decode_picture import DECODERS, LOG2_DECODERS
from compile.imaging.gain_map import OFFSET, gain_map_of_logs, make_gain_map
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import srgb_decode
from compile.imaging.write_hdr import HdrOptions, write_hdr
from compile.imaging.write_output import write_output
from compile.support.errors import OutputError
from tests.support.encode_hdr import encode_hdr


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.ascontiguousarray(read_photo(bundled_photos("test")[0])[:211, :307])


@pytest.fixture(scope="module")
def output(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Three times the photograph's light, as a view of a larger frame."""
    frame = np.zeros((224, 320, 3), np.float32)
    frame[:211, :307] = encode_hdr(3 * srgb_decode(photo / 255))
    return frame[:211, :307]


@pytest.mark.parametrize("decoding", LOG2_DECODERS)
def test_gain_map_is_that_of_the_light(decoding: str, photo: np.ndarray, output: np.ndarray):
    light = DECODERS[decoding](output)
    decode = LOG2_DECODERS[decoding]
    found = gain_map_of_logs(lambda rows: decode(output[rows], OFFSET), photo)
    wanted = make_gain_map(light, photo)
    assert found.low == pytest.approx(wanted.low, abs=2e-4)
    assert found.high == pytest.approx(wanted.high, abs=2e-4)
    assert found.headroom == pytest.approx(wanted.headroom, abs=2e-3)
    differences = np.abs(found.codes.astype(int) - wanted.codes)
    assert differences.max() <= 1


@pytest.mark.parametrize("decoding", ["extended_srgb", "srgb"])
@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.exr"])
def test_file_is_that_of_the_light(
    decoding: str, name: str, photo: np.ndarray, output: np.ndarray, tmp_path: Path
):
    options = HdrOptions(photo=BasePhoto(photo))
    path, other = tmp_path / name, tmp_path / f"other-{name}"
    write_output(path, decoding, output, options)
    write_hdr(other, DECODERS[decoding](output), options)
    found, wanted = path.read_bytes(), other.read_bytes()
    if decoding == "srgb" or name == "a.exr":
        assert found == wanted
    else:
        assert len(found) == pytest.approx(len(wanted), rel=0.02)
        base = imagecodecs.jpeg8_decode(found)
        np.testing.assert_array_equal(base, imagecodecs.jpeg8_decode(wanted))


@pytest.mark.parametrize("value", [np.nan, -np.nan])
@pytest.mark.parametrize("name", ["a.jpg", "a.exr"])
def test_what_is_no_number_is_refused(
    value: float, name: str, photo: np.ndarray, output: np.ndarray, tmp_path: Path
):
    output = output.copy()
    output[7, 9, 1] = value
    with pytest.raises(OutputError, match="not finite"):
        write_output(tmp_path / name, "extended_srgb", output, HdrOptions(photo=BasePhoto(photo)))
    assert not list(tmp_path.iterdir())


def test_decoding_is_that_of_the_table(output: np.ndarray):
    assert DECODERS["extended_srgb"] is decode_hdr
    assert set(LOG2_DECODERS) <= set(DECODERS)
