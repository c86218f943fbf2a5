"""The networks of the paper's comparison, with seeded weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from compile.networks.expandnet import ExpandNet
from compile.networks.export_wrapper import ROOT
from compile.networks.fhdr import FHDR
from compile.networks.hdrcnn import HDRCNN
from compile.networks.hdrunet import HDRUNet
from compile.networks.masked_features import MaskedConv, MaskedFeatures
from compile.networks.seeded_network import SeededNetwork
from compile.networks.single_hdr import SingleHDR
from compile.networks.two_stage import TwoStage
from compile.networks.unet import UNet
from compile.networks.unet_plus_plus import UNetPlusPlus


@dataclass(frozen=True)
class UNetEntry(SeededNetwork):
    """U-Net (Ronneberger 2015), 32 to 512 channels."""

    name: ClassVar[str] = "unet"
    module: ClassVar = UNet


@dataclass(frozen=True)
class UNetPlusPlusEntry(SeededNetwork):
    """U-Net++ (Zhou 2018), 32 to 512 channels."""

    name: ClassVar[str] = "unet++"
    module: ClassVar = UNetPlusPlus


@dataclass(frozen=True)
class HDRUNetEntry(SeededNetwork):
    """HDRUNet (Chen 2021), 64 channels."""

    name: ClassVar[str] = "hdrunet"
    module: ClassVar = HDRUNet


@dataclass(frozen=True)
class FHDREntry(SeededNetwork):
    """FHDR (Khan 2019), two iterations, 64 channels."""

    name: ClassVar[str] = "fhdr"
    module: ClassVar = FHDR


@dataclass(frozen=True)
class ExpandNetEntry(SeededNetwork):
    """ExpandNet (Marnerides 2018), 64 channels."""

    name: ClassVar[str] = "expandnet"
    module: ClassVar = ExpandNet


@dataclass(frozen=True)
class HDRCNNEntry(SeededNetwork):
    """HDRCNN (Eilertsen 2017), 64 to 512 channels."""

    name: ClassVar[str] = "hdrcnn"
    module: ClassVar = HDRCNN


@dataclass(frozen=True)
class MaskedFeaturesEntry(SeededNetwork):
    """The masked-feature network (Santos 2020), 64 to 512 channels."""

    name: ClassVar[str] = "masked-features"
    module: ClassVar = MaskedFeatures

    @property
    def known_ranges(self) -> Mapping[str, tuple[float, int]]:
        """Of masks, which are from 0 to 1: both are bytes."""
        with torch.device("meta"):
            modules = self.architecture().named_modules()
        return {
            f"{ROOT}.{path}.mask": (1 / 255, -128)
            for path, module in modules
            if isinstance(module, MaskedConv)
        }


@dataclass(frozen=True)
class TwoStageEntry(SeededNetwork):
    """The two-stage network (Sharif 2021), 64 channels."""

    name: ClassVar[str] = "two-stage"
    module: ClassVar = TwoStage
    backbone: ClassVar[str] = "stages.*.backbone"


@dataclass(frozen=True)
class SingleHDREntry(SeededNetwork):
    """SingleHDR (Liu 2020) with its refinement, 16 to 512 channels."""

    name: ClassVar[str] = "single-hdr"
    module: ClassVar = SingleHDR
    backbone: ClassVar[str] = "stages.*.backbone"
    # Of 1024 samples, that an image is looked up in.
    in_float: ClassVar[str] = "stages.*.head.curve"


ZOO: tuple[type[SeededNetwork], ...] = (
    UNetEntry,
    UNetPlusPlusEntry,
    HDRUNetEntry,
    FHDREntry,
    ExpandNetEntry,
    HDRCNNEntry,
    MaskedFeaturesEntry,
    TwoStageEntry,
    SingleHDREntry,
)
