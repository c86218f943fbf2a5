"""How much a network makes a clip flicker, beside how much it does anyway.

Flicker is what the eye sees of light that changes where nothing does: luminance in PQ, in which
equal steps are about equally visible (SMPTE ST 2084), of blocks of 16x16 pixels, which noise of
single pixels leaves alone; its standard deviation over the frames, and of that the root mean square
over the blocks. Of the input it is the luminance of a display in sRGB with white at 203 cd/m2, as
in the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.decode_picture import DECODERS, smooth_picture
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import pq_encode, srgb_decode
from compile.training.virtual_camera import LUMINANCE
from compile.video.light_converter import LightConverter
from compile.video.steady_light import SteadyLight
from device.runtime.run_artefact import Session

_BLOCK = 16
_PQ_CODES = 1023


@dataclass(frozen=True)
class ClipKind:
    """A clip that is made of a photograph.

    Attributes:
        frame: the picture without noise, uint8 [H, W, 3], of a photograph, the number of a frame
            and of all.
        still: where in a frame nothing changes: the rows and columns, of the same.
    """

    frame: Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]]
    still: Callable[[NDArray[np.uint8], int, int], tuple[slice, slice]]


def _whole(photo: NDArray[np.uint8], _number: int, _count: int) -> tuple[slice, slice]:
    return slice(0, photo.shape[0]), slice(0, photo.shape[1])


def _panned(photo: NDArray[np.uint8], number: int, _count: int) -> NDArray[np.uint8]:
    """A pixel to the right with each frame; beyond the border the picture goes back."""
    wide = np.concatenate([photo, photo[:, ::-1]], axis=1)
    return wide[:, number : number + photo.shape[1]]


def _seen_all_along(photo: NDArray[np.uint8], number: int, count: int) -> tuple[slice, slice]:
    """What each frame of a pan shows, wherever it is in it."""
    width = photo.shape[1]
    return slice(0, photo.shape[0]), slice(count - number, width - number)


def _passed(photo: NDArray[np.uint8], number: int, count: int) -> NDArray[np.uint8]:
    """A lamp goes through the lower half, from outside to outside."""
    height, width = photo.shape[:2]
    radius = height // 6
    rows, columns = np.ogrid[:height, :width]
    centre = -radius + (width + 2 * radius) * number / max(1, count - 1)
    inside = (rows - height * 3 // 4) ** 2 + (columns - centre) ** 2 < radius**2
    return np.where(inside[..., None], np.uint8(255), photo)


def _upper_half(photo: NDArray[np.uint8], _number: int, _count: int) -> tuple[slice, slice]:
    return slice(0, photo.shape[0] // 2), slice(0, photo.shape[1])


CLIPS = {
    "static": ClipKind(lambda photo, _number, _count: photo, _whole),
    "pan": ClipKind(_panned, _seen_all_along),
    "passing lamp": ClipKind(_passed, _upper_half),
}


@dataclass(frozen=True)
class FlickerRow:
    """Flicker of one clip, in codes of PQ of 10 bits.

    Attributes:
        photo, clip: which.
        input: of what goes in.
        output, steady: of what comes out, as it is and with ``--steady``.
    """

    photo: str
    clip: str
    input: float
    output: float
    steady: float

    def as_json(self) -> dict[str, Any]:
        """A row of ``--json``, with what comes out as a share of what goes in."""
        shares = {
            "output_share": self.output / self.input,
            "steady_share": self.steady / self.input,
        }
        return {**asdict(self), **shares}


def measure_flicker(
    session: Session, photos: list[Path], frames: int, noise: float
) -> Iterator[FlickerRow]:
    """A row for each of :data:`CLIPS` of each photograph.

    Args:
        session: a network.
        photos: files.
        frames: of a clip.
        noise: of the camera, the standard deviation in 8-bit codes.
    """
    decoding, size = session.artefact.manifest.decoding, session.artefact.size
    decode, converter = DECODERS[decoding], LightConverter(size, decoding, np.eye(3), True)
    for path in photos:
        photo, _ = fit_photo(read_photo(path), *size, "resize")
        for name, kind in CLIPS.items():
            # The same noise in each clip, and each time.
            random = np.random.default_rng(0)
            keeper = SteadyLight()
            blocks: tuple[list, list, list] = ([], [], [])
            for number in range(frames):
                clean = kind.frame(photo, number, frames)
                frame = _noisy(clean, noise, random)
                output, _ = session.run(frame)
                smooth_picture(decoding, output, frame)
                steady = output + keeper.next(converter.cells(output, frame)).of(frame)[..., None]
                where = kind.still(photo, number, frames)
                lights = (
                    srgb_decode(frame[where] / np.float32(255)),
                    *map(decode, (output[where], steady[where])),
                )
                for one, light in zip(blocks, lights, strict=True):
                    one.append(_blocks(light))
            yield FlickerRow(path.stem, name, *(flicker(np.stack(one)) for one in blocks))


def flicker(blocks: NDArray[np.floating]) -> float:
    """Of the luminance of blocks in PQ codes, [frames, rows, columns]."""
    return float(np.sqrt(blocks.var(axis=0).mean()))


def _noisy(
    photo: NDArray[np.uint8], noise: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    added = random.standard_normal(photo.shape, np.float32) * np.float32(noise)
    return np.clip(np.rint(photo + added), 0, 255).astype(np.uint8)


def _blocks(light: NDArray[np.floating]) -> NDArray[np.floating]:
    """The luminance of blocks in PQ codes, of linear light [H, W, 3]."""
    luminance = light @ LUMINANCE
    rows, columns = (side // _BLOCK for side in luminance.shape)
    taken = luminance[: rows * _BLOCK, : columns * _BLOCK]
    means = taken.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3), dtype=np.float64)
    return pq_encode(means * WHITE_NITS) * _PQ_CODES
