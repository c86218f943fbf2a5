"""Trace a network, with one sentence where its own code does not let itself be traced."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from compile.networks.network import Network
from compile.support.errors import GraphError

# Prints where in torch an operation has failed, which the error says as well.
_LOUD = logging.getLogger("torch._subclasses.fake_tensor")


def export_network(network: Network, net: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """Export ``net``, which stands for ``network``, at the size of ``inputs``, uint8 [1,H,W,C].

    Raises:
        GraphError: it cannot be traced, or does not take this size.
    """
    level = _LOUD.level
    _LOUD.setLevel(logging.CRITICAL)
    try:
        return torch.export.export(net, inputs)
    except Exception as error:  # Of the network's own code, or of torch's on seeing it.
        _, height, width, _ = inputs[0].shape
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise GraphError(
            f"network {network.title} cannot be exported for {height}x{width}: {reason}"
        ) from error
    finally:
        _LOUD.setLevel(level)
