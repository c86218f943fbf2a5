"""Refuses weights that are finite and useless before they are quantized."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compile.networks.network import Network
from compile.quantize.calibration import CROP, calibration_crops
from compile.quantize.one_thread import one_thread
from compile.support.errors import CheckpointError

log = logging.getLogger(__name__)

_SEED = 0


def check_output(
    network: Network,
    net: nn.Module,
    photos: Sequence[NDArray[np.uint8]],
    weights: str,
    size: tuple[int, int] = (CROP, CROP),
    remedy: str = "train it again",
) -> None:
    """Run ``net``, the module of ``network``, on a crop of the first photograph (uint8 [H, W, 3])
    of that ``size``, or on its example inputs.

    Raises:
        CheckpointError: a convolution has no weight but 0, or a result a value that is not finite,
            or all that is made of a photograph is the same value everywhere; the text begins with
            ``weights``, which says whose they are, and ends with the ``remedy``.
    """
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            raise CheckpointError(f"{weights} has only zeros in '{name}.weight': {remedy}")
    wrapper = network.export_wrapper(net, torch.float32).eval()
    inputs = network.example_inputs(*size)
    if network.takes_photographs:
        inputs = (torch.from_numpy(calibration_crops(photos[:1], _SEED, 1, size)),)
    # A user's network may print.
    with torch.no_grad(), one_thread(), redirect_stdout(sys.stderr):
        made = wrapper(*inputs)
    outputs = dict(
        zip(network.output_names, (made,) if network.makes_pictures else made, strict=True)
    )
    for name, output in outputs.items():
        if not torch.isfinite(output).all():
            raise CheckpointError(f"{weights} makes values that are not finite ({name}): {remedy}")
    constant = [name for name, output in outputs.items() if _is_constant(output)]
    if network.takes_photographs and len(constant) == len(outputs):
        raise CheckpointError(
            f"{weights} makes the same value of every element of its output: {remedy}"
        )
    for name in constant:
        log.warning("%s makes the same value of every element of %s", weights, name)


def _is_constant(tensor: Tensor) -> bool:
    return tensor.numel() > 1 and bool(tensor.min() == tensor.max())
