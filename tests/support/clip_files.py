"""Little clips: how they are made, and what a file says of its light, read by FFmpeg alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from picture_files import scene

RATE = 25
#: Of the sound: samples a second.
SAMPLES = 48000


def frames_of(count: int, height: int = 64, width: int = 96) -> list[NDArray[np.uint8]]:
    """A scene that goes to the left."""
    wide = scene(height, width + 2 * count)
    return [wide[:, 2 * number : 2 * number + width] for number in range(count)]


def write_clip(
    path: Path,
    frames: list[NDArray[np.uint8]],
    codec: str = "ffv1",
    pixels: str = "yuv420p",
    times: list[int] | None = None,
    sound: bool = False,
    rotation: int = 0,
    **context: Any,
) -> Path:
    """A clip of ``frames`` uint8 [H, W, 3] at ``times`` in milliseconds, each 40 after the one
    before unless given; ``context`` is what the encoder is told, such as ``color_trc``."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        track = container.add_stream("flac", SAMPLES) if sound else None
        for number, frame in enumerate(frames):
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24").reformat(
                format=pixels, dst_colorspace="ITU601"
            )
            picture.pts = 1000 // RATE * number if times is None else times[number]
            picture.time_base = Fraction(1, 1000)
            for name, value in context.items():
                if name.startswith("color"):
                    setattr(picture, name, value)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if track is not None:
            tone = np.sin(np.arange(SAMPLES // RATE * len(frames)) / 9) * 9000
            heard = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            heard.sample_rate, heard.pts = SAMPLES, 0
            container.mux(track.encode(heard))
            container.mux(track.encode(None))
    return path


@dataclass(frozen=True)
class SaidLight:
    """What a frame says of its clip: cd/m2, and x and y of red, green, blue and white."""

    max_cll: int
    max_fall: int
    smallest: float
    largest: float
    chromaticities: tuple[float, ...]


def said_light(frame: VideoFrame) -> SaidLight:
    """Of a frame that FFmpeg has decoded: AVContentLightMetadata and AVMasteringDisplayMetadata."""
    sides: Any = frame.side_data
    data = {one.type.name: bytes(one) for one in sides}
    cll, fall = struct.unpack("=2I", data["CONTENT_LIGHT_LEVEL"][:8])
    numbers = struct.unpack("=20i", data["MASTERING_DISPLAY_METADATA"][:80])
    *points, smallest, largest = (
        float(Fraction(*pair)) for pair in zip(numbers[::2], numbers[1::2], strict=True)
    )
    return SaidLight(cll, fall, smallest, largest, tuple(points))
