"""MQNet in PyTorch on a photograph: what the compiled one is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_picture import light_of
from compile.imaging.fit_size import fit_photo, padded_size
from compile.networks.export_wrapper import ExportWrapper
from compile.networks.mqnet.network import MQNet
from compile.networks.run_module import run_module


def run_float_network(net: MQNet, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear relative light, float32 [H,W,3], that ``net`` computes in float32 for ``photo``
    uint8 [H,W,3] of any size, as the compiled one's is written."""
    frame, placement = fit_photo(photo, *padded_size(*photo.shape[:2]), "pad")
    output = run_module(ExportWrapper(net).eval(), frame)
    return light_of("extended_srgb", output, frame, placement)
