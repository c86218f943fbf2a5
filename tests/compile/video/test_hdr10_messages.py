"""What streams and containers say of their light, as FFmpeg reads it."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from clip_files import RATE, SaidLight, said_light
from picture_files import D65, SRGB

from compile.video.clip_format import ClipFormat
from compile.video.encode_clip import ClipEncoder, EncoderOptions, VideoCodec
from compile.video.hdr10_messages import container_packet
from compile.video.light_converter import HdrFrame
from compile.video.light_levels import LevelMeter, LightLevels

SIZE = 64, 96
FORMAT = ClipFormat(
    *SIZE, Fraction(RATE), None, (*SRGB, *D65), np.eye(3), None, False, False, 0, None
)
# 0.005 and 16 cd/m2 have zeros in their bytes, which look like the start of a unit of HEVC.
LEVELS = [
    LightLevels(1000, 203, 1000.0, 0.005, FORMAT.primaries),
    LightLevels(16, 1, 16.0, 0.0256, FORMAT.primaries),
]


def encoded(codec: VideoCodec) -> ClipEncoder:
    """Three frames."""
    kept = io.BytesIO()
    encoder = ClipEncoder(EncoderOptions(codec), SIZE, FORMAT, Fraction(1, 1000), kept)
    for number in range(3):
        planes = np.full(SIZE[0] * SIZE[1] * 3 // 2, 512 + number, np.uint16)
        encoder.encode(HdrFrame(planes, np.zeros((SIZE[0], 3), np.float32)), 40 * number, 40)
    encoder.finish()
    return encoder


def written(encoder: ClipEncoder, levels: LightLevels, kind: str) -> bytes:
    """A whole file."""
    whole = io.BytesIO()
    with av.open(whole, "w", format=kind) as container:
        stream = container.add_stream_from_template(encoder.template(levels), opaque=True)
        for packet in encoder.packets(levels):
            packet.stream = stream
            container.mux(packet)
    return whole.getvalue()


@pytest.mark.parametrize("levels", LEVELS, ids=lambda levels: str(levels.max_cll))
@pytest.mark.parametrize(("codec", "kind"), [("hevc", "hevc"), ("av1", "obu")])
def test_a_stream_says_it(codec: VideoCodec, kind: str, levels: LightLevels) -> None:
    """Without a container that could."""
    raw = written(encoded(codec), levels, kind)
    with av.open(io.BytesIO(raw), format=kind) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 3
    check(said_light(frames[0]), levels)
    colours = {(one.color_primaries, one.color_trc, one.colorspace) for one in frames}
    assert colours == {(9, 16, 9)}


@pytest.mark.parametrize("kind", ["matroska", "mp4"])
def test_a_container_says_it(kind: str) -> None:
    """Without a word in its stream."""
    levels = LEVELS[0]
    whole = written(encoded("av1"), levels, kind)
    # Of the same length, so that all else stays where it is: messages of a kind that is nobody's.
    for said, nothing in ((b"\x2a\x1a\x02", b"\x2a\x1a\x1f"), (b"\x2a\x06\x01", b"\x2a\x06\x1f")):
        assert whole.count(said) == 1
        whole = whole.replace(said, nothing)
    with av.open(io.BytesIO(whole)) as container:
        check(said_light(next(container.decode(video=0))), levels)


def check(said: SaidLight, levels: LightLevels) -> None:
    assert (said.max_cll, said.max_fall) == (levels.max_cll, levels.max_fall)
    assert said.largest == levels.largest
    assert said.smallest == pytest.approx(levels.smallest, abs=5e-5)
    assert said.chromaticities == pytest.approx(levels.primaries, abs=2e-5)


def test_a_packet_without_a_picture() -> None:
    for codec, packet in (("hevc", b"\0\0\0\1\x40\1\x0c"), ("av1", b"\x12\0")):
        with pytest.raises(ValueError, match="without a picture"):
            container_packet(codec, packet, LEVELS[0])


def test_levels_of_a_clip() -> None:
    """CTA-861.3: the brightest pixel of all, and the brightest mean of a frame."""
    meter = LevelMeter(FORMAT.primaries)
    for largest, smallest, mean in ((800.4, 0.5, 100.0), (600.0, 0.0123, 150.6)):
        meter.add(np.tile(np.float32([largest, smallest, mean]), (4, 1)))
    assert meter.levels() == LightLevels(800, 151, 800.0, 0.0123, FORMAT.primaries)
