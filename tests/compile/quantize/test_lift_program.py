"""A converted graph becomes the program that tracing it gives."""

from __future__ import annotations

import pytest
import torch
import tvm
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, symbolic_trace

from compile.frontend.import_program import import_program
from compile.networks.network import Network
from compile.networks.registry import network_named
from compile.quantize import quantize
from compile.quantize.export_network import export_network
from compile.quantize.lift_program import lift_program
from compile.quantize.schemes import scheme_named
from compile.support.errors import GraphError

CROP = (32, 32)


def converted(network: Network, scheme: str, monkeypatch: pytest.MonkeyPatch) -> GraphModule:
    """``network``, quantized on crops that are small."""
    found: list[GraphModule] = []

    def catch(
        network: Network, module: GraphModule, inputs: tuple[torch.Tensor, ...]
    ) -> ExportedProgram:
        found.append(module)
        return lift_program(network, module, inputs)

    monkeypatch.setattr(quantize, "lift_program", catch)
    monkeypatch.setattr(quantize, "CROPS", 2)
    net, photos = network.load(None), network.calibration_photos()
    quantize.quantize_network(network, net, scheme_named(scheme), photos, *CROP, CROP)
    return found[0]


@pytest.mark.parametrize(
    ("name", "scheme"), [("mqnet", "mixed"), ("mqnet", "w8a32"), ("expandnet", "int8")]
)
def test_it_is_the_traced_program(name: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_named(name)
    module = converted(network, scheme, monkeypatch)
    inputs = network.example_inputs(64, 96)
    lifted, traced = lift_program(network, module, inputs), export_network(network, module, inputs)
    first, second = (tvm.ir.save_json(import_program(one)) for one in (lifted, traced))
    assert first == second
    assert torch.equal(lifted.module()(*inputs), traced.module()(*inputs))
    assert list(lifted.state_dict) == list(traced.state_dict)
    assert not lifted.constants and not traced.constants


def test_a_size_that_it_does_not_take_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_named("mqnet")
    module = converted(network, "w8a32", monkeypatch)
    with pytest.raises(GraphError, match="mqnet cannot be exported for 50x50: Sizes of tensors"):
        lift_program(network, module, network.example_inputs(50, 50))


def test_what_holds_modules_is_traced() -> None:
    network = network_named("mqnet")
    module = symbolic_trace(nn.Sequential(nn.ReLU(), nn.Sigmoid()))
    program = lift_program(network, module, (torch.zeros(1, 3, 8, 8),))
    operations = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert operations == [torch.ops.aten.relu.default, torch.ops.aten.sigmoid.default]


def test_modules_whose_names_are_none_of_python() -> None:
    net = nn.Sequential()
    for name in ("a-0", "a_0", "0"):
        net.add_module(name, nn.Conv2d(3, 3, 1))
    inputs = (torch.rand(1, 3, 8, 8),)
    module = torch.export.export(net.eval(), inputs).module()
    assert isinstance(module, GraphModule)
    program = lift_program(network_named("mqnet"), module, inputs)
    assert torch.equal(program.module()(*inputs), net(*inputs))
    assert sorted(program.state_dict) == sorted(net.state_dict())
