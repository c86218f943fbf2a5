"""The size of the crops that scales are chosen on."""

from __future__ import annotations

import torch
from torch import nn

from compile.networks.network import Network
from compile.quantize.calibration import CROP
from compile.quantize.export_network import export_network
from compile.support.errors import GraphError


def crop_size(network: Network, net: nn.Module, height: int, width: int) -> tuple[int, int]:
    """Height and width of the crops that calibrate ``net``, the module of ``network``, for a size:
    256x256, unless its graph is another one there.

    Raises:
        GraphError: it cannot be traced at that size.
    """
    if network.size:
        return network.size
    if network.any_size or (height, width) == (CROP, CROP):
        return CROP, CROP
    wrapper = network.export_wrapper(net, torch.float32).eval()
    wanted = export_network(network, wrapper, network.example_inputs(height, width))
    try:
        usual = export_network(network, wrapper, network.example_inputs(CROP, CROP))
    except GraphError:
        return height, width
    return (CROP, CROP) if str(usual.graph) == str(wanted.graph) else (height, width)
