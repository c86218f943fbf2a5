"""Frames of HDR10 to packets of HEVC or AV1, kept until it is known how bright they are."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Literal

import av
import numpy as np
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from compile.support.errors import ClipError
from compile.video.clip_format import USUAL_RATE, ClipFormat
from compile.video.hdr10_messages import container_packet
from compile.video.light_converter import HdrFrame
from compile.video.light_levels import LightLevels
from compile.video.matroska_light import with_light

VideoCodec = Literal["hevc", "av1"]

# ITU-T H.273: BT.2020, PQ, BT.2020 with non-constant luminance; and the narrow range of FFmpeg.
_PRIMARIES, _TRANSFER, _MATRIX, _NARROW = 9, 16, 9, 1
_PIXELS = "yuv420p10le"
_FASTEST, _POOL_CORES = 10, 4
_X265_PRESETS = (
    "placebo",
    "veryslow",
    "slower",
    "slow",
    "medium",
    "fast",
    "faster",
    "veryfast",
    "superfast",
    "superfast",
    "ultrafast",
)
#: Of constant quality, unless one is given.
USUAL_CRF: Mapping[str, int] = {"hevc": 20, "av1": 28}
MOST_CRF: Mapping[str, int] = {"hevc": 51, "av1": 63}


@dataclass(frozen=True)
class EncoderOptions:
    """How frames are encoded.

    Attributes:
        codec: "hevc" or "av1".
        crf: constant rate factor of its encoder: the larger, the smaller the file.
        speed: 0 (slowest, smallest file) to 10.
    """

    codec: VideoCodec = "av1"
    crf: int | None = None
    speed: int = 10


@dataclass(frozen=True)
class _Kept:
    """Where a packet lies in the file, and its times."""

    size: int
    pts: int
    dts: int
    duration: int
    is_key: bool


class ClipEncoder:
    """Encodes the frames of a clip.

    Args:
        options: of the encoder.
        size: height and width of the frames.
        clip: that they are made of.
        time_base: of their times.
        kept: a file, open for reading and writing, that the packets go to.

    Raises:
        ClipError: the encoder does not take frames of that size.
    """

    def __init__(
        self,
        options: EncoderOptions,
        size: tuple[int, int],
        clip: ClipFormat,
        time_base: Fraction,
        kept: IO[bytes],
    ) -> None:
        self.codec, self._size, self._file = options.codec, size, kept
        self._packets: list[_Kept] = []
        self._durations: dict[int, int] = {}
        self._usual_duration = max(1, round(1 / (clip.rate or USUAL_RATE) / time_base))
        # A container of one packet: the result's header is made of its, with the light in it.
        self._header = io.BytesIO()
        self._container: OutputContainer = av.open(
            self._header, "w", format="matroska", container_options={"live": "1"}
        )
        name, own = _encoder(options)
        stream = self._container.add_stream(name, clip.rate or USUAL_RATE, own)
        assert isinstance(stream, VideoStream)
        self._stream, context = stream, stream.codec_context
        # Of an odd height or width one more: both codecs count in pairs here.
        self._height, self._width = (side + side % 2 for side in size)
        context.width, context.height, context.pix_fmt = self._width, self._height, _PIXELS
        context.time_base = self._time_base = time_base
        context.color_primaries, context.color_trc = _PRIMARIES, _TRANSFER
        context.colorspace, context.color_range = _MATRIX, _NARROW
        if clip.aspect:
            context.sample_aspect_ratio = clip.aspect
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise ClipError(
                f"{name} does not encode frames of {self._width}x{self._height} ({error}): choose "
                "another --codec or size"
            ) from None

    def encode(self, frame: HdrFrame, pts: int, duration: int) -> None:
        """Take the next frame."""
        picture = _picture(frame, self._size, (self._height, self._width))
        picture.pts, picture.time_base, picture.duration = pts, self._time_base, duration
        # Not every encoder passes it on.
        self._durations[pts] = duration or self._usual_duration
        picture.color_primaries, picture.color_trc = _PRIMARIES, _TRANSFER
        picture.colorspace, picture.color_range = _MATRIX, _NARROW
        self._keep(self._stream.encode(picture))

    def finish(self) -> None:
        """Encode what is left."""
        self._keep(self._stream.encode(None))

    def template(self, levels: LightLevels) -> VideoStream:
        """A stream that is described as the result's shall be, with ``levels``."""
        self._container.close()
        # Read in one go, as what is behind the header has moved.
        container = av.open(_Forward(with_light(self._header.getvalue(), levels)), "r")
        return container.streams.video[0]

    def packets(self, levels: LightLevels) -> Iterator[Packet]:
        """All packets in the order of decoding, with ``levels`` in each that it can start at."""
        self._file.seek(0)
        for one in self._packets:
            data = self._file.read(one.size)
            said = levels if one.is_key else None
            packet = Packet(container_packet(self.codec, data, said))
            packet.pts, packet.dts, packet.duration = one.pts, one.dts, one.duration
            packet.time_base, packet.is_keyframe = self._time_base, one.is_key
            yield packet

    def _keep(self, packets: list[Packet]) -> None:
        for packet in packets:
            data = bytes(packet)
            assert packet.pts is not None and packet.dts is not None
            duration = packet.duration or self._durations.get(packet.pts, self._usual_duration)
            times = (packet.pts, packet.dts, duration)
            self._packets.append(_Kept(len(data), *times, packet.is_keyframe))
            self._file.write(data)
            if len(self._packets) == 1:
                self._container.mux(packet)


def _encoder(options: EncoderOptions) -> tuple[str, dict[str, str]]:
    crf = str(USUAL_CRF[options.codec] if options.crf is None else options.crf)
    if options.codec == "hevc":
        # Without B-frames the times of decoding are those of showing, and never before the first.
        # With few cores its pool of threads waits longer than one thread takes.
        own = "bframes=0:repeat-headers=0:info=0:log-level=none:chromaloc=0"
        if len(os.sched_getaffinity(0)) < _POOL_CORES:
            own += ":pools=none:frame-threads=1:wpp=0"
        return "libx265", {
            "preset": _X265_PRESETS[options.speed],
            "crf": crf,
            "x265-params": own,
        }
    os.environ.setdefault("SVT_LOG", "1")  # Errors alone.
    # The more of its threads, the more they cost: most cores are the network's.
    threads = max(1, min(6, len(os.sched_getaffinity(0)) // 4))
    own = f"chroma-sample-position=left:lp={threads}"
    if options.speed == _FASTEST:
        own += ":enable-tf=0:hierarchical-levels=3:lookahead=0"
    return "libsvtav1", {"preset": str(options.speed + 1), "crf": crf, "svtav1-params": own}


def _picture(frame: HdrFrame, size: tuple[int, int], padded: tuple[int, int]) -> VideoFrame:
    height, width = size
    rows, columns = -(-height // 2), -(-width // 2)
    picture = VideoFrame(padded[1], padded[0], _PIXELS)
    chroma = height * width, height * width + rows * columns
    planes = (
        frame.planes[: chroma[0]].reshape(height, width),
        frame.planes[chroma[0] : chroma[1]].reshape(rows, columns),
        frame.planes[chroma[1] :].reshape(rows, columns),
    )
    for plane, samples in zip(picture.planes, planes, strict=True):
        whole = np.frombuffer(memoryview(plane), np.uint16).reshape(
            plane.height, plane.line_size // 2
        )
        taken = whole[: samples.shape[0], : samples.shape[1]]
        taken[:] = samples
        whole[samples.shape[0] :, : plane.width] = whole[samples.shape[0] - 1, : plane.width]
        whole[:, samples.shape[1] : plane.width] = whole[:, samples.shape[1] - 1, None]
    return picture


class _Forward:
    """A file that is read from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        """The next bytes."""
        return self._data.read(size)
