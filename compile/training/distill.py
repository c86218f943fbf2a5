"""Fine-tune any network of photographs under quantization, towards its own float output.

The ready-made training function of a network (:data:`compile.networks.network.Training`), for those
who have photographs and no pairs: ``train=partial(distill, photos=photos, steps=500)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compile.quantize.calibration import calibration_crops


def distill(
    module: nn.Module,
    exact: nn.Module,
    *,
    photos: Sequence[NDArray[np.uint8]],
    steps: int = 500,
    size: int = 128,
    batch: int = 4,
    learning_rate: float = 1e-5,
) -> None:
    """Train ``module``, in place, to give what ``exact`` does: the squared error over ``steps`` of
    ``batch`` crops of ``photos``, uint8 [H, W, C], by Adam, whose rate falls to 0."""
    optimizer = torch.optim.Adam(module.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
    for step in range(steps):
        crops = calibration_crops(photos, step, batch, (size, size))
        frames = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            wanted = exact(frames)
        loss = torch.nn.functional.mse_loss(module(frames), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
