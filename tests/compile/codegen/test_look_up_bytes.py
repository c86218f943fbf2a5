"""Table lookups by the instructions of every processor that this machine can stand for, against
NumPy; of AArch64 the assembly is looked at, and the emulated boards run it."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import s_tir

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.plain import elementwise
from targets.detect_host import read_host_machine

#: LLVM's core, what of /proc/cpuinfo it needs, bits of a register, its instruction.
WAYS = [
    ("icelake-client", "avx512vbmi", 512, "vpermi2b"),
    ("x86-64-v4", "avx512bw", 512, "vpshufb"),
    ("x86-64-v3", "avx2", 256, "vpshufb"),
]
#: Channels that fill whole vectors, some, and none.
SHAPES = [(1, 5, 7, 64), (1, 3, 5, 48), (1, 6, 2, 16), (3, 2, 192), (1, 7, 9, 5), (33,)]


def compiled(shape: tuple[int, ...], dtype: str, bits: int, target: dict) -> tvm.runtime.Module:
    kernel = elementwise.create_table_lookup(shape, dtype).with_attr("global_symbol", "main")
    schedule = s_tir.Schedule(tvm.IRModule({"main": kernel}))
    elementwise.schedule(schedule, CpuCore(bits, 32, 1))
    return tvm.compile(
        schedule.mod, target={"kind": "llvm", **target}, tir_pipeline=CPU_PIPELINE
    ).mod


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("cpu", "flag", "bits", "mnemonic"), WAYS)
def test_what_is_looked_up(
    cpu: str, flag: str, bits: int, mnemonic: str, shape: tuple[int, ...], dtype: str
) -> None:
    if flag not in read_host_machine().flags:
        pytest.skip(f"this machine has no {flag}")
    random = np.random.default_rng(bits)
    data = random.integers(-128, 128, shape).astype(np.int8).view(dtype)
    table = random.integers(-128, 128, 256).astype(np.int8)
    module = compiled(shape, dtype, bits, {"mcpu": cpu})
    found = tvm.runtime.tensor(np.zeros(shape, np.int8))
    module["main"](tvm.runtime.tensor(data), tvm.runtime.tensor(table), found)
    smallest = -128 if dtype == "int8" else 0
    np.testing.assert_array_equal(found.numpy(), table[data.astype(int) - smallest])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("cpu", "bits", "mnemonics"),
    [
        *((cpu, bits, (mnemonic, "vpermt2b")) for cpu, _, bits, mnemonic in WAYS),
        ("cortex-a72", 128, ("tbl\t", "tbx\t")),
    ],
)
def test_what_it_compiles_to(
    cpu: str, bits: int, mnemonics: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    triple = "aarch64-linux-gnu" if cpu.startswith("cortex") else "x86_64-linux-gnu"
    assembly = compiled(shape, "int8", bits, {"mcpu": cpu, "mtriple": triple}).inspect_source("asm")
    has_vectors = shape[-1] % 16 == 0
    assert any(f"\t{mnemonic}" in assembly for mnemonic in mnemonics) == has_vectors


def test_a_vector_out_of_another_table_is_left() -> None:
    data, table = (
        tvm.te.placeholder(shape, "int8", name=name)
        for shape, name in (((64,), "a"), ((128,), "b"))
    )
    out = tvm.te.compute((64,), lambda i: table[data[i].astype("int32") + 64], name="table_lookup")
    kernel = tvm.te.create_prim_func([data, table, out])
    schedule = s_tir.Schedule(tvm.IRModule({"main": kernel}))
    elementwise.schedule(schedule, CpuCore(512, 32, 1), elementwise.Configuration(64))
    target = {"kind": "llvm", "mcpu": "icelake-client", "mtriple": "x86_64-linux-gnu"}
    module = tvm.compile(schedule.mod, target=target, tir_pipeline=CPU_PIPELINE).mod
    assert "vpermi2b" not in module.inspect_source("asm")
