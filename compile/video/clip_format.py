"""What a clip says of its pictures, and what becomes of it: judged before the work."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.codec.context import CodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from compile.imaging.colour_spaces import HDR_TRANSFERS, PRIMARIES, rgb_to_xyz
from compile.support.errors import ClipError
from compile.video.light_levels import Chromaticities

logger = logging.getLogger(__name__)

_BT2020, _BT709, _UNKNOWN = 9, 1, (0, 2)
_FULL = 2
USUAL_RATE = Fraction(25)
"""Frames a second where nothing says how many."""
# Of ITU-T H.273, table 3: BT.1361 and linear light are no video's that is to be shown.
_SDR_TRANSFERS = (0, 1, 2, 4, 5, 6, 7, 13, 14, 15)
# From here on a picture without a matrix is of BT.709, as players have it.
_HD_HEIGHT = 576
# ITU-T H.273, table 4, to what PyAV calls it.
_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}


@dataclass(frozen=True)
class ClipFormat:
    """How the frames of a clip are meant.

    Attributes:
        height, width: as they are stored.
        rate: frames a second, or nearly; None where nothing is said.
        aspect: of a pixel.
        primaries: of its colours, and white, each x and y.
        to_bt2020: its linear light to that of BT.2020, [3, 3].
        matrix: of its Y'CbCr, as PyAV calls it; None of RGB.
        full_range: whether its codes are.
        interlaced: whether a frame is two fields.
        turned: by how many degrees a player turns it, as the file says, to the left.
        display_matrix: that says so, of nine numbers; None where nothing does.
    """

    height: int
    width: int
    rate: Fraction | None
    aspect: Fraction | None
    primaries: Chromaticities
    to_bt2020: NDArray[np.floating]
    matrix: str | None
    full_range: bool
    interlaced: bool
    turned: int
    display_matrix: tuple[int, ...] | None


def clip_format(
    name: str, first: VideoFrame, context: CodecContext, rate: Fraction | None
) -> ClipFormat:
    """The format of a clip by its ``first`` frame.

    Raises:
        ClipError: it is HDR already, or its light is of a kind that is not known.
    """
    transfer, primaries = int(first.color_trc), int(first.color_primaries)
    if transfer in HDR_TRANSFERS:
        raise ClipError(
            f"{name} is HDR already ({HDR_TRANSFERS[transfer]}): the network makes HDR "
            "of SDR, give it an SDR clip"
        )
    if transfer not in _SDR_TRANSFERS:
        raise ClipError(
            f"{name} has transfer function {transfer} of ITU-T H.273, which is not known here: "
            "convert it to BT.709 first"
        )
    chosen = _BT709 if primaries in _UNKNOWN else primaries
    if chosen not in PRIMARIES:
        raise ClipError(
            f"{name} has primaries {primaries} of ITU-T H.273, which are not known here: convert "
            "it to BT.709 first"
        )
    white, points = PRIMARIES[chosen]
    depth = max(component.bits for component in first.format.components)
    if depth > 8:
        logger.warning(
            "%s has %d bits: the network takes 8, to which they are rounded", name, depth
        )
    matrices = _display_matrices(first)
    interlaced = bool(first.interlaced_frame) or getattr(context, "field_order", 0) in (2, 3, 4, 5)
    if interlaced:
        logger.warning("%s is interlaced: its fields are made frames (bwdif)", name)
    return ClipFormat(
        height=first.height,
        width=first.width,
        rate=rate,
        aspect=getattr(context, "sample_aspect_ratio", None) or None,
        primaries=(*points, *white),
        to_bt2020=_between(chosen, _BT2020),
        matrix=_matrix(first),
        full_range=first.color_range == _FULL or first.format.name.startswith("yuvj"),
        interlaced=interlaced,
        turned=int(first.rotation) % 360,
        display_matrix=matrices[0] if matrices else None,
    )


def _display_matrices(frame: VideoFrame) -> list[tuple[int, ...]]:
    # Its stubs take the container for what is in it.
    sides: Any = frame.side_data
    data = [bytes(one) for one in sides if one.type.name == "DISPLAYMATRIX"]
    return [tuple(np.frombuffer(one, np.int32).tolist()) for one in data]


def _matrix(frame: VideoFrame) -> str | None:
    if frame.format.is_rgb:
        return None
    usual = 1 if frame.height > _HD_HEIGHT else 5
    return _MATRICES.get(int(frame.colorspace), _MATRICES[usual])


def _between(source: int, target: int) -> NDArray[np.floating]:
    """Linear light of the primaries ``source`` to that of ``target``; each white is the other's."""
    return np.linalg.inv(rgb_to_xyz(*PRIMARIES[target])) @ rgb_to_xyz(*PRIMARIES[source])
