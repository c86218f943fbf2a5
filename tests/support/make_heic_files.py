"""Makes tests/compile/imaging/heic/*.heic: `pip install pillow-heif==1.8.1`, then run this.

The project has no encoder of HEVC, whose library is GPL: that package is not among its own.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pillow_heif
from picture_files import scene
from PIL import Image

FOLDER = Path(__file__).parents[1] / "compile/imaging/heic"
SIZE = (40, 56)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    photo = Image.fromarray(scene(*SIZE))
    _save("rgb", photo)
    _save("small-chroma", photo, chroma=420)
    _save("grey", photo.convert("L"))
    alpha = photo.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.full(SIZE, 128, np.uint8)))
    _save("alpha", alpha)
    _save("codes-p3", photo, color_primaries=12, transfer_characteristics=13)
    _save("pq", photo, color_primaries=9, transfer_characteristics=16)
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[1] = "N"
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        _save(f"turned-{orientation}", photo, exif=exif.tobytes())
    wide = np.round(scene(*SIZE) / 255 * 65535 * np.linspace(0.5, 1, SIZE[1])[:, None])
    for depth in (10, 12):
        pillow_heif.options.SAVE_HDR_TO_12_BIT = depth == 12
        pixels = wide.astype(np.uint16).tobytes()
        deep = pillow_heif.from_bytes(mode="RGB;16", size=SIZE[::-1], data=pixels)
        deep.save(FOLDER / f"deep-{depth}.heic", quality=-1, chroma=444)


def _save(name: str, photo: Image.Image, **options: object) -> None:
    stream = io.BytesIO()
    made = pillow_heif.from_pillow(photo)
    made.save(stream, **{"quality": 95, "chroma": 444, **options})
    (FOLDER / f"{name}.heic").write_bytes(stream.getvalue())


if __name__ == "__main__":
    main()
