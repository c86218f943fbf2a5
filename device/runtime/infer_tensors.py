"""Photographs or tensors through a loaded network to files of tensors: what ``compile/infer.py``
does where a picture is not what is wanted."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
from rich.console import Console

from compile.imaging.fit_size import FitMode, fit_photo, unfit
from compile.imaging.read_photo import read_photo
from compile.support.errors import ArtefactError, MqnetError
from compile.support.frame import Frame, frame_of
from compile.support.progress import Progress
from device.runtime.infer_photos import PhotoResult
from device.runtime.run_artefact import Session
from device.runtime.tensor_files import (
    TENSOR_ENDINGS,
    check_writes_tensors,
    read_tensors,
    write_tensors,
)


def infer_tensors(
    session: Session, outputs: list[tuple[Path, Path]], mode: FitMode, console: Console
) -> Generator[PhotoResult, None, None]:
    """Run each input and write what the network gives; one that fails does not stop the others.

    A network of photographs takes files of tensors, too: its bytes as they are, uint8 [1, H, W, C].
    """
    manifest = session.artefact.manifest
    for _, output in outputs:
        check_writes_tensors(output, manifest.outputs)
    with Progress(console).count("frames", len(outputs)) as step:
        for source, output in outputs:
            step.describe(source.name)
            try:
                is_photo = source.suffix.lower() not in TENSOR_ENDINGS
                run = _run_photo if manifest.takes_photographs and is_photo else _run_tensors
                made, seconds = run(session, source, mode)
                write_tensors(output, made, manifest.outputs)
                yield PhotoResult(source, output, seconds)
            except MqnetError as error:
                yield PhotoResult(source, output, error=error)
            step.advance()


def _run_tensors(session: Session, source: Path, _mode: FitMode) -> tuple[Frame, float]:
    return session.run_frame(read_tensors(source, session.artefact.manifest.inputs))


def _run_photo(session: Session, source: Path, mode: FitMode) -> tuple[Frame, float]:
    """The outputs for a photograph, of which pictures of its size lose what was padded."""
    size, manifest = session.artefact.size, session.artefact.manifest
    pixels = read_photo(source, size if mode == "resize" else None)
    channels = manifest.inputs[0].shape[3]
    if channels not in (1, 3):
        raise ArtefactError(
            f"the network takes {channels} channels, and a photograph has 3 or, in grey, 1"
        )
    frame, placement = fit_photo(pixels, *size, mode)
    if channels == 1:
        frame = frame.mean(axis=2, keepdims=True).round().astype(np.uint8)
    made, seconds = session.run_frame(frame_of(frame))
    if manifest.makes_pictures and made[0].shape[1:3] == size:
        made = (unfit(made[0][0], placement)[None],)
    return made, seconds
