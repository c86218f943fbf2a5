"""No kernel checks its arguments: what a frame is called with is checked at the door."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import tvm
from tvm import relax, te
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.passes.plan_memory import lower_to_vm, plan_memory


@pytest.fixture(scope="module")
def machine() -> relax.VirtualMachine:
    @I.ir_module
    class Doubling:
        @T.prim_func(private=True, s_tir=True)
        def double(x: T.Buffer((5, 7), "float32"), y: T.Buffer((5, 7), "float32")):
            T.func_attr({"tirx.noalias": True})
            for i, j in T.grid(5, 7):
                with T.sblock("double"):
                    v, w = T.axis.remap("SS", [i, j])
                    y[v, w] = x[v, w] * T.float32(2)

        @R.function
        def main(x: R.Tensor((5, 7), "float32")) -> R.Tensor((5, 7), "float32"):
            with R.dataflow():
                y = R.call_tir(Doubling.double, (x,), R.Tensor((5, 7), "float32"))
                R.output(y)
            return y

    planned = plan_memory()(Doubling)
    built = relax.build(planned, "llvm", relax_pipeline=lower_to_vm(), tir_pipeline=CPU_PIPELINE)
    return relax.VirtualMachine(built, tvm.cpu())


def test_a_kernel_has_no_check() -> None:
    x = te.placeholder((5, 7), "float32", name="x")
    kernel = te.create_prim_func([x, te.compute((5, 7), lambda i, j: x[i, j] * 2)])
    module = tvm.IRModule({"main": kernel.with_attr("global_symbol", "main")})
    checking = tvm.compile(module, target="llvm").mod.inspect_source("ll")
    trusting = tvm.compile(module, target="llvm", tir_pipeline=CPU_PIPELINE).mod
    assert "Mismatched" in checking
    assert "Mismatched" not in trusting.inspect_source("ll")


def test_what_fits_is_taken(machine: relax.VirtualMachine) -> None:
    x = np.arange(35, dtype=np.float32).reshape(5, 7)
    np.testing.assert_array_equal(machine["main"](tvm.runtime.tensor(x)).numpy(), 2 * x)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((5, 8), np.float32),
        np.zeros((1, 5, 7), np.float32),
        np.zeros((5, 7), np.float64),
        np.zeros((5, 7), np.int32),
    ],
)
def test_another_shape_or_type_is_refused(machine: relax.VirtualMachine, wrong: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        machine["main"](tvm.runtime.tensor(wrong))


def test_what_is_not_aligned_or_not_compact_is_no_tensor() -> None:
    memory = torch.zeros(35 * 4 + 64 + 4, dtype=torch.uint8)
    first = -memory.data_ptr() % 64
    with pytest.raises(RuntimeError, match="align"):
        tvm.runtime.from_dlpack(memory[first + 4 : first + 4 + 35 * 4])
    with pytest.raises(RuntimeError, match="contiguous"):
        tvm.runtime.from_dlpack(torch.zeros((7, 5)).T)
