"""The PyTorch networks on a photograph: what the compiled ones are compared with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.fit_size import fit_photo, padded_size, unfit
from compile.networks.export_wrapper import ExportWrapper
from compile.networks.mqnet.network import MQNet


def run_float_network(net: MQNet, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear relative light, float32 [H,W,3], that ``net`` computes in float32 for ``photo``
    uint8 [H,W,3] of any size."""
    frame, placement = fit_photo(photo, *padded_size(*photo.shape[:2]), "pad")
    return decode_hdr(unfit(run_module(ExportWrapper(net).eval(), frame), placement))


def run_module(module: nn.Module, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The output H, float32 [H,W,3], of a deployed (or exported) ``module`` for ``frame`` uint8
    [H,W,3]."""
    with torch.inference_mode():
        return module(torch.from_numpy(np.array(frame))[None]).numpy()[0]
