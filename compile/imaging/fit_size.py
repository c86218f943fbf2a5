"""A photograph of any size in the fixed frame of an artefact, and the result cut out of it again.

The picture lies in the frame's top left corner, so that its pixels stay on the network's grid;
right and below it continues by reflection, which gives the convolutions a plausible surround.
A picture that fits better on its side lies on its side: a portrait in a landscape frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from compile.imaging.orientation import turn_left
from compile.support.errors import PhotoError

#: What becomes of a photograph that is larger than the frame: an error, or it is made smaller.
FitMode = Literal["pad", "resize"]


@dataclass(frozen=True)
class Placement:
    """Where a photograph lies in the network's frame; all in pixels.

    Attributes:
        photo_height, photo_width: the photograph as it was read.
        height, width: the network's frame.
        content_height, content_width: the photograph in the frame, from the top left corner;
            smaller than the photograph only if it was resized.
        turned: whether it lies in the frame turned left by 90 degrees.
    """

    photo_height: int
    photo_width: int
    height: int
    width: int
    content_height: int
    content_width: int
    turned: bool = False

    @property
    def resized(self) -> bool:
        """Whether the photograph was made smaller to fit."""
        content = (self.content_height, self.content_width)
        return (content[::-1] if self.turned else content) != (self.photo_height, self.photo_width)


class Fit(NamedTuple):
    """How a photograph fits a frame best: ``scale`` is at most 1."""

    scale: float
    turned: bool


def best_fit(photo_height: int, photo_width: int, height: int, width: int) -> Fit:
    """How large a photograph can be in a frame, upright or turned by 90 degrees; upright where
    both are the same."""
    upright = min(1.0, height / photo_height, width / photo_width)
    turned = min(1.0, height / photo_width, width / photo_height)
    return Fit(max(upright, turned), turned > upright)


def padded_size(height: int, width: int, multiple: int = 32) -> tuple[int, int]:
    """The smallest (height, width) that holds a picture and is divisible by ``multiple``."""
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def fit_photo(
    photo: np.ndarray, height: int, width: int, mode: FitMode = "pad"
) -> tuple[np.ndarray, Placement]:
    """Put a photograph, uint8 [h, w, 3], into a frame: uint8 [height, width, 3], and say where.

    A photograph that fits is padded by reflection (repeatedly, where the frame is much larger).
    One that fits only, or is larger, on its side is turned left by 90 degrees. One that fits
    neither way is an error in mode ``pad``; mode ``resize`` shrinks it with its aspect
    ratio kept until it fits, then pads. Nothing is ever enlarged: that would add no light.

    Raises:
        PhotoError: the photograph is larger than the frame and ``mode`` is ``pad``.
    """
    photo_height, photo_width = photo.shape[:2]
    scale, turned = best_fit(photo_height, photo_width, height, width)
    if scale < 1 and mode == "pad":
        raise PhotoError(
            f"the photograph is {photo_width}x{photo_height} pixels but the artefact takes "
            f"at most {width}x{height}; shrink it with --resize, or build a larger artefact, or "
            "for pictures one with --tiles"
        )
    if turned:
        photo = turn_left(photo, 1)
    if scale < 1:
        photo = _shrink(photo, scale)
    content_height, content_width = photo.shape[:2]
    placement = Placement(
        photo_height, photo_width, height, width, content_height, content_width, turned
    )
    return _reflected(photo, height, width), placement


def unfit(result: np.ndarray, placement: Placement) -> np.ndarray:
    """Cut the photograph's part out of a result [height, width, channels] of the whole frame.

    Returns [content_height, content_width, channels], upright again: the photograph's own size,
    or the reduced one if it was resized. The result is not enlarged again: that would invent no
    detail, and whoever wants the large picture can enlarge the small one by the filter of his
    choice.

    Raises:
        ValueError: the result is not of the frame's size.
    """
    if result.shape[:2] != (placement.height, placement.width):
        raise ValueError(f"a result of {result.shape[:2]} does not belong to {placement}")
    content = result[: placement.content_height, : placement.content_width]
    return turn_left(content, -1) if placement.turned else content


def _reflected(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """np.pad(mode="reflect") takes several times as long."""
    frame = np.empty((height, width, photo.shape[2]), photo.dtype)
    own_height, own_width = photo.shape[:2]
    columns, rows = (
        np.pad(np.arange(own), (0, side - own), mode="reflect")[own:]
        for own, side in ((own_width, width), (own_height, height))
    )
    frame[:own_height, :own_width] = photo
    frame[:own_height, own_width:] = np.take(photo, columns, axis=1)
    frame[own_height:] = np.take(frame, rows, axis=0)
    return frame


def _shrink(photo: np.ndarray, scale: float) -> np.ndarray:
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    # Pillow takes no axis of one channel.
    pixels = photo[..., 0] if photo.shape[2] == 1 else photo
    image = Image.fromarray(np.ascontiguousarray(pixels))
    shrunk = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    return shrunk.reshape(height, width, photo.shape[2])
