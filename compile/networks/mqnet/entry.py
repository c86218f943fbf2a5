"""MQNet as the compiler knows it: its weights, its sizes, and which part of it keeps floats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from compile.networks.mqnet.checkpoints import bundled_weights, load_checkpoint
from compile.networks.mqnet.network import SIZE_MULTIPLE, InvertedResidual, MQNet, check_attention
from compile.networks.network import Decoding, JoinedTensor, Network

SKIP_RANGE = 6.0
"""Skips are ReLU6 outputs."""

IMAGE_RANGE = 1.0
"""The image lies in [0, 1]."""

# 2x-1 of the byte u is (2u - 255) / 255. With scale 2/255 every byte would fall on a rounding tie,
# u - 127.5, and half of the levels would be lost; zero must be exact, too, since the first
# convolution pads with it. With 1/127 no byte is on a tie and all but two keep a level of their
# own.
ENCODER_INPUT = 1 / 127, 0


@dataclass(frozen=True)
class MQNetEntry(Network):
    """MQNet, a mixed quantization network for inverse tone mapping (Borrego-Carazo 2021).

    Attributes:
        attention: of the decoder, by name.
    """

    name: ClassVar[str] = "mqnet"
    size_multiple: ClassVar[int] = SIZE_MULTIPLE
    least_side: ClassVar[int] = SIZE_MULTIPLE
    decoding: ClassVar[Decoding] = "extended_srgb"

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

    def architecture(self) -> MQNet:
        """MQNet without weights."""
        return MQNet(self.attention)

    def load(self, checkpoint: Path | None) -> MQNet:
        """MQNet with the weights of ``checkpoint``."""
        return load_checkpoint(checkpoint, self.attention)

    def joined_tensors(self, net: nn.Module) -> Sequence[JoinedTensor]:
        """What the decoder upsamples and joins with a skip or the image."""
        assert isinstance(net, MQNet)
        decoder = net.backbone.decoder
        stages = [_blocks_of(stage) for stage in decoder.stages]
        producer, last_reader = _convolution(decoder.merge_skip), _convolution(decoder.merge_image)
        readers = [*(_convolution(blocks[0].expand) for blocks in stages[1:]), producer]
        joined = [
            _joined_stage(stage, blocks, reader)
            for stage, blocks, reader in zip(decoder.stages, stages, readers, strict=True)
        ]
        return *joined, JoinedTensor(decoder.merge_skip, (producer,), (last_reader,), IMAGE_RANGE)

    @property
    def known_ranges(self) -> Mapping[str, tuple[float, int]]:
        """Of the encoder's input."""
        return {f"{self.backbone_path}.encoder": ENCODER_INPUT}


def _blocks_of(stage: nn.Module) -> list[InvertedResidual]:
    blocks = [block for block in stage.children() if isinstance(block, InvertedResidual)]
    assert len(blocks) == len(list(stage.children()))
    return blocks


def _convolution(unit: nn.Module) -> nn.Conv2d:
    """The convolution of a :func:`compile.networks.mqnet.network.conv_unit`."""
    conv = unit.get_submodule("conv")
    assert isinstance(conv, nn.Conv2d)
    return conv


def _joined_stage(
    stage: nn.Module, blocks: Sequence[InvertedResidual], reader: nn.Conv2d
) -> JoinedTensor:
    """The output of a decoder stage of ``blocks`` that ``reader`` reads, with the stage's gates
    kept as they are."""
    inside = [_convolution(block.expand) for block in blocks[1:]]
    gates = [
        getattr(block.attention, name)
        for block in blocks
        for name in getattr(block.attention, "reads_input", ())
    ]
    producers = tuple(_convolution(block.project) for block in blocks)
    return JoinedTensor(stage, producers, (*inside, *gates, reader), SKIP_RANGE)
