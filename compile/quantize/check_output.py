"""Refuses weights that are finite and useless before they are quantized."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compile.networks.network import Network
from compile.quantize.calibration import calibration_crops
from compile.support.errors import CheckpointError

_SEED = 0


def check_output(
    network: Network, net: nn.Module, photos: Sequence[NDArray[np.uint8]], weights: str
) -> None:
    """Run ``net``, the module of ``network``, on a crop of the first photograph (uint8 [H, W, 3]).

    Raises:
        CheckpointError: a convolution has no weight but 0, or the result a value that is not
            finite, or the same value everywhere; the text begins with ``weights``, which
            says whose they are.
    """
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            raise CheckpointError(f"{weights} has only zeros in '{name}.weight': train it again")
    crop = torch.from_numpy(calibration_crops(photos[:1], _SEED, 1, network.calibration_size))
    wrapper = network.export_wrapper(net, torch.float32).eval()
    with torch.no_grad(), redirect_stdout(sys.stderr):  # A user's network may print.
        output = wrapper(crop)
    if not torch.isfinite(output).all():
        raise CheckpointError(
            f"{weights} makes values that are not finite of a photograph: train it again"
        )
    if output.min() == output.max():
        raise CheckpointError(
            f"{weights} makes the same value of every pixel of a photograph: train it again"
        )
