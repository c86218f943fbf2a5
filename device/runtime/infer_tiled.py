"""Photographs of any size through a build with stages to HDR files: what ``compile/infer.py`` does
with a build of ``--tiles``.

One after the other, for a large photograph takes the memory that there is. What is smaller than a
tile goes through the network as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from compile.imaging.base_photo import BasePhoto
from compile.imaging.carry_exif import Carried, carried_exif
from compile.imaging.decode_picture import DECODERS, smooth_picture
from compile.imaging.fit_size import best_fit
from compile.imaging.gain_map import make_gain_map
from compile.imaging.read_photo import StoredPhoto, photo_bytes, read_stored_photo
from compile.imaging.reduced_light import ReducedLight, reduce_photo
from compile.imaging.row_bands import row_bands
from compile.imaging.ultra_hdr import encode_base, join_gain_map
from compile.imaging.write_hdr import JPEG, HdrOptions, write_hdr
from compile.support.atomic import write_atomically
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.runtime.infer_photos import PhotoResult, run_photo
from device.runtime.run_artefact import Session
from device.runtime.tiled_network import Sink, TiledNetwork


def infer_tiled(
    session: Session,
    outputs: list[tuple[Path, Path]],
    options: HdrOptions,
    carried: Carried,
    console: Console,
) -> Generator[PhotoResult, None, None]:
    """Run and write each photograph, of any size, as
    :func:`device.runtime.infer_photos.infer_photos` does. The gain map of one that is larger than a
    tile has a quarter of its rows and columns.

    Raises:
        ArtefactError: a file of the build is damaged.
    """
    network = TiledNetwork(session.artefact)
    for photo, output in outputs:
        try:
            seconds = _infer(session, network, (photo, output), options, carried, console)
            yield PhotoResult(photo, output, seconds)
        except MqnetError as error:
            yield PhotoResult(photo, output, error=error)


def _infer(
    session: Session,
    network: TiledNetwork,
    paths: tuple[Path, Path],
    options: HdrOptions,
    carried: Carried,
    console: Console,
) -> float:
    """Make one of a photograph; the seconds that it was in the network."""
    path, output = paths
    data = photo_bytes(path)
    photo = read_stored_photo(path, data=data)
    of_photo = replace(
        options,
        exif=carried_exif(path, data, carried),
        photo=BasePhoto(photo.pixels, data, photo.is_stored),
        keeps_words=carried == "all",
        gamut=photo.gamut,
    )
    height, width, _ = photo.pixels.shape
    if best_fit(height, width, *session.artefact.size).scale == 1:
        light, seconds = run_photo(session, photo.pixels, "pad")
        write_hdr(output, light, of_photo)
        return seconds
    decoding = session.artefact.manifest.decoding
    decode = DECODERS[decoding]
    run = _Run(network, photo, path.name, console)
    del photo, data
    if output.suffix.lower() in JPEG:
        reduced = ReducedLight(*run.size)
        run.run(lambda rows, columns, part: reduced.add(rows, columns, decode(part)))
        seconds, reduced_base = run.seconds, reduce_photo(run.pixels)
        base = _encode_base(of_photo)
        del run, of_photo  # With the pixels, whose memory the gain map needs.
        gains = make_gain_map(reduced.light.astype(np.float32), reduced_base)
        write_atomically(output, join_gain_map(base, gains))
        return seconds
    light = np.empty((*run.size, 3), np.float32)

    def keep(rows: slice, columns: slice, part: NDArray[np.float32]) -> None:
        light[rows, columns] = part

    run.run(keep)
    smooth_picture(decoding, light, run.pixels)
    for rows in row_bands(*run.size):
        light[rows] = decode(light[rows])
    write_hdr(output, light, of_photo)
    return run.seconds


class _Run:
    """A photograph that is larger than a tile.

    Attributes:
        pixels: of the photograph; nobody else holds them.
        size: its height and width.
        seconds: that it was in the network.
    """

    def __init__(
        self,
        network: TiledNetwork,
        photo: StoredPhoto,
        name: str,
        console: Console,
    ) -> None:
        self.pixels = photo.pixels
        height, width, _ = photo.pixels.shape
        self.size = (height, width)
        self.seconds = 0.0
        self._network, self._name, self._console = network, name, console

    def run(self, sink: Sink) -> None:
        """Give what the network makes of all tiles to ``sink``."""
        total = self._network.count_tiles(*self.size)
        with Progress(self._console).count(f"{self._name}, tiles", total) as step:
            start = time.perf_counter()
            self._network.run(self.pixels, sink, step.advance)
            self.seconds = time.perf_counter() - start


def _encode_base(options: HdrOptions) -> bytes:
    assert options.photo is not None  # What `_infer` has put there.
    base, _ = encode_base(
        options.photo, options.exif, options.quality, options.keeps_words, options.gamut
    )
    return base
