"""The dot product instructions of this machine, and an intrinsic beside its description."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tvm import tirx

from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import dot_product_named
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from targets.describe_target import tvm_target
from targets.detect_host import read_host_machine
from targets.load_target import load_target


def runnable() -> list[tuple[DotProduct, CpuCore]]:
    """The instructions of this machine on its registers, and on the narrower ones that it has."""
    flags = read_host_machine().flags
    found = []
    if "sse2" in flags:
        found.append((pmaddwd(128), CpuCore(128, 16, 1)))
    if "avx2" in flags:
        found.append((pmaddwd(256), CpuCore(256, 16, 2)))
    core = load_target("host").processor
    dot = dot_product_named(core.dot_product, core.vector_bits)
    if dot is not None:
        found.append((dot, CpuCore(core.vector_bits, core.vector_registers, 1, l1d_bytes=4096)))
    return found


dots = pytest.mark.parametrize(
    ("dot", "core"), runnable(), ids=lambda p: getattr(p, "name", None) or f"{p.bits}bit"
)


@cache
def compiled(
    pair: Callable[..., tuple[tirx.PrimFunc, tirx.PrimFunc]], *args: object
) -> list[tvm.runtime.Module]:
    """An intrinsic's description and its implementation, for this machine."""
    functions = (function.with_attr("global_symbol", "dot") for function in pair(*args))
    target = tvm_target(load_target("host"), 1)
    return [tvm.compile(tvm.IRModule({"dot": function}), target=target) for function in functions]


def run_both(modules: list[tvm.runtime.Module], start: NDArray, *operands: NDArray) -> NDArray:
    """What both compute from ``start``, which is checked to be the same."""
    results = []
    for module in modules:
        total = tvm.runtime.tensor(start)
        module["dot"](*(tvm.runtime.tensor(array) for array in operands), total)
        results.append(total.numpy())
    np.testing.assert_array_equal(*results)
    return results[0]
