"""A small network with a bit of everything that links differently: conv, tanh, exp, erf, pow.

Stands in for the real one where a test is about targets, linking or the emulator.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.codegen.link.link import ExportLinker, LinkOptions
from targets.describe_target import tvm_target
from targets.spec import TargetSpec

INPUT_SHAPE = (1, 5, 13, 11)
_DOT_BYTES = 16


def make_input(seed: int = 1) -> np.ndarray:
    """An input for `main` and `head`."""
    return np.random.default_rng(seed).standard_normal(INPUT_SHAPE).astype("float32")


def small_module() -> tvm.IRModule:
    """Two functions: `main` returns a tuple, `head` takes two tensors and returns one."""
    weight = np.random.default_rng(0).standard_normal((7, 5, 3, 3)).astype("float32") * 0.1
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(INPUT_SHAPE, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            conv = builder.emit(relax.op.nn.conv2d(x, relax.const(weight), padding=1))
            first = builder.emit(relax.op.tanh(conv))
            second = builder.emit(relax.op.exp(relax.op.erf(conv)))
            result = builder.emit_output(relax.Tuple([first, second]))
        builder.emit_func_output(result)
    a = relax.Var("a", relax.TensorType(INPUT_SHAPE, "float32"))
    b = relax.Var("b", relax.TensorType(INPUT_SHAPE, "float32"))
    with builder.function("head", [a, b]):
        with builder.dataflow():
            power = relax.op.power(relax.op.abs(a), relax.const(1.7, "float32"))
            result = builder.emit_output(builder.emit(relax.op.subtract(power, b)))
        builder.emit_func_output(result)
    return relax.get_pipeline("zero")(builder.get())


@I.ir_module
class DotModule:
    """One sdot: four int32 lanes, each the dot product of four int8 pairs."""

    @T.prim_func(s_tir=True)
    def dot(
        a: T.Buffer((16,), "int8"),
        b: T.Buffer((16,), "int8"),
        c: T.Buffer((4,), "int32"),
    ):
        with T.sblock("dot"):
            T.reads(a[0:16], b[0:16])
            T.writes(c[0:4])
            c[T.ramp(T.int32(0), 1, 4)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.sdot"),
                T.broadcast(T.int32(0), 4),
                a.vload([0], dtype="int8x16"),
                b.vload([0], dtype="int8x16"),
                dtype="int32x4",
            )

    @R.function
    def main(a: R.Tensor((16,), "int8"), b: R.Tensor((16,), "int8")):
        cls = DotModule
        with R.dataflow():
            c = R.call_tir(cls.dot, (a, b), out_ty=R.Tensor((4,), "int32"))
            R.output(c)
        return c


def export(
    module: tvm.IRModule, spec: TargetSpec, library: Path, options: LinkOptions | None = None
) -> ExportLinker:
    """Compiles and links; the linker that comes back holds the report."""
    linker = ExportLinker(spec, options)
    tvm.compile(module, target=tvm_target(spec)).export_library(str(library), fcompile=linker)
    return linker


def run_here(library: Path, function: str, *inputs: np.ndarray) -> list[np.ndarray]:
    """Runs a library of this machine in this process."""
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    result = machine[function](*(tvm.runtime.tensor(array) for array in inputs))
    return [result.numpy()] if hasattr(result, "numpy") else [item.numpy() for item in result]
