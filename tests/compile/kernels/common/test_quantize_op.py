"""mqnet.quantize_int8 and mqnet.round_to_int8: one number, whatever the processor and however the
lanes fall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_net
import tvm
from command_line import needs_lld
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tvm import relax, te, tirx

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.kernels.common.quantize_op import MOST_ROUNDED, quantize_int8, round_to_int8
from device.emulated.arm64.run_module import run_all_on_board
from targets.describe_target import tvm_target
from targets.detect_host import read_host_machine
from targets.load_target import load_target

#: Ties, what is next to them, and numbers that int32 or int16 cannot hold.
HARD = [0.5, -0.5, 1.5, -1.5, 2.5, 126.5, -127.5, 0.49999997, -0.0, 127.4, 200.0, -200.0]
HARD += [32767.5, -32768.5, 40000.0, -40000.0, 2.0**31, -(2.0**31), 3e38, -3e38, np.inf, -np.inf]

#: One vector of the widest processor, parts of one, and a scalar loop.
COUNTS = (16, 4, 32, 13, 1)
ROWS = 64


def quantized(values: NDArray[np.float32], zero_point: int, low: int, high: int) -> NDArray:
    """By the rule, in double precision."""
    rounded = np.rint(values.astype(np.float64)) + zero_point
    return np.clip(rounded, low, high).astype(np.int8)


def kernel(count: int, is_limited: bool = True) -> tirx.PrimFunc:
    """(values float32 [64,count], quant int32 [3], out int8), a row a vector. Without limits the
    values are multiplied by quant[1]: what is rounded is a product wherever that is done, and LLVM
    22 makes of SSE's conversion of a load one that has to be aligned."""
    values = te.placeholder((ROWS, count), "float32", name="values")
    quant = te.placeholder((3,), "int32", name="quant")

    def result(i: tirx.Expr, j: tirx.Expr) -> tirx.Expr:
        if is_limited:
            return quantize_int8(values[i, j], quant[0], quant[1], quant[2])
        return round_to_int8(values[i, j] * quant[1].astype("float32"), quant[0])

    out = te.compute((ROWS, count), result)
    schedule = tvm.s_tir.Schedule(te.create_prim_func([values, quant, out]))
    (block,) = schedule.get_child_blocks(schedule.get_sblock("root"))
    if count > 1:
        schedule.vectorize(schedule.get_loops(block)[-1])
    return schedule.mod["main"]


def module(is_limited: bool = True) -> tvm.IRModule:
    """``main1`` and so on (values float32 [64,count], quant int32 [3]) -> int8, for each count."""
    builder = relax.BlockBuilder()
    for count in COUNTS:
        x = relax.Var("x", relax.TensorType((ROWS, count), "float32"))
        q = relax.Var("q", relax.TensorType((3,), "int32"))
        with builder.function(f"main{count}", [x, q]):
            function = kernel(count, is_limited).without_attr("global_symbol")
            name = builder.add_func(function, f"quantize{count}")
            ty = relax.TensorType((ROWS, count), "int8")
            builder.emit_func_output(builder.emit(relax.op.call_tir(name, [x, q], ty)))
    return builder.get()


def draw_values(
    random: np.random.Generator, count: int, is_limited: bool = True
) -> NDArray[np.float32]:
    values = random.normal(0, 100, (ROWS, count)).astype(np.float32)
    hard = random.choice(np.array(HARD, np.float32), values.shape)
    drawn = np.where(random.random(values.shape) < 0.5, hard, values)
    return drawn if is_limited else np.clip(drawn, -MOST_ROUNDED, MOST_ROUNDED)


@pytest.fixture(scope="module")
def host_machine() -> relax.VirtualMachine:
    target = tvm_target(load_target("host"), 1)
    return relax.VirtualMachine(relax.build(module(), target), tvm.cpu())


@pytest.fixture(scope="module", params=[None, "x86-64-v4", "x86-64-v3", "x86-64-v2"])
def unlimited_machine(request: pytest.FixtureRequest) -> relax.VirtualMachine:
    """By the host's instructions, and by those of the cores that it may stand for."""
    target = tvm_target(load_target("host"), 1)
    if request.param is not None:
        flag = {"x86-64-v4": "avx512bw", "x86-64-v3": "avx2", "x86-64-v2": "sse4_2"}[request.param]
        if flag not in read_host_machine().flags:
            pytest.skip(f"this machine has no {flag}")
        target = tvm.target.Target({"kind": "llvm", "mcpu": request.param})
    built = relax.build(module(is_limited=False), target, tir_pipeline=CPU_PIPELINE)
    return relax.VirtualMachine(built, tvm.cpu())


@given(seed=st.integers(0, 2**32 - 1), zero_point=st.integers(-128, 127))
@settings(max_examples=50)
def test_without_limits(
    unlimited_machine: relax.VirtualMachine, seed: int, zero_point: int
) -> None:
    random = np.random.default_rng(seed)
    quant = tvm.runtime.tensor(np.array([zero_point, 1, 0], np.int32))
    for count in COUNTS:
        values = draw_values(random, count, is_limited=False)
        found = unlimited_machine[f"main{count}"](tvm.runtime.tensor(values), quant).numpy()
        np.testing.assert_array_equal(found, quantized(values, zero_point, -128, 127))


@given(
    seed=st.integers(0, 2**32 - 1),
    zero_point=st.integers(-128, 127),
    limits=st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(sorted),
)
@settings(max_examples=50)
def test_host(
    host_machine: relax.VirtualMachine, seed: int, zero_point: int, limits: list[int]
) -> None:
    random = np.random.default_rng(seed)
    quant = tvm.runtime.tensor(np.array([zero_point, *limits], np.int32))
    for count in COUNTS:
        values = draw_values(random, count)
        found = host_machine[f"main{count}"](tvm.runtime.tensor(values), quant).numpy()
        np.testing.assert_array_equal(found, quantized(values, zero_point, *limits))


@needs_lld
@pytest.mark.parametrize("is_limited", [True, False])
def test_emulated_arm64(arm64_root: Path, tmp_path: Path, is_limited: bool) -> None:
    library = tmp_path / "quantize.so"
    small_net.export(module(is_limited), load_target("linux-arm64"), library)
    random = np.random.default_rng(0)
    drawn = [
        (count, draw_values(random, count, is_limited), limits)
        for count in COUNTS
        for limits in ((-3, -128, 127), (127, -5 if is_limited else -128, 127))
    ]
    calls = [
        (f"main{count}", [values, np.array(quant if is_limited else (quant[0], 1, 0), np.int32)])
        for count, values, quant in drawn
    ]
    found = run_all_on_board(arm64_root, library, calls, "cortex-a53")
    for (result,), (_, values, limits) in zip(found, drawn, strict=True):
        np.testing.assert_array_equal(result, quantized(values, *limits))


@pytest.mark.parametrize(
    ("target", "instructions"),
    [
        ({"mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v3"}, {"vcvtps2dq"}),
        ({"mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76"}, {"fcvtns", "sqxtn", "sqadd"}),
    ],
    ids=["x86", "arm64"],
)
def test_instructions(target: dict, instructions: set[str]) -> None:
    alone = tvm.IRModule({"q": kernel(16).with_attr("global_symbol", "q")})
    built = tvm.tirx.build(alone, target=tvm.target.Target({"kind": "llvm", **target}))
    words = {line.split()[0] for line in built.inspect_source("asm").splitlines() if line.strip()}
    assert instructions <= words
