"""PyTorch modules on frames: what the compiled networks are compared with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compile.support.frame import Frame, frame_of, picture_of


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
