"""How pictures of any size go through a build tile by tile: what ``stages.json`` says of
``stages.so``.

All stages are run on tiles of one size, whose edges lie on the picture's own edges where a tile
touches them. Between two stages, tensors of the whole picture are kept, and the numbers that one
feature map of the whole picture decides are worked out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from compile.artefact.manifest import Manifest
from compile.support.errors import ArtefactError
from compile.support.json_record import read_record

LIBRARY, FACTS = "stages.so", "stages.json"

#: Raised when a key changes its meaning.
FORMAT = 1


class StageTensor(msgspec.Struct, frozen=True):
    """A tensor of the whole picture, NHWC with a batch of 1.

    Attributes:
        stride: pixels of the picture for one of the tensor, in each direction.
    """

    channels: int
    stride: int
    dtype: str


class WholeValue(msgspec.Struct, frozen=True):
    """What stages read of a feature map of the whole picture: its means, or of a norm the scale and
    the shift, float32 [1, 1, 1, C] each.

    Attributes:
        source: name of the feature map.
        shape: of the means.
        input_scale, input_zero_point, output_scale, output_zero_point, low, high: of int8 means.
        gamma, beta, epsilon: of an InstanceNorm.
        dtype: of a float mean.
    """

    kind: Literal["integer mean", "mean", "norm"]
    source: str
    shape: tuple[int, ...]
    input_scale: float = 1.0
    input_zero_point: int = 0
    output_scale: float = 1.0
    output_zero_point: int = 0
    low: int = -128
    high: int = 127
    gamma: tuple[float, ...] = ()
    beta: tuple[float, ...] = ()
    epsilon: float = 0.0
    dtype: str = "float32"


class StageFacts(msgspec.Struct, frozen=True):
    """A function of the library, which takes the ``inputs`` and then the ``values``.

    Attributes:
        halo: pixels of the picture around what a tile makes that it reads for that.
        inputs, values, results: names, in order.
    """

    function: str
    halo: int
    inputs: tuple[str, ...]
    values: tuple[str, ...]
    results: tuple[str, ...]


class Stages(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        size: height and width of a tile, in pixels of the picture.
        alignment: pixels; tiles begin at multiples of it, and pictures are padded to one.
        picture, output: names of what goes in, uint8, and of what comes out, float32.
        tensors, values: by name.
        stages: in the order of computation.
    """

    size: tuple[int, int]
    alignment: int
    picture: str
    output: str
    tensors: dict[str, StageTensor]
    values: dict[str, WholeValue]
    stages: tuple[StageFacts, ...]


def has_stages(manifest: Manifest) -> bool:
    """Whether a build can compute pictures of any size."""
    return FACTS in manifest.files


def read_stages(folder: Path) -> Stages:
    """Read them of the build in ``folder``.

    Raises:
        ArtefactError: they are missing or damaged.
    """
    return read_record(folder / FACTS, Stages, FORMAT, "build it again", ArtefactError)
