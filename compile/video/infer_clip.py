"""One clip through a build: what ``compile/infer.py`` does with videos and frames of a pipe."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from compile.artefact.reader import Artefact
from compile.imaging.fit_size import FitMode
from compile.support.atomic import atomic_path
from compile.support.errors import ClipError, OutputError
from compile.support.outputs import check_output_files
from compile.video.clip_format import USUAL_RATE
from compile.video.clip_kinds import CONTAINERS, PIPE
from compile.video.convert_clip import ClipConverter
from compile.video.encode_clip import ClipEncoder, EncoderOptions
from compile.video.light_levels import LightLevels
from compile.video.mux_clip import check_copies, mux_clip
from compile.video.open_clip import Clip, RawFrames
from compile.video.write_frames import FrameWriter

_RAW = re.compile(r"(\d+)x(\d+)(?:@(\d+(?:[./]\d+)?))?")


@dataclass(frozen=True)
class ClipRequest:
    """What is to be done.

    Attributes:
        source, output: files, or "-" for pipes.
        y4m: whether pipes carry YUV4MPEG2.
        raw: how frames without a header are, as "1280x768@25"; None where there are none.
        mode: what becomes of a frame that is larger than the network's.
        steady: whether light is kept where pictures stay as they are.
        threads: of each network.
        encoder: how frames are encoded.
    """

    source: str
    output: str
    y4m: bool
    raw: str | None
    mode: FitMode
    steady: bool
    threads: int | None
    encoder: EncoderOptions


def infer_clip(artefact: Artefact, request: ClipRequest, console: Console) -> dict[str, Any]:
    """Convert a clip; the summary.

    Raises:
        ClipError: it cannot be read.
        OutputError: the result cannot be written; nothing is left of it.
    """
    _check(artefact, request)
    raw = None if request.raw is None else _raw_frames(request.raw)
    with contextlib.closing(Clip(request.source, raw)) as clip:
        to_pipe = request.output == PIPE
        converter = ClipConverter(
            artefact, clip, request.mode, to_pipe, request.steady, request.threads
        )
        if to_pipe:
            rate = clip.format.rate or USUAL_RATE
            writer = FrameWriter(converter.size, rate, clip.format.aspect, request.y4m)
            levels = converter.convert(writer, console)
            copied = 0
        else:
            levels, copied = _to_file(converter, clip, request, console)
        summary = {"clip": request.source, "output": request.output, **converter.spent.as_json()}
        summary |= {"height": converter.size[0], "width": converter.size[1]}
        if not to_pipe:
            summary |= {"codec": request.encoder.codec, "copied_streams": copied}
        _say(console, request.output, converter, levels)
        return {**summary, **levels.as_json()}


def _to_file(
    converter: ClipConverter, clip: Clip, request: ClipRequest, console: Console
) -> tuple[LightLevels, int]:
    path = Path(request.output)
    source = None if request.source == PIPE else request.source
    if source is not None:
        check_copies(source, path)
    with _kept(path) as kept, atomic_path(path) as beside:
        encoder = ClipEncoder(request.encoder, converter.size, clip.format, clip.time_base, kept)
        levels = converter.convert(encoder, console)
        return levels, mux_clip(beside, path, encoder, levels, clip.format, source)


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[IO[bytes]]:
    """A file without a name on the disk of ``path``: whatever ends the process, it is gone."""
    try:
        folder = os.path.dirname(os.path.realpath(path))
        kept = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed below)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"{path} cannot be written ({reason}); write to a folder that is there and that you "
            "may change"
        ) from None
    try:
        yield kept
    finally:
        # What a full disk did not take is tried once more, and not needed any more.
        with contextlib.suppress(OSError):
            kept.close()


def _check(artefact: Artefact, request: ClipRequest) -> None:
    artefact.check_makes_pictures()
    pipes = PIPE in (request.source, request.output)
    if pipes and request.y4m == (request.raw is not None):
        raise ClipError("what a pipe carries is said by one of --y4m and --raw: give one of them")
    if not pipes and (request.y4m or request.raw is not None):
        raise ClipError("--y4m and --raw are of pipes: name one as -, or leave them out")
    if request.steady and artefact.manifest.decoding == "linear":
        raise ClipError(
            "--steady is for networks whose output is no light but a curve of it: leave it out"
        )
    if request.output != PIPE:
        inputs = [artefact.library.parent]
        inputs += [] if request.source == PIPE else [Path(request.source)]
        check_output_files([Path(request.output)], inputs, tuple(CONTAINERS))
        if Path(request.output).suffix.lower() == ".mov" and request.encoder.codec == "av1":
            raise OutputError(
                f"{request.output} cannot hold AV1: give --codec hevc, or name a file that ends in "
                ".mkv or .mp4"
            )


def _raw_frames(text: str) -> RawFrames:
    match = _RAW.fullmatch(text)
    if match is None or 0 in (int(match[1]), int(match[2])):
        raise ClipError(f"--raw {text} is no size of frames: give one such as 1280x768@25")
    rate = USUAL_RATE
    with contextlib.suppress(ZeroDivisionError):
        rate = Fraction(match[3] or USUAL_RATE)
    return RawFrames(int(match[2]), int(match[1]), rate or USUAL_RATE)


def _say(console: Console, output: str, converter: ClipConverter, levels: LightLevels) -> None:
    line = (
        f"{output}  {converter.spent.frames} frames, {converter.spent.text()}, "
        f"MaxCLL {levels.max_cll}, MaxFALL {levels.max_fall}"
    )
    console.print(line, highlight=False, markup=False, soft_wrap=True)
