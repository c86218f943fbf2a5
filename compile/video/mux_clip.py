"""The result of a clip: its new pictures, and its sound, subtitles, chapters and words copied."""

from __future__ import annotations

import contextlib
import heapq
import io
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
from av.container.input import InputContainer
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream

from compile.support.errors import OutputError
from compile.video.clip_format import ClipFormat
from compile.video.clip_kinds import CONTAINERS
from compile.video.encode_clip import ClipEncoder
from compile.video.light_levels import LightLevels

logger = logging.getLogger(__name__)

_COPIED = ("audio", "subtitle")
# Words of a file that are of the old one.
_OWN_WORDS = ("major_brand", "minor_version", "compatible_brands", "encoder")


def check_copies(source: str, shown: Path) -> None:
    """Raise where ``shown`` cannot hold the sound or subtitles of the file ``source``.

    Raises:
        OutputError: the kind of file does not take one of the streams.
    """
    with av.open(f"file:{source}", "r") as original:
        for stream in original.streams:
            if stream.type in _COPIED and not _takes(CONTAINERS[shown.suffix.lower()], stream):
                codec = stream.codec_context.name
                other = ".mkv" if shown.suffix.lower() != ".mkv" else ".mp4"
                raise OutputError(
                    f"{shown} cannot hold {stream.type} of {codec}, which the clip has: name a "
                    f"file that ends in {other}"
                )


def _takes(kind: str, stream: Stream) -> bool:
    """Whether a file of that ``kind`` can begin with the ``stream``: some codecs are refused when
    it is added, others when the header is written."""
    trial = av.open(io.BytesIO(), "w", format=kind)
    try:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
    except ValueError:
        return False
    finally:
        with contextlib.suppress(av.FFmpegError):  # It has no packets.
            trial.close()
    return True


def mux_clip(
    path: Path,
    shown: Path,
    encoder: ClipEncoder,
    levels: LightLevels,
    clip: ClipFormat,
    source: str | None,
) -> int:
    """Write a clip; returns how many streams of ``source`` were copied.

    Args:
        path: file to write.
        shown: its name, for messages.
        encoder: has all of its frames.
        levels: how bright they are.
        clip: what they were made of.
        source: file that has the sound, which :func:`check_copies` has seen; None for none.
    """
    kind = CONTAINERS[shown.suffix.lower()]
    with contextlib.ExitStack() as opened:
        original = opened.enter_context(av.open(f"file:{source}", "r")) if source else None
        output = opened.enter_context(av.open(str(path), "w", format=kind))
        # The encoder is none of this container's: the stream is described by what it has made.
        video = output.add_stream_from_template(encoder.template(levels), opaque=True)
        if kind != "matroska" and encoder.codec == "hevc":
            # Apple's players take this one of the two.
            video.codec_context.codec_tag = "hvc1"
        if clip.display_matrix is not None:
            video.set_display_matrix(clip.display_matrix)
        copied = {} if original is None else _carry(original, output, shown)
        pictures = _of_stream(encoder.packets(levels), video)
        others = iter(()) if original is None else _copies(original, copied)
        for packet in heapq.merge(pictures, others, key=_seconds):
            output.mux(packet)
        return len(copied)


def _carry(original: InputContainer, output: OutputContainer, shown: Path) -> dict[int, Stream]:
    """The streams that are copied, by their numbers in ``original``."""
    output.metadata.update(_words(original.metadata))
    output.set_chapters(original.chapters())
    copied: dict[int, Stream] = {}
    left_out = set()
    for stream in original.streams:
        if stream.type in _COPIED:
            copied[stream.index] = _copy(stream, output)
        elif isinstance(stream, AttachmentStream) and shown.suffix.lower() == ".mkv":
            output.add_attachment(stream.name or "", stream.mimetype or "", stream.data or b"")
        elif stream.type != "video":
            left_out.add(stream.type)
    if left_out or len(original.streams.video) > 1:
        names = sorted(left_out | {"video"} if len(original.streams.video) > 1 else left_out)
        logger.warning(
            "%s has no %s stream beside its pictures any more", shown, " and no ".join(names)
        )
    return copied


def _copy(stream: Stream, output: OutputContainer) -> Stream:
    copy = output.add_stream_from_template(stream)
    copy.metadata.update(_words(stream.metadata))
    copy.disposition = stream.disposition
    return copy


def _words(metadata: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in metadata.items() if name not in _OWN_WORDS}


def _copies(original: InputContainer, copied: dict[int, Stream]) -> Iterator[Packet[Any]]:
    streams = [original.streams[number] for number in copied]
    if not streams:
        return
    for packet in original.demux(streams):
        if packet.dts is not None:  # Else it only says that a stream has ended.
            packet.stream = copied[packet.stream_index]
            yield packet


def _of_stream(packets: Iterable[Packet[Any]], stream: Stream) -> Iterator[Packet[Any]]:
    for packet in packets:
        packet.stream = stream
        yield packet


def _seconds(packet: Packet[Any]) -> float:
    return float((packet.dts or 0) * packet.time_base)
