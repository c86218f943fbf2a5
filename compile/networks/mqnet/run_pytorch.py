"""The PyTorch networks on a photograph: what the compiled ones are compared with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.fit_size import fit_photo, padded_size, unfit
from compile.networks.export_wrapper import ExportWrapper
from compile.networks.mqnet.network import MQNet
from compile.support.frame import Frame, frame_of, picture_of


def run_float_network(net: MQNet, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear relative light, float32 [H,W,3], that ``net`` computes in float32 for ``photo``
    uint8 [H,W,3] of any size."""
    frame, placement = fit_photo(photo, *padded_size(*photo.shape[:2]), "pad")
    return decode_hdr(unfit(run_module(ExportWrapper(net).eval(), frame), placement))


def run_module(module: nn.Module, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The output H, float32 [H,W,3], of a deployed (or exported) ``module`` for ``photo`` uint8
    [H,W,3]."""
    return picture_of(run_on_frame(module, frame_of(photo)))


def run_on_frame(module: nn.Module, frame: Frame) -> Frame:
    """What a deployed (or exported) ``module`` gives for ``frame``."""
    with torch.inference_mode():
        outputs = module(*(torch.from_numpy(np.array(tensor)) for tensor in frame))
    several = (outputs,) if isinstance(outputs, Tensor) else outputs
    return tuple(tensor.numpy() for tensor in several)
