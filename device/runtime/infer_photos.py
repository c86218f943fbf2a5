"""Photographs through a loaded network to HDR files: what ``compile/infer.py`` does."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from compile.imaging.base_photo import BasePhoto
from compile.imaging.carry_exif import Carried, carried_exif
from compile.imaging.decode_picture import finished_part, light_of
from compile.imaging.fit_size import FitMode, Placement, fit_photo, unfit
from compile.imaging.gamuts import Gamut
from compile.imaging.read_photo import photo_bytes, read_stored_photo
from compile.imaging.write_hdr import HdrOptions
from compile.imaging.write_output import write_output
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from compile.support.side_by_side import work_at_once, work_side_by_side
from device.runtime.networks import Networks
from device.runtime.run_artefact import Session, use_this_thread

# Than networks: while one waits for the disk or for Python, another has something to do. 4 % more
# photographs a second on two cores; with one thread more it is half of that.
_MORE_THREADS = 2


@dataclass(frozen=True)
class PhotoResult:
    """What became of one photograph or file of tensors.

    Attributes:
        photo, output: the files.
        seconds: of the frame in the network; 0.0 where it failed.
        error: why it failed, or None.
    """

    photo: Path
    output: Path
    seconds: float = 0.0
    error: MqnetError | None = None

    def as_json(self) -> dict[str, Any]:
        """One line of ``--json``."""
        line: dict[str, Any] = {"photo": str(self.photo), "output": str(self.output)}
        if self.error is None:
            return {**line, "ms": self.seconds * 1e3}
        return {**line, "error": str(self.error)}


@dataclass(frozen=True)
class _Read:
    """A photograph that is ready for the network.

    Attributes:
        paths: it and the file to write.
        data: of its file.
        gamut: whose primaries its numbers have; the network's light has the same.
        is_stored: whether its pixels are as they are in the file.
        frame: uint8 [H, W, 3] of the artefact's size.
        placement: where it is in it.
    """

    paths: tuple[Path, Path]
    data: bytes
    gamut: Gamut
    is_stored: bool
    frame: NDArray[np.uint8]
    placement: Placement


@dataclass(frozen=True)
class _Made:
    """What the network, in so many ``seconds``, has made of what was ``read``."""

    read: _Read
    output: NDArray[np.float32]
    seconds: float


def run_photo(
    session: Session, photo: NDArray[np.uint8], mode: FitMode
) -> tuple[NDArray[np.float32], float]:
    """Linear relative light, float32 [H,W,3] (1 = white), for ``photo`` uint8 [H,W,3], at the
    photograph's own size (with mode "resize" at the size that it was shrunk to); and the seconds
    that the network took.

    Raises:
        PhotoError: the photograph is larger than the network and ``mode`` is "pad".
    """
    frame, placement = fit_photo(photo, *session.artefact.size, mode)
    output, seconds = session.run(frame)
    return light_of(session.artefact.manifest.decoding, output, frame, placement), seconds


def infer_photos(
    networks: Networks,
    outputs: list[tuple[Path, Path]],
    mode: FitMode,
    options: HdrOptions,
    carried: Carried,
    console: Console,
) -> Generator[PhotoResult, None, None]:
    """Run and write each photograph, by ``options`` and with what is ``carried`` of its own EXIF;
    one that fails does not stop the others. While one is in the only network, the next are read and
    those before it written; where there are several, a few more threads do all for a photograph
    each, and wait for a network that is free."""
    size, decoding = networks.artefact.size, networks.artefact.manifest.decoding

    def read(paths: tuple[Path, Path]) -> _Read | PhotoResult:
        try:
            data = photo_bytes(paths[0])
            stored = read_stored_photo(paths[0], size if mode == "resize" else None, data)
            frame, placement = fit_photo(stored.pixels, *size, mode)
            is_stored = stored.is_stored and not placement.resized
            return _Read(paths, data, stored.gamut, is_stored, frame, placement)
        except MqnetError as error:
            return PhotoResult(*paths, error=error)

    def run(read: _Read | PhotoResult) -> _Made | PhotoResult:
        if isinstance(read, PhotoResult):
            return read
        step.describe(read.paths[0].name)
        try:
            return _Made(read, *networks.run(read.frame))
        except MqnetError as error:
            return PhotoResult(*read.paths, error=error)

    def write(made: _Made | PhotoResult) -> PhotoResult:
        if isinstance(made, PhotoResult):
            return made
        photo, output = made.read.paths
        placement, data = made.read.placement, made.read.data
        try:
            of_photo = replace(
                options,
                exif=carried_exif(photo, data, carried),
                photo=BasePhoto(unfit(made.read.frame, placement), data, made.read.is_stored),
                keeps_words=carried == "all",
                gamut=made.read.gamut,
            )
            part = finished_part(decoding, made.output, made.read.frame, placement)
            write_output(output, decoding, part, of_photo)
        except MqnetError as error:
            return PhotoResult(photo, output, error=error)
        return PhotoResult(photo, output, made.seconds)

    with Progress(console).count("photographs", len(outputs)) as step:
        if len(networks.sessions) == 1:
            results = work_side_by_side(outputs, read, run, write)
        else:
            results = work_at_once(
                outputs,
                lambda paths: write(run(read(paths))),
                len(networks.sessions) + _MORE_THREADS,
                use_this_thread,
            )
        for result in results:
            yield result
            step.advance()
