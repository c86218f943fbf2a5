"""The frames of a clip, from a file or a pipe, as a network takes them: 8-bit RGB, with times."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container.input import InputContainer
from av.filter.graph import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from compile.support.errors import ClipError
from compile.video.clip_format import ClipFormat, clip_format
from compile.video.clip_kinds import PIPE

logger = logging.getLogger(__name__)

_AGAIN = "copy or make it again"
# What a decoder would paint over is said.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
_LEAST_SHARE, _SLACK_SECONDS = 0.9, 1
_STDIN = 0
_Y4M = "yuv4mpegpipe"


@dataclass(frozen=True)
class RawFrames:
    """Frames of a pipe without a header: 8-bit RGB.

    Attributes:
        height, width: of each.
        rate: a second.
    """

    height: int
    width: int
    rate: Fraction


@dataclass(frozen=True)
class ClipFrame:
    """A frame.

    Attributes:
        photo: uint8 [H, W, 3].
        pts, duration: in the clip's time base; a duration of 0 is not known.
    """

    photo: NDArray[np.uint8]
    pts: int
    duration: int


class _Stdin:
    """Stdin as FFmpeg reads it, and how much of it.

    Attributes:
        count: bytes read.
    """

    def __init__(self) -> None:
        self.count = 0

    def read(self, most: int) -> bytes:
        """The next bytes, at least one and at ``most`` that many; none at the end."""
        data = os.read(_STDIN, most)
        self.count += len(data)
        return data


class Clip:
    """A clip that is open.

    Attributes:
        name: of the file, for messages.
        format: of its frames.
        time_base: seconds of a step of its times.
        count: of its frames, as far as the file says; None where nothing does.

    Raises:
        ClipError: it cannot be read, or :func:`compile.video.clip_format.clip_format` refuses it.
    """

    def __init__(self, source: str, raw: RawFrames | None = None) -> None:
        self.name = "stdin" if source == PIPE else source
        if source == PIPE and sys.stdin is not None and sys.stdin.isatty():
            raise ClipError("stdin is a terminal: send frames through a pipe, or name a file")
        self._stdin = _Stdin() if source == PIPE and raw is None else None
        with self._said():
            self._container = _open(source, raw, self._stdin)
        if not self._container.streams.video:
            raise ClipError(f"{self.name} has no video stream: name a clip with moving pictures")
        self.stream: VideoStream = _moving(self._container, self.name)
        # One thread is what a network beside it leaves, and what it costs can be told.
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.options = _STRICT
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise ClipError(f"{self.name} has no frame: {_AGAIN}")
        self._first: VideoFrame | None = first
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.format: ClipFormat = clip_format(self.name, first, self.stream.codec_context, rate)
        self.time_base: Fraction = self.stream.time_base or Fraction(1, 1000)
        self.count = self._stated_count()
        self._graph = _field_joiner(self.stream) if self.format.interlaced else None

    def close(self) -> None:
        """Read no more of it."""
        self._container.close()

    def frames(self, height: int, width: int) -> Iterator[ClipFrame]:
        """Each frame, shrunk to a height and width where its own are others.

        Raises:
            ClipError: it is damaged.
        """
        first = last = -1
        count = 0
        for frame in self._joined():
            pts = frame.pts if frame.pts is not None else last + 1
            if pts <= last and count:
                continue  # The times of a damaged file go back: it would be shown never.
            photo = self._photo(frame, height, width)
            yield ClipFrame(photo, pts, frame.duration or 0)
            first, last, count = first if count else pts, pts, count + 1
        self._warn_of_the_end((last - first) * self.time_base)

    def _warn_of_the_end(self, seconds: Fraction) -> None:
        whole = Fraction(self._container.duration or 0, av.time_base)
        if seconds < whole * _LEAST_SHARE - _SLACK_SECONDS:
            shown = (self.name, float(seconds), float(whole))
            logger.warning("the pictures of %s end after %.1f s of %.1f s", *shown)

    def _photo(self, frame: VideoFrame, height: int, width: int) -> NDArray[np.uint8]:
        shrinks = (height, width) != (self.format.height, self.format.width)
        with self._said():
            rgb = frame.reformat(
                width,
                height,
                "rgb24",
                src_colorspace=self.format.matrix,
                src_color_range="JPEG" if self.format.full_range else "MPEG",
                dst_color_range="JPEG",
                interpolation="LANCZOS" if shrinks else "BILINEAR",
                threads=1,
            )
            return np.asarray(rgb.to_ndarray(), np.uint8)

    def _joined(self) -> Iterator[VideoFrame]:
        """The frames as decoded, or with fields that are made whole frames."""
        assert self._first is not None
        first, self._first = self._first, None
        if self._graph is None:
            yield first
            yield from self._decoded
            return
        for frame in (first, *self._decoded):
            self._graph.push(frame)
            yield from _pulled(self._graph)
        self._graph.push(None)
        yield from _pulled(self._graph)

    def _decode(self) -> Iterator[VideoFrame]:
        end = 0
        with self._said():
            for packet in self._container.demux(self.stream):
                end = max(end, (packet.pos or 0) + packet.size)
                for frame in packet.decode():
                    assert isinstance(frame, VideoFrame)
                    if frame.is_corrupt:
                        raise ClipError(f"{self.name} is damaged at {frame.time:.2f} s: {_AGAIN}")
                    yield frame
        self._check_end(end)

    def _check_end(self, end: int) -> None:
        """FFmpeg's demuxer of YUV4MPEG2 passes over a frame that is cut short without a word."""
        if self._stdin is not None:
            size, remedy = self._stdin.count, "look for an error of the program that writes it"
        elif self._container.format.name == _Y4M:
            size, remedy = Path(self.name).stat().st_size, _AGAIN
        else:
            return
        if size > end:
            raise ClipError(f"{self.name} ends within a frame: {remedy}")

    def _stated_count(self) -> int | None:
        if self.stream.frames:
            return self.stream.frames
        rate, duration = self.format.rate, self._container.duration
        if not rate or not duration or self.name == "stdin":
            return None
        return max(1, round(duration / av.time_base * rate))

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Errors of FFmpeg as a sentence."""
        try:
            yield
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            reason = (error.strerror or str(error)).lower()
            raise ClipError(f"{self.name} cannot be read ({reason}): name a clip") from None
        except (av.FFmpegError, ValueError):
            # FFmpeg's own reason is of no help: a header of sizes that cannot be is "busy".
            raise ClipError(
                f"{self.name} is no clip that FFmpeg reads, or damaged: {_AGAIN}"
            ) from None


def _open(source: str, raw: RawFrames | None, stdin: _Stdin | None) -> InputContainer:
    if source != PIPE:
        if Path(source).is_dir():
            raise ClipError(f"{source} is a folder: name a clip in it")
        # What a protocol would take for an address is a file.
        return av.open(f"file:{source}", "r")
    if stdin is not None:
        return av.open(stdin, "r", format=_Y4M)
    assert raw is not None
    options = {
        "video_size": f"{raw.width}x{raw.height}",
        "pixel_format": "rgb24",
        "framerate": str(raw.rate),
    }
    return av.open("pipe:0", "r", format="rawvideo", options=options)


def _moving(container: InputContainer, name: str) -> VideoStream:
    """The first video stream that is not the picture of an album."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise ClipError(
        f"{name} has no video stream but a still picture: name a clip with moving pictures"
    )


def _field_joiner(stream: VideoStream) -> Graph:
    """A filter that makes each pair of fields one whole frame."""
    graph = Graph()
    source = graph.add_buffer(template=stream)
    joiner = graph.add("bwdif", "mode=send_frame:deint=all")
    source.link_to(joiner)
    joiner.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    with contextlib.suppress(BlockingIOError, EOFError):
        while True:
            frame = graph.pull()
            assert isinstance(frame, VideoFrame)
            yield frame
