"""Results that become bytes, and bytes that become pairs, by x86's instructions: against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import s_tir, te, tirx

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.kernels.common.quantize_op import quantize_int8
from targets.detect_host import read_host_machine

#: LLVM's core, and what of /proc/cpuinfo it needs.
CORES = [("x86-64-v3", "avx2"), ("x86-64-v2", "sse4_2")]
by_core = pytest.mark.parametrize(("cpu", "flag"), CORES)
by_count = pytest.mark.parametrize("count", [4, 8, 16, 32, 13])
ROWS = 64

#: Ties, what is next to them, and numbers that int32 or int16 cannot hold.
HARD = [0.5, -0.5, 1.5, -1.5, 2.5, 126.5, -127.5, 0.49999997, -0.0, 127.4, 200.0, -200.0]
HARD += [32767.5, -32768.5, 40000.0, -40000.0, 2.0**31, -(2.0**31), 3e38, -3e38, np.inf, -np.inf]


def compiled(operands: list[te.Tensor], out: te.Tensor, cpu: str) -> tvm.runtime.Module:
    """The rows of ``out`` a vector each, for the core ``cpu``."""
    kernel = te.create_prim_func([*operands, out]).with_attr("global_symbol", "main")
    schedule = s_tir.Schedule(tvm.IRModule({"main": kernel}))
    (block,) = schedule.get_child_blocks(schedule.get_sblock("root"))
    schedule.vectorize(schedule.get_loops(block)[-1])
    target = {"kind": "llvm", "mcpu": cpu, "mtriple": "x86_64-linux-gnu"}
    return tvm.compile(schedule.mod, target=target, tir_pipeline=CPU_PIPELINE).mod


def quantizing(count: int, cpu: str, dtype: str = "int8") -> tvm.runtime.Module:
    values = te.placeholder((ROWS, count), "float32", name="values")
    quant = te.placeholder((3,), "int32", name="quant")

    def result(i: tirx.Expr, j: tirx.Expr) -> tirx.Expr:
        return quantize_int8(values[i, j], quant[0], quant[1], quant[2]).astype(dtype)

    return compiled([values, quant], te.compute((ROWS, count), result), cpu)


def skip_without(flag: str) -> None:
    if flag not in read_host_machine().flags:
        pytest.skip(f"this machine has no {flag}")


@by_core
@by_count
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_what_is_quantized(cpu: str, flag: str, count: int, dtype: str) -> None:
    skip_without(flag)
    module, random = quantizing(count, cpu, dtype), np.random.default_rng(count)
    for zero_point, low, high in [(0, -128, 127), (-128, -128, 127), (127, -5, 127), (3, 3, 90)]:
        values = random.normal(0, 100, (ROWS, count)).astype(np.float32)
        hard = random.choice(np.array(HARD, np.float32), values.shape)
        values = np.where(random.random(values.shape) < 0.5, hard, values)
        found = tvm.runtime.tensor(np.full((ROWS, count), 85, dtype))
        quant = np.array([zero_point, low, high], np.int32)
        module["main"](tvm.runtime.tensor(values), tvm.runtime.tensor(quant), found)
        rounded = np.rint(values.astype(np.float64)) + zero_point
        np.testing.assert_array_equal(found.numpy(), np.clip(rounded, low, high))


@by_count
def test_what_it_compiles_to(count: int) -> None:
    """Registers are narrowed two at a time, but by AVX-512, which narrows one by itself."""
    for cpu, packs in [("x86-64-v3", True), ("x86-64-v2", True), ("x86-64-v4", False)]:
        assembly = quantizing(count, cpu).inspect_source("asm")
        assert ("packssdw" in assembly) == packs, cpu


@by_core
@pytest.mark.parametrize("count", [4, 8, 16, 32])
def test_bytes_become_pairs(cpu: str, flag: str, count: int) -> None:
    skip_without(flag)
    low, high = (te.placeholder((ROWS, count), "int8", name=name) for name in ("low", "high"))

    def pair(i: tirx.Expr, j: tirx.Expr) -> tirx.Expr:
        lower = low[i, j].astype("int32") & tirx.const(0xFFFF, "int32")
        return lower | high[i, j].astype("int32") << 16

    module = compiled([low, high], te.compute((ROWS, count), pair), cpu)
    assert "punpcklbw" in module.inspect_source("asm")
    random = np.random.default_rng(count)
    members = [random.integers(-128, 128, (ROWS, count)).astype(np.int8) for _ in range(2)]
    found = tvm.runtime.tensor(np.zeros((ROWS, count), np.int32))
    module["main"](*map(tvm.runtime.tensor, members), found)
    pairs = found.numpy().view(np.int16).reshape(ROWS, count, 2)
    np.testing.assert_array_equal(pairs, np.stack(members, axis=-1))
