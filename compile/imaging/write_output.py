"""What a network gives, as an HDR file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_picture import DECODERS, LOG2_DECODERS
from compile.imaging.gain_map import OFFSET, GainMap, gain_map_of_logs
from compile.imaging.ultra_hdr import encode_with_map
from compile.imaging.write_hdr import JPEG, HdrOptions, not_finite, write_hdr
from compile.support.atomic import write_atomically


def write_output(
    path: Path, decoding: str, output: NDArray[np.float32], options: HdrOptions
) -> None:
    """Write what a network of that ``decoding`` gives for a photograph, float32 [H, W, 3], by the
    file's ending, as :func:`compile.imaging.write_hdr.write_hdr` writes its light.

    A JPEG needs the light's logarithm alone, which there may be a shorter way to.

    Args:
        options: with the photograph.

    Raises:
        OutputError: as of write_hdr.
    """
    log2_of = LOG2_DECODERS.get(decoding)
    if log2_of is None or path.suffix.lower() not in JPEG:
        write_hdr(path, DECODERS[decoding](output), options)
        return
    if not np.isfinite(output.max()):
        raise not_finite(path)

    def make_map(pixels: NDArray[np.uint8]) -> GainMap:
        return gain_map_of_logs(lambda rows: log2_of(output[rows], OFFSET), pixels)

    assert options.photo is not None
    data = encode_with_map(
        *(make_map, options.photo, options.exif),
        *(options.quality, options.keeps_words, options.gamut),
    )
    write_atomically(path, data)
