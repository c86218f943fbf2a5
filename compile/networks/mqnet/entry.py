"""MQNet as the compiler knows it: its weights, its sizes, and which part of it keeps floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compile.imaging.decode_hdr import decode_hdr
from compile.networks.mqnet.checkpoints import bundled_weights, load_checkpoint
from compile.networks.mqnet.network import SIZE_MULTIPLE, InvertedResidual, MQNet, check_attention
from compile.networks.network import JoinedTensor, Network

SKIP_RANGE = 6.0
"""Skips are ReLU6 outputs."""

IMAGE_RANGE = 1.0
"""The image lies in [0, 1]."""


@dataclass(frozen=True)
class MQNetEntry(Network):
    """:class:`compile.networks.mqnet.network.MQNet` with an ``attention``, by name."""

    name: ClassVar[str] = "mqnet"
    size_multiple: ClassVar[int] = SIZE_MULTIPLE
    least_side: ClassVar[int] = SIZE_MULTIPLE

    attention: str = "ca"

    def __post_init__(self) -> None:
        """Refuse an attention that there is not.

        Raises:
            MqnetError: the text lists those that there are.
        """
        check_attention(self.attention)

    @property
    def label(self) -> str:
        """The attention: folders of builds have been named so since there was one network."""
        return self.attention

    def weights(self, fine_tuned: bool) -> Path:
        """The bundled weights."""
        return bundled_weights(self.attention, fine_tuned)

    def load(self, checkpoint: Path) -> MQNet:
        """MQNet with the weights of ``checkpoint``."""
        return load_checkpoint(checkpoint, self.attention)

    def joined_tensors(self, net: MQNet) -> Sequence[JoinedTensor]:
        """What the decoder upsamples and joins with a skip or the image."""
        decoder = net.backbone.decoder
        stages = list(decoder.stages)
        readers = [stage[0].expand.conv for stage in stages[1:]] + [decoder.merge_skip.conv]
        joined = [
            _joined_stage(stage, reader) for stage, reader in zip(stages, readers, strict=True)
        ]
        producer, reader = decoder.merge_skip.conv, decoder.merge_image.conv
        return *joined, JoinedTensor(decoder.merge_skip, (producer,), (reader,), IMAGE_RANGE)

    def decode(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Linear relative light of H."""
        return decode_hdr(output)


def _joined_stage(stage: nn.Sequential, reader: nn.Conv2d) -> JoinedTensor:
    """The output of a decoder stage that ``reader`` reads, with the stage's gates kept as they
    are."""
    blocks: list[InvertedResidual] = list(stage)
    inside = [block.expand.conv for block in blocks[1:]]
    gates = [
        getattr(block.attention, name)
        for block in blocks
        for name in getattr(block.attention, "reads_input", ())
    ]
    producers = tuple(block.project.conv for block in blocks)
    return JoinedTensor(stage, producers, (*inside, *gates, reader), SKIP_RANGE)
