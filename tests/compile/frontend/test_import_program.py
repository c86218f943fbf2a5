"""From PyTorch to Relax: what is kept, and what is refused with the name of where it came from."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
import tvm
from torch import Tensor, nn
from torch.export import ExportedProgram
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.frontend.check_program import check_program
from compile.frontend.import_program import import_program
from compile.quantize import pt2e  # noqa: F401  (it defines torch.ops.quantized_decomposed)
from compile.support.errors import GraphError

quantized_decomposed = torch.ops.quantized_decomposed


class Int8Conv2d(nn.Module):
    """The form of a convolution with int8 weights in a converted graph."""

    def __init__(self, zero_point: int = 0, low: int = -127, dtype: torch.dtype = torch.int8):
        super().__init__()
        weight = torch.arange(8, dtype=dtype).reshape(2, 4, 1, 1)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", torch.tensor([0.5, 0.25]))
        self.register_buffer("zero_point", torch.full((2,), zero_point, dtype=torch.int64))
        self.bias = nn.Parameter(torch.tensor([1.0, -1.0]))
        self.limits = (low, 127, dtype)

    def forward(self, x: Tensor) -> Tensor:
        weight = quantized_decomposed.dequantize_per_channel(
            self.weight, self.scale, self.zero_point, 0, *self.limits
        )
        return nn.functional.conv2d(x, weight, self.bias)


class Quantized(nn.Module):
    """quantize and dequantize around a convolution; ``limits`` and ``dtype`` of the quantize."""

    def __init__(self, conv: Int8Conv2d, low: int = -128, high: int = 127, dtype=torch.int8):
        super().__init__()
        self.conv = conv
        self.limits = (low, high, dtype)

    def forward(self, x: Tensor) -> Tensor:
        parameters = (0.1, 3, *self.limits)
        q = quantized_decomposed.quantize_per_tensor(x, *parameters)
        return self.conv(quantized_decomposed.dequantize_per_tensor(q, *parameters))


def export(network: nn.Module) -> ExportedProgram:
    return torch.export.export(network.eval(), (torch.zeros(1, 4, 5, 6),))


def test_quantize_and_dequantize_are_kept() -> None:
    """The imported graph is what PyTorch wrote: float ops between dequantize and quantize."""
    weight = np.arange(8, dtype="int8").reshape(2, 4, 1, 1)
    scale = np.array([0.5, 0.25], "float32")
    bias = np.array([1.0, -1.0], "float32")

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((1, 4, 5, 6), "float32")) -> R.Tensor((1, 2, 5, 6), "float32"):
            with R.dataflow():
                q = R.quantize(x, R.const(0.1, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.1, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(weight), R.const(scale), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(d, w)
                biased = R.add(conv, R.reshape(R.const(bias), R.shape([1, 2, 1, 1])))
                out = biased
                R.output(out)
            return out

    imported = import_program(export(Quantized(Int8Conv2d())))
    assert_structural_equal(imported, Expected)


def test_import_computes_what_pytorch_computes() -> None:
    network = Quantized(Int8Conv2d())
    program = export(network)
    machine = relax.VirtualMachine(tvm.compile(import_program(program), "llvm"), tvm.cpu())
    torch.manual_seed(0)
    x = torch.randn(1, 4, 5, 6)
    result = machine["main"](tvm.runtime.tensor(x.numpy())).numpy()
    np.testing.assert_allclose(result, network(x).detach().numpy(), atol=1e-5)


@torch.library.custom_op("mqnet_tests::polish", mutates_args=())
def polish(x: Tensor) -> Tensor:
    """An operator that no importer knows."""
    return x.clone()


@polish.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Polish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return polish(x)


class Nested(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(4, 4, 1), inner])

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class FourierTransform(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft2(x).abs()


@pytest.mark.parametrize(
    ("inner", "operator"),
    [(Polish(), "polish.default"), (FourierTransform(), "fft_rfft2.default")],
    ids=["custom", "of-pytorch"],
)
def test_unknown_operator_is_named_with_its_module(inner: nn.Module, operator: str) -> None:
    kind = type(inner).__name__
    with pytest.raises(GraphError) as caught:
        import_program(export(Nested(inner)))
    message = str(caught.value)
    assert message.startswith(f"operator {operator} (")
    assert f"in module stages.1 of type {kind})" in message
    assert "\n" not in message


def test_unknown_operator_outside_of_any_submodule() -> None:
    with pytest.raises(GraphError, match=r"operator polish\.default .* of type Polish\)"):
        check_program(export(Polish()))


def test_operator_that_the_importer_knows_passes() -> None:
    check_program(export(Nested(nn.Tanh())))


@pytest.mark.parametrize("zero_point", [1, -128])
def test_asymmetric_weights_are_refused(zero_point: int) -> None:
    program = export(Quantized(Int8Conv2d(zero_point)))
    with pytest.raises(GraphError, match=r"weights of module conv of type Int8Conv2d have zero p"):
        import_program(program)


def test_computed_zero_points_are_refused() -> None:
    class Computed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = Int8Conv2d()

        def forward(self, x: Tensor) -> Tensor:
            zero_point = self.conv.zero_point + 1
            weight = quantized_decomposed.dequantize_per_channel(
                self.conv.weight, self.conv.scale, zero_point, 0, -127, 127, torch.int8
            )
            return nn.functional.conv2d(x, weight)

    with pytest.raises(GraphError, match="zero points must be constants of the program"):
        import_program(export(Computed()))


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ((0, 255, torch.uint8), r"torch\.uint8 in \[0, 255\]"),
        ((0, 127, torch.int8), r"torch\.int8 in \[0, 127\]"),
        ((-8, 7, torch.int8), r"torch\.int8 in \[-8, 7\]"),
        ((-32768, 32767, torch.int16), r"torch\.int16 in \[-32768, 32767\]"),
    ],
    ids=["uint8", "half-range", "int4", "int16"],
)
def test_activations_other_than_int8_are_refused(limits: tuple, found: str) -> None:
    network = Quantized(Int8Conv2d(), *limits)
    with pytest.raises(GraphError, match=rf"quantized to {found}; only int8 in \[-128, 127\]"):
        import_program(export(network))


def test_weights_other_than_int8_are_refused() -> None:
    with pytest.raises(GraphError, match="quantized to torch.uint8"):
        import_program(export(Quantized(Int8Conv2d(low=0, dtype=torch.uint8))))


def test_batch_of_two_is_refused() -> None:
    program = torch.export.export(nn.Conv2d(3, 4, 1).eval(), (torch.zeros(2, 3, 8, 8),))
    with pytest.raises(GraphError, match="holds 2 pictures"):
        check_program(program)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_keep_their_dtype(dtype: torch.dtype, bias: bool) -> None:
    """TVM's own converter gives float32 and adds a bias of another type to it."""
    conv = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=bias).to(dtype)
    mod = import_program(torch.export.export(conv, (torch.zeros(1, 3, 7, 9, dtype=dtype),)))
    name = str(dtype).removeprefix("torch.")
    types = {
        str(binding.var.ty.dtype) for block in mod["main"].body.blocks for binding in block.bindings
    }
    assert types == {name}
    assert [int(extent) for extent in mod["main"].ret_ty.shape] == [1, 4, 4, 5]


@pytest.mark.parametrize("epsilon", [1e-5, 0.25, 10.0])
@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm_keeps_its_epsilon(epsilon: float, affine: bool) -> None:
    norm = nn.InstanceNorm2d(4, epsilon, affine=affine)
    if affine:
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    x = torch.rand(1, 4, 5, 6)
    machine = relax.VirtualMachine(tvm.compile(import_program(export(norm)), "llvm"), tvm.cpu())
    found = machine["main"](tvm.runtime.tensor(x.numpy())).numpy()
    np.testing.assert_allclose(found, norm(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_refusal_is_all_that_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    """Not also, by TVM, that a builder was dropped with an open block."""

    class Indexed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[torch.tensor([0, 1]), torch.tensor([1, 0])] + x.sum()

    program = torch.export.export(Indexed().eval(), (torch.rand(3, 3),))
    with pytest.raises(GraphError, match="indexing by several tensors"):
        import_program(program)
    gc.collect()
    assert "BlockBuilder" not in capfd.readouterr().err
