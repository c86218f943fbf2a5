"""The tensors of one frame: what goes into a network, or what comes out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = tuple[NDArray[Any], ...]
"""In the order of the network's inputs or outputs, each with its batch of 1."""


def frame_of(photo: NDArray[Any]) -> Frame:
    """A photograph or a picture, [H,W,C], as the only input or output of a network: [1,H,W,C]."""
    return (np.ascontiguousarray(photo)[None],)


def picture_of(outputs: Frame) -> NDArray[np.float32]:
    """The only output of a network that makes pictures: float32 [H,W,C] of float32 [1,H,W,C]."""
    (picture,) = outputs
    return picture[0]


def frame_size(shape: Sequence[int], layout: str) -> tuple[int, int]:
    """What stands for the size of a network whose first input has this ``shape``: height and width
    of a picture ("NHWC" or "NCHW"), else (1, number of elements)."""
    if layout == "NHWC":
        return shape[1], shape[2]
    if layout == "NCHW":
        return shape[2], shape[3]
    return 1, math.prod(shape)
