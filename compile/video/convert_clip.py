"""A clip through a network: frames are decoded, sent through it and encoded side by side."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from compile.artefact.reader import Artefact
from compile.imaging.decode_picture import smooth_picture
from compile.imaging.fit_size import FitMode, best_fit, fit_photo, unfit
from compile.support.errors import ClipError
from compile.support.progress import Progress
from compile.support.side_by_side import BEHIND, work_side_by_side
from compile.video.light_converter import HdrFrame, LightConverter
from compile.video.light_levels import LevelMeter, LightLevels
from compile.video.open_clip import Clip, ClipFrame
from compile.video.steady_light import SteadyLight
from device.runtime.run_artefact import Session

_SHOW_SECONDS = 0.5
STAGES = ("decode", "network", "light", "encode")


class FrameSink(Protocol):
    """What frames go to."""

    def encode(self, frame: HdrFrame, pts: int, duration: int) -> None:
        """Take the next frame."""

    def finish(self) -> None:
        """Take no more."""


@dataclass
class Spent:
    """What a clip has cost so far.

    Attributes:
        frames: that are done.
        seconds: of all of it.
        first: of them, until the first frame was done.
        cpu: seconds of processor time of each of :data:`STAGES`; what no other stage has taken is
            the encoder's, whose threads are its own.
    """

    frames: int = 0
    seconds: float = 0.0
    first: float = 0.0
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @property
    def rate(self) -> float:
        """Frames a second, from the first on: before it the network is loaded."""
        if self.frames < 2 or self.seconds <= self.first:
            return self.frames / self.seconds if self.seconds else 0.0
        return (self.frames - 1) / (self.seconds - self.first)

    def shares(self) -> dict[str, float]:
        """Of each stage in the processor time of all."""
        total = sum(self.cpu.values()) or 1.0
        return {stage: one / total for stage, one in self.cpu.items()}

    def text(self) -> str:
        """For people."""
        shares = ", ".join(f"{stage} {share:.0%}" for stage, share in self.shares().items())
        return f"{self.rate:.1f} frames/s ({shares})"

    def as_json(self) -> dict[str, Any]:
        """Part of the summary of ``--json``."""
        shares = {stage: round(one, 4) for stage, one in self.shares().items()}
        each = {stage: one / max(1, self.frames) * 1e3 for stage, one in self.cpu.items()}
        return {
            "frames": self.frames,
            "seconds": self.seconds,
            "frames_per_second": self.rate,
            "shares": shares,
            "cpu_ms": each,
        }


class ClipConverter:
    """Converts a clip of one size.

    Args:
        artefact: the network.
        clip: that is open.
        mode: what becomes of a frame that is larger than the network's.
        turned: whether frames are turned as the clip says, for what cannot say it any more.
        steady: whether light is kept where pictures stay as they are.
        threads: of each network; as many as share the cores unless given.

    Raises:
        ClipError: the frames are larger than the network's and ``mode`` is "pad".
    """

    def __init__(
        self,
        artefact: Artefact,
        clip: Clip,
        mode: FitMode,
        turned: bool,
        steady: bool,
        threads: int | None,
    ) -> None:
        self._artefact, self._clip = artefact, clip
        self._turns = clip.format.turned // 90 if turned else 0
        self._read_size = _read_size(clip, artefact.size, mode)
        #: Height and width of what is made.
        self.size = self._read_size[::-1] if self._turns % 2 else self._read_size
        self._steady = SteadyLight() if steady else None
        decoding = artefact.manifest.decoding
        self._converter = LightConverter(self.size, decoding, clip.format.to_bt2020, steady)
        cores = len(os.sched_getaffinity(0))
        # Two networks of half the threads wait less than one of all beside decoder and encoder.
        self._threads = threads or max(1, min(artefact.manifest.threads, cores // BEHIND))
        self._own = threading.local()
        self.spent = Spent()

    def convert(self, sink: FrameSink, console: Console) -> LightLevels:
        """Send all frames to ``sink``; how bright they are."""
        meter = LevelMeter(self._clip.format.primaries)
        began, cpu_before, shown = time.perf_counter(), time.process_time(), 0.0
        frames = self._clip.frames(*self._read_size)
        spent, cpu = self.spent, self.spent.cpu

        def take(_: None) -> ClipFrame | None:
            before = time.thread_time()
            frame = next(frames, None)
            cpu["decode"] += time.thread_time() - before
            return frame

        work = work_side_by_side(
            itertools.repeat(None), take, _passed, self._run, finish_is_long=True
        )
        with (
            contextlib.closing(work),
            Progress(console).count("frames", self._clip.count) as step,
        ):
            for made in work:
                if made is None:
                    break
                frame, photo, output, seconds = made
                cpu["network"] += seconds
                before = time.thread_time()
                hdr = self._hdr_frame(photo, output)
                cpu["light"] += time.thread_time() - before
                meter.add(hdr.levels)
                sink.encode(hdr, frame.pts, frame.duration)
                spent.frames += 1
                spent.seconds = time.perf_counter() - began
                spent.first = spent.first or spent.seconds
                self._count_encoder(cpu_before)
                if spent.seconds - shown > _SHOW_SECONDS:
                    shown = spent.seconds
                    step.describe(spent.text())
                step.advance()
            sink.finish()
        spent.seconds = time.perf_counter() - began
        self._count_encoder(cpu_before)
        return meter.levels()

    def _run(
        self, frame: ClipFrame | None
    ) -> tuple[ClipFrame, NDArray[np.uint8], NDArray[np.float32], float] | None:
        """The frame, upright, what a network makes of it, and how long its processors took; in a
        thread with a network of its own."""
        if frame is None:
            return None
        if not hasattr(self._own, "session"):
            alone = self._threads == 1
            self._own.session = Session(self._artefact, self._threads, on_this_thread=alone)
        photo = np.rot90(frame.photo, self._turns) if self._turns else frame.photo
        padded, placement = fit_photo(photo, *self._artefact.size)
        before = time.thread_time()
        output, _ = self._own.session.run(padded)
        seconds = (time.thread_time() - before) * self._threads
        smooth_picture(self._artefact.manifest.decoding, output, padded)
        return frame, photo, unfit(output, placement), seconds

    def _hdr_frame(self, photo: NDArray[np.uint8], output: NDArray[np.float32]) -> HdrFrame:
        if self._steady is None:
            return self._converter.convert(output, photo)
        correction = self._steady.next(self._converter.cells(output, photo))
        return self._converter.convert(output, photo, correction)

    def _count_encoder(self, cpu_before: float) -> None:
        cpu = self.spent.cpu
        others = sum(cpu[stage] for stage in STAGES if stage != "encode")
        cpu["encode"] = max(0.0, time.process_time() - cpu_before - others)


def _passed(frame: ClipFrame | None) -> ClipFrame | None:
    return frame


def _read_size(clip: Clip, most: tuple[int, int], mode: FitMode) -> tuple[int, int]:
    height, width = clip.format.height, clip.format.width
    scale, _ = best_fit(height, width, *most)
    if scale < 1 and mode == "pad":
        raise ClipError(
            f"the frames of {clip.name} are {width}x{height} pixels but the artefact takes at most "
            f"{most[1]}x{most[0]}; shrink them with --resize or build a larger artefact"
        )
    if scale == 1:
        return height, width
    # Even, as the codecs of videos count.
    return max(2, int(height * scale) // 2 * 2), max(2, int(width * scale) // 2 * 2)
