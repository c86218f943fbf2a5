"""U-Net++: U-Net with convolutions on its skips, 9.04 million parameters.

Zhou, Siddiquee, Tajbakhsh and Liang, "UNet++: A Nested U-Net Architecture for Medical Image
Segmentation", DLMIA 2018 (MrGiovanni/UNetPlusPlus, Keras, for non-commercial research only; nothing
of that code is here). The published count, 9,041,601, is for one channel in and out and one output.
Simplified: no dropout and no outputs of deep supervision, which are for training only.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from compile.networks.layers import divided
from compile.networks.unet import WIDTHS, sigmoid_head, unit, up


class Backbone(nn.Module):
    """Float32 [N, in_channels, H, W] to the [N, 32, H, W] that the head reads, all >= 0.

    Node (i, j) is at 1/2^i of the size. With j = 0 it reads the node above it, pooled; with more,
    node (i + 1, j - 1) at twice the size and all nodes (i, 0) to (i, j - 1).
    """

    def __init__(self, width_divisor: int, in_channels: int) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        self.widths = [divided(width, width_divisor) for width in WIDTHS]
        self.pool = nn.MaxPool2d(2)
        self.nodes = nn.ModuleDict()
        self.up = nn.ModuleDict()
        for level, width in enumerate(self.widths):
            above = self.widths[level - 1] if level else in_channels
            self.nodes[f"{level}_0"] = unit(above, width)
        for column in range(1, len(self.widths)):
            for level in range(len(self.widths) - column):
                name, width = f"{level}_{column}", self.widths[level]
                self.up[name] = up(self.widths[level + 1], width)
                self.nodes[name] = unit((column + 1) * width, width)

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        rows = [[self.nodes["0_0"](image)]]
        for level in range(1, len(self.widths)):
            rows.append([self.nodes[f"{level}_0"](self.pool(rows[-1][0]))])
        for column in range(1, len(self.widths)):
            for level in range(len(self.widths) - column):
                name = f"{level}_{column}"
                larger = self.up[name](rows[level + 1][column - 1])
                rows[level].append(self.nodes[name](torch.cat([larger, *rows[level]], 1)))
        return rows[0][-1]


class UNetPlusPlus(nn.Module):
    """Float32 [N, in_channels, H, W] in [0, 1] to [N, out_channels, H, W] in (0, 1).

    Height and width are multiples of :data:`SIZE_MULTIPLE`. The published segmentation network has
    one channel in and out. Under a scheme with two precisions the backbone is int8.
    """

    SIZE_MULTIPLE: ClassVar[int] = 16
    LEAST_SIDE: ClassVar[int] = 16

    def __init__(self, width_divisor: int = 1, in_channels: int = 3, out_channels: int = 3) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.backbone = Backbone(width_divisor, in_channels)
        self.head = sigmoid_head(self.backbone.widths[0], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        return self.head(self.backbone(image))
