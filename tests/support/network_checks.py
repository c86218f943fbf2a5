"""What every network is held to: its published size, and that it computes something."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compile.networks.he_weights import fill_he_weights

_Net = TypeVar("_Net", bound=nn.Module)


def on_meta_device(make: Callable[[], _Net]) -> _Net:
    """A network without memory for its weights, in evaluation mode."""
    with torch.device("meta"):
        return make().eval()


def count(net: nn.Module, trained_only: bool = False) -> int:
    """Parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad or not trained_only)


def gmacs_by_module(net: nn.Module, height: int, width: int) -> dict[str, float]:
    """Multiply-accumulates for one image, in units of 1e9, by the module's path; "" is the whole.

    ``net`` is on the meta device.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.empty(1, 3, height, width, device="meta"))
    totals = {path: sum(of.values()) / 2e9 for path, of in counter.get_flop_counts().items()}
    return {
        "": totals.pop("Global"),
        **{p.partition(".")[2]: t for p, t in totals.items() if "." in p},
    }


def as_printed(gmacs: float) -> float:
    """With as many digits as the published tables have."""
    return round(gmacs, 2 if gmacs < 100 else 1)


def check_gmacs(net: nn.Module, expected: float, height: int = 256, width: int = 256) -> None:
    """Compare multiply-accumulates of one image with a printed figure."""
    digits = 2 if expected < 100 else 1
    total = gmacs_by_module(net, height, width)[""]
    assert total == pytest.approx(expected, abs=0.501 * 10**-digits)


def run(net: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """Output without gradients."""
    with torch.no_grad():
        return net(*inputs)


def check_outputs(net: nn.Module, side: int = 32) -> torch.Tensor:
    """Compare what ``net``, to be filled with weights, gives for dark, bright and random images;
    returns the outputs for the random ones, [2, 3, side, side]."""
    fill_he_weights(net)
    assert not net.training
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    outputs = run(net, images)
    assert outputs.shape == images.shape and outputs.dtype == torch.float32
    # One image does not see the other.
    torch.testing.assert_close(run(net, images[1:]), outputs[1:], rtol=1e-4, atol=1e-4)
    flat = [run(net, torch.full((1, 3, side, side), value)) for value in (0.0, 0.5, 1.0)]
    assert all(output.isfinite().all() for output in (outputs, *flat))
    assert outputs.abs().max() < 1e6, "weights let it grow"
    assert outputs[0].std() > 1e-3 and (outputs[0] - outputs[1]).abs().mean() > 1e-3
    assert (flat[2] - flat[0]).abs().mean() > 1e-3
    return outputs


def draw_all(net: _Net, seed: int = 0) -> _Net:
    """``net``, in evaluation mode, with biases and batch norms that are not what they start as."""
    fill_he_weights(net, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, tensor in (*net.named_parameters(), *net.named_buffers()):
            if name.endswith(("bias", "running_mean")):
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
            elif name.endswith("running_var") or tensor.dim() == 1 and name.endswith("weight"):
                tensor.mul_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return net
