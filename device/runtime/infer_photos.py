"""Photographs through a loaded network to HDR files: what ``compile/infer.py`` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from compile.imaging.base_photo import BasePhoto
from compile.imaging.carry_exif import Carried, carried_exif
from compile.imaging.decode_picture import DECODERS
from compile.imaging.fit_size import FitMode, fit_photo, unfit
from compile.imaging.read_photo import photo_bytes, read_photo
from compile.imaging.write_hdr import HdrOptions, write_hdr
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.runtime.run_artefact import Session


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
    decode = DECODERS[session.artefact.manifest.decoding]
    return decode(unfit(output, placement)), seconds


def infer_photos(
    session: Session,
    outputs: list[tuple[Path, Path]],
    mode: FitMode,
    options: HdrOptions,
    carried: Carried,
    console: Console,
) -> Iterator[PhotoResult]:
    """Run and write each photograph, by ``options`` and with what is ``carried`` of its own EXIF;
    one that fails does not stop the others."""
    with Progress(console).count("photographs", len(outputs)) as step:
        for photo, output in outputs:
            step.describe(photo.name)
            try:
                shrink_to = session.artefact.size if mode == "resize" else None
                data = photo_bytes(photo)
                pixels = read_photo(photo, shrink_to, data)
                linear, seconds = run_photo(session, pixels, mode)
                of_photo = replace(
                    options,
                    exif=carried_exif(photo, data, carried),
                    photo=BasePhoto(pixels, data),
                    keeps_words=carried == "all",
                )
                write_hdr(output, linear, of_photo)
                yield PhotoResult(photo, output, seconds)
            except MqnetError as error:
                yield PhotoResult(photo, output, error=error)
            step.advance()
