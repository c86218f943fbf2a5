"""Weights that are finite numbers, and no network."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from compile.networks.mqnet.network import MQNet
from compile.networks.network import Network
from compile.networks.registry import find_network, network_named
from compile.quantize.check_output import check_output
from compile.quantize.equalize import equalize_concats
from compile.quantize.fold import fold_batch_norms
from compile.support.errors import CheckpointError

NETWORK = network_named("mqnet")
PHOTOS = NETWORK.calibration_photos()


@pytest.fixture
def net() -> MQNet:
    return NETWORK.load(NETWORK.weights(False))


def _negative_variance(net: MQNet) -> None:
    norm = next(module for module in net.modules() if isinstance(module, nn.BatchNorm2d))
    norm.running_var[0] = -1


def _overflow(net: MQNet) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data *= 1e12


def _zeros(net: MQNet) -> None:
    net.head.conv1.weight.data.zero_()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_negative_variance, "makes values that are not finite"),
        (_overflow, "makes values that are not finite"),
        (_zeros, r"has only zeros in 'head\.conv1\.weight'"),
    ],
)
def test_useless_weights(net: MQNet, spoil: Callable[[MQNet], None], words: str) -> None:
    check_output(NETWORK, net, PHOTOS, "checkpoint w.safetensors")
    spoil(net)
    with pytest.raises(CheckpointError, match=rf"checkpoint w\.safetensors {words}.*train it"):
        check_output(NETWORK, net, PHOTOS, "checkpoint w.safetensors")


def test_the_same_everywhere(net: MQNet) -> None:
    class Grey(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.full_like(image, 0.5)

    said = "checkpoint w.safetensors makes the same value of every element of its output: look"
    with pytest.raises(CheckpointError, match=said):
        check_output(NETWORK, Grey(), PHOTOS, "checkpoint w.safetensors", remedy="look")


class Several(nn.Module):
    """Numbers of a vector, and some that are always the same."""

    def __init__(self, same: bool) -> None:
        super().__init__()
        self.same = same

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        anchors = torch.ones(1, 4)
        return (x * 0, anchors) if self.same else (x, anchors)


def _several(path: Path, same: bool) -> Network:
    text = """
import torch
from test_check_output import Several

def varied():
    return Several(False).eval(), (torch.rand(1, 4),)

def same():
    return Several(True).eval(), (torch.rand(1, 4),)
"""
    path.write_text(text.replace("test_check_output", "several"))
    return find_network(f"{path}:{'same' if same else 'varied'}", {})


def test_constants_among_outputs_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "several.py").write_text(
        "import torch\nfrom torch import Tensor, nn\n" + inspect.getsource(Several)
    )
    network = _several(tmp_path / "nets.py", same=False)
    check_output(network, network.load(None), (), "network nets", (1, 4), "look at it")
    assert caplog.messages == ["network nets makes the same value of every element of output_1"]
    caplog.clear()
    network = _several(tmp_path / "nets.py", same=True)
    check_output(network, network.load(None), (), "network nets", (1, 4), "look at it")
    assert len(caplog.messages) == 2, "an example may be one of no result"


def test_a_dead_tensor_is_not_scaled(net: MQNet) -> None:
    folded = fold_batch_norms(net)
    for tensor in NETWORK.joined_tensors(folded)[:1]:
        for conv in tensor.producers:
            conv.weight.data.zero_()
            conv.bias.data.zero_()
    equalize_concats(folded, NETWORK.joined_tensors(folded), torch.rand(1, 3, 64, 64))
    assert all(torch.isfinite(value).all() for value in folded.state_dict().values())
