"""A picture that shows on any screen what the network made of a photograph."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from compile.imaging.tone_map import to_srgb8, tone_map
from compile.imaging.transfer import srgb_decode
from compile.support.atomic import write_atomically

_STOPS = (2, 4)
_PANEL_SIDE = 640
_LEAST_COLUMN = 240  # room for a caption
_MARGIN = 16
_CAPTION = 30
_TEXT = 18
_BACKGROUND = (24, 24, 26)
_INK = (225, 225, 228)


def side_by_side(photo: np.ndarray, linear: np.ndarray, path: str | Path) -> None:
    """Write a PNG with the photograph above and the HDR result below, each at three exposures.

    Shown darker, the photograph's clipped highlights turn into flat grey, while the HDR result
    shows what light it holds there.

    Args:
        photo: uint8 [H, W, 3], sRGB.
        linear: float32 [h, w, 3], linear relative light, 1 = LDR white; the size may differ.
        path: the PNG to write, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    photo_light = srgb_decode(photo.astype(np.float32) / 255)
    rows = [
        [("Photograph", photo), *_darker("Photograph", photo_light)],
        [("HDR, tone-mapped", tone_map(linear)), *_darker("HDR", linear)],
    ]
    stream = io.BytesIO()
    _sheet(rows).save(stream, "PNG")
    write_atomically(path, stream.getvalue())


def _darker(name: str, light: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(f"{name}, {stops} stops darker", to_srgb8(light / 2.0**stops)) for stops in _STOPS]


def _sheet(rows: list[list[tuple[str, np.ndarray]]]) -> Image.Image:
    panels = [[(caption, _panel(pixels)) for caption, pixels in row] for row in rows]
    # Each row has one size of picture; the two rows differ if the photograph was resized.
    column = max(_LEAST_COLUMN, *(row[0][1].width for row in panels))
    width = _MARGIN + len(panels[0]) * (column + _MARGIN)
    height = _MARGIN + sum(_CAPTION + row[0][1].height + _MARGIN for row in panels)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    top = _MARGIN
    for row in panels:
        for index, (caption, picture) in enumerate(row):
            left = _MARGIN + index * (column + _MARGIN)
            middle = top + (_CAPTION - _MARGIN // 2) // 2
            draw.text((left, middle), caption, fill=_INK, font=font, anchor="lm")
            sheet.paste(picture, (left, top + _CAPTION))
        top += _CAPTION + row[0][1].height + _MARGIN
    return sheet


def _panel(pixels: np.ndarray) -> Image.Image:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_PANEL_SIDE, _PANEL_SIDE), Image.Resampling.LANCZOS)
    return picture
