"""A kernel as MetaSchedule's database knows it."""

from __future__ import annotations

import tvm
from tvm import tirx
from tvm.s_tir.meta_schedule.database import Workload

_normalize = tvm.get_global_func("tvm.s_tir.meta_schedule.normalize_mod")


def kernel_module(kernel: tirx.PrimFunc) -> tvm.IRModule:
    """The kernel, which has no schedule yet, as the only function of a module, named main."""
    return _normalize(kernel)


def workload_key(kernel: tirx.PrimFunc) -> str:
    """The hash by which MetaSchedule's database knows a kernel that has no schedule yet."""
    return str(Workload(kernel_module(kernel)).as_json()[0])


def kernel_of(workload: list[str]) -> tvm.IRModule:
    """The module of a line of the file of kernels."""
    return Workload.from_json(workload).mod
