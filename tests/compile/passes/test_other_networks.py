"""The whole way for two networks that are not MQNet: the boundary is found in any quantized graph.

Each is exported from PyTorch, imported, partitioned, lowered, compiled for this machine and
compared with PyTorch: the int8 boundary, the head on PyTorch's own boundary, and both parts
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import tvm
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.nn import functional as F
from tvm import relax

from compile.networks.quantized_ops import QUANTIZE
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize.pt2e import (
    MinMaxObserver,
    PerChannelMinMaxObserver,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    convert_pt2e,
    prepare_pt2e,
)
from compile.support.errors import GraphError
from targets.load_target import load_target

quantized_decomposed = torch.ops.quantized_decomposed
aten = torch.ops.aten

ACTIVATION = QuantizationSpec(torch.int8, MinMaxObserver, -128, 127, torch.per_tensor_affine)
WEIGHT = QuantizationSpec(
    torch.int8,
    PerChannelMinMaxObserver,
    -127,
    127,
    torch.per_channel_symmetric,
    ch_axis=0,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Test workers that run side by side must not wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Residual(nn.Module):
    """Float NCHW picture in; ``body`` is what the quantizer below turns to int8."""

    def __init__(self) -> None:
        super().__init__()
        self.body = ResidualBody()
        self.top = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.top(self.body(x)))


class ResidualBody(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.third = nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x))
        return y + self.third(torch.relu(self.second(y)))


class BodyQuantizer(Quantizer):
    """int8 for everything that a module named ``body`` computes."""

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        for node in model.graph.nodes:
            stack = node.meta.get("nn_module_stack") or {}
            if node.op != "call_function" or not any("body" in path for path, _ in stack.values()):
                continue
            operands = [arg for arg in node.args if isinstance(arg, fx.Node)]
            inputs = {arg: ACTIVATION for arg in operands if arg.name == "x"}
            is_convolution = node.target is aten.conv2d.default
            if is_convolution:
                inputs[operands[1]] = WEIGHT
            before_relu = {user.target for user in node.users} == {aten.relu.default}
            output = None if is_convolution and before_relu else ACTIVATION
            node.meta["quantization_annotation"] = QuantizationAnnotation(
                inputs, output, _annotated=True
            )
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to check."""


def residual_program() -> tuple[ExportedProgram, Tensor]:
    torch.manual_seed(1)
    x = torch.rand(1, 3, 15, 22) * 2 - 0.7
    graph = torch.export.export(Residual().eval(), (x,)).module()
    prepared = prepare_pt2e(graph, BodyQuantizer())
    prepared(x)
    return torch.export.export(convert_pt2e(prepared), (x,)), x


def through_int8(x: Tensor, scale: float, zero_point: int) -> Tensor:
    parameters = (scale, zero_point, -128, 127, torch.int8)
    q = quantized_decomposed.quantize_per_tensor(x, *parameters)
    return quantized_decomposed.dequantize_per_tensor(q, *parameters)


class Int8Conv2d(nn.Module):
    """A convolution whose weights are stored in int8, quantized by hand."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, **options: int) -> None:
        super().__init__()
        fan_in = channels_in // options.get("groups", 1) * kernel**2
        weight = torch.randn(channels_out, fan_in // kernel**2, kernel, kernel) / fan_in**0.5
        scale = weight.abs().amax((1, 2, 3)) / 127
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", torch.zeros(channels_out, dtype=torch.int64))
        self.register_buffer("weight", (weight / scale[:, None, None, None]).round().to(torch.int8))
        self.bias = nn.Parameter(torch.randn(channels_out))
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        weight = quantized_decomposed.dequantize_per_channel(
            self.weight, self.scale, self.zero_point, 0, -127, 127, torch.int8
        )
        return F.conv2d(x, weight, self.bias, **self.options)


class TwoBranches(nn.Module):
    """uint8 NHWC picture in; a fine and a coarse int8 branch meet in a head with InstanceNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Int8Conv2d(3, 8, 3, padding=1)
        self.depthwise = Int8Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.gate = Int8Conv2d(8, 1, 1)
        self.fine = Int8Conv2d(8, 5, 1)
        self.coarse = Int8Conv2d(8, 5, 3, padding=1)
        self.norm = nn.InstanceNorm2d(5, affine=True)
        self.last = nn.Conv2d(10, 3, 1, bias=False)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        picture = x.permute(0, 3, 1, 2).float() / 255
        y = through_int8(picture, 1 / 255, -128)
        y = through_int8(F.relu6(self.stem(y)), 6 / 255, -128)
        # One gate per pixel: a convolution to a single channel, whose bias looks like a scalar.
        gate = through_int8(torch.sigmoid(through_int8(self.gate(y), 0.06, 5)), 1 / 256, -128)
        y = through_int8(y * gate, 6 / 255, -128)
        z = through_int8(F.relu(self.depthwise(y)), 0.05, -128)
        mean = through_int8(F.adaptive_avg_pool2d(z, 1), 0.03, -128)
        z = through_int8(z + mean, 0.08, -128)
        fine = torch.relu(self.norm(self.fine(y)))
        coarse = F.interpolate(self.coarse(z), scale_factor=2.0, mode="nearest")
        out = torch.tanh(self.last(torch.cat([fine, coarse], 1)))
        return out.permute(0, 2, 3, 1)


def two_branches_program() -> tuple[ExportedProgram, Tensor]:
    torch.manual_seed(2)
    x = torch.randint(0, 256, (1, 14, 18, 3), dtype=torch.uint8)
    return torch.export.export(TwoBranches().eval(), (x,)), x


@dataclass(frozen=True)
class Case:
    """A network and its parts in PyTorch's order.

    Attributes:
        program: of the quantized network.
        x: an input.
        entry: position among the quantize nodes of the backbone's input, or None for ``x``.
        boundary: positions among the quantize nodes of what the head reads.
    """

    program: ExportedProgram
    x: Tensor
    entry: int | None
    boundary: tuple[int, ...]


CASES = {
    "residual": lambda: Case(*residual_program(), entry=0, boundary=(4,)),
    "two-branches": lambda: Case(*two_branches_program(), entry=None, boundary=(4, 7)),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


@pytest.fixture(scope="module")
def planned(case: Case) -> tvm.IRModule:
    return plan_network(case.program, OPTIONS)


@pytest.fixture(scope="module")
def machine(planned: tvm.IRModule) -> relax.VirtualMachine:
    return relax.VirtualMachine(emit(planned, OPTIONS), tvm.cpu())


OPTIONS = PipelineOptions(load_target("host"), threads=1, partition=True, records=Path("nowhere"))


def test_int8_boundary(case: Case, machine: relax.VirtualMachine) -> None:
    """PyTorch computes in float, where a value may fall on the other side of a rounding tie."""
    steps = quantized_tensors(case)
    entry = case.x.numpy() if case.entry is None else steps[case.entry]
    results = run(machine, "backbone", entry)
    assert len(results) == len(case.boundary)
    for result, position in zip(results, case.boundary, strict=True):
        assert result.dtype == np.int8
        difference = np.abs(result.astype(int) - steps[position])
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01
        assert np.unique(result).size > 20  # the comparison is worth something


def test_head_on_the_boundary_of_pytorch(case: Case, machine: relax.VirtualMachine) -> None:
    steps = quantized_tensors(case)
    (result,) = run(machine, "head", *(steps[position] for position in case.boundary))
    np.testing.assert_allclose(result, expected_output(case), atol=2e-6)


def test_output(case: Case, machine: relax.VirtualMachine) -> None:
    """From input to output: a boundary element that is off by one shows, but no more than that."""
    (result,) = run(machine, "main", case.x.numpy())
    difference = np.abs(result - expected_output(case))
    assert difference.max() < 0.05
    assert difference.mean() < 2e-4


def test_int8_parts_call_only_our_own_kernels(planned: tvm.IRModule) -> None:
    """Every kernel of the backbone has a family of ours, which legalized float ops have not."""
    calls = [binding.value for binding in planned["backbone"].body.blocks[0].bindings]
    names = [call.op for call in calls if isinstance(getattr(call, "op", None), tvm.ir.GlobalVar)]
    assert len(names) >= 4
    assert all("mqnet.family" in planned[name].attrs for name in names)


class WeightsOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Int8Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(x))


class InputOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(through_int8(x, 1 / 64, 0)))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Residual, "it has no int8 activation; choose another scheme"),
        (WeightsOnly, "it has no int8 activation; choose another scheme"),
        (InputOnly, "only its input is quantized, and all that reads it is in float"),
    ],
)
def test_network_without_a_boundary_says_why(network: type[nn.Module], why: str) -> None:
    program = torch.export.export(network().eval(), (torch.rand(1, 3, 8, 9),))
    with pytest.raises(GraphError, match=why):
        plan_network(program, OPTIONS)


def test_network_without_a_boundary_compiles_in_one_piece() -> None:
    """int8 weights under float data, and int8 data under float weights."""
    options = PipelineOptions(OPTIONS.spec, threads=1, partition=False, records=Path("nowhere"))
    x = torch.rand(1, 3, 8, 9)
    for network in (WeightsOnly().eval(), InputOnly().eval()):
        planned = plan_network(torch.export.export(network, (x,)), options)
        machine = relax.VirtualMachine(emit(planned, options), tvm.cpu())
        (result,) = run(machine, "main", x.numpy())
        np.testing.assert_allclose(result, network(x).detach().numpy(), atol=2e-6)


def run(machine: relax.VirtualMachine, name: str, *inputs: NDArray) -> list[NDArray]:
    result = machine[name](*(tvm.runtime.tensor(np.ascontiguousarray(x)) for x in inputs))
    results = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
    return [tensor.numpy() for tensor in results]


def expected_output(case: Case) -> NDArray[np.float32]:
    return case.program.module()(case.x).detach().numpy()


def quantized_tensors(case: Case) -> list[NDArray[np.int8]]:
    """What each quantize of the graph gives in PyTorch, in the graph's order, NHWC."""
    tensors = []

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            result = super().run_node(n)
            if n.target is QUANTIZE:
                tensors.append(result.numpy().transpose(0, 2, 3, 1))
            return result

    with torch.no_grad():
        Recorder(case.program.module()).run(case.x)
    return tensors
