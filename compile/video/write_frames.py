"""Frames of HDR10 into a pipe: YUV4MPEG2, or without any header. Either is planes of uint16."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from compile.support.errors import OutputError
from compile.video.light_converter import HdrFrame

_STDOUT = 1
# As a shell reports a program that SIGPIPE has ended.
_READER_GONE = 141


class FrameWriter:
    """Writes frames to standard output, which carries nothing else.

    Args:
        size: height and width.
        rate: frames a second.
        aspect: of a pixel.
        headers: whether it is YUV4MPEG2.
    """

    def __init__(
        self, size: tuple[int, int], rate: Fraction, aspect: Fraction | None, headers: bool
    ) -> None:
        if os.isatty(_STDOUT):
            raise OutputError("stdout is a terminal: send the frames through a pipe or to a file")
        height, width = size
        pixel = aspect or Fraction(1)
        words = (
            f"W{width} H{height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{pixel.numerator}:{pixel.denominator} C420p10 XYSCSS=420P10 XCOLORRANGE=LIMITED"
        )
        self._before = b"FRAME\n" if headers else b""
        self._write(f"YUV4MPEG2 {words}\n".encode() if headers else b"")

    def encode(self, frame: HdrFrame, _pts: int, _duration: int) -> None:
        """Write the next frame."""
        self._write(self._before)
        self._write(frame.planes.astype("<u2", copy=False))

    def finish(self) -> None:
        """Nothing is left."""

    def _write(self, data: bytes | NDArray[np.uint16]) -> None:
        left = memoryview(data.view(np.uint8).data if isinstance(data, np.ndarray) else data)
        try:
            while left:
                left = left[os.write(_STDOUT, left) :]
        except BrokenPipeError:
            raise SystemExit(_READER_GONE) from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(
                f"stdout cannot be written ({reason}): send the frames to a pipe or file that "
                "takes them"
            ) from None
