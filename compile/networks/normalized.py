"""A module whose photograph is normalized before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalized(nn.Module):
    """``module`` of (photograph - mean) / std, each of them per channel."""

    mean: Tensor
    factor: Tensor

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.module = module
        for name, values in (("mean", mean), ("factor", [1 / value for value in std])):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, photo: Tensor) -> Tensor:
        """What the module gives for ``photo``, float32 [1, C, H, W] in [0, 1]."""
        return self.module((photo - self.mean) * self.factor)
