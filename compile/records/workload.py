"""A kernel as MetaSchedule's database knows it."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence

import tvm
from tvm import tirx
from tvm.s_tir.meta_schedule.database import Workload

# TVM reads no kernel that calls an op which is not registered: these modules register ours.
from compile.kernels.common import quantize_op  # noqa: F401
from compile.kernels.gpu import dp4a  # noqa: F401

_normalize = tvm.get_global_func("tvm.s_tir.meta_schedule.normalize_mod")


def kernel_module(kernel: tirx.PrimFunc) -> tvm.IRModule:
    """The kernel, which has no schedule yet, as the only function of a module, named main."""
    return _normalize(kernel)


def workload_key(kernel: tirx.PrimFunc) -> str:
    """The hash by which MetaSchedule's database knows a kernel that has no schedule yet."""
    return str(Workload(kernel_module(kernel)).as_json()[0])


def read_workload(line: list[str]) -> Workload:
    """Read a line of the file of kernels."""
    return Workload.from_json(line)


def kernel_of(line: list[str]) -> tvm.IRModule:
    """The module of a line of the file of kernels."""
    return read_workload(line).mod


def short_line(workload: Sequence[str]) -> list[str]:
    """A line of the file of kernels in half as many bytes: TVM indents the JSON that is in it.

    The module is text in base64, behind its length in eight bytes; TVM reads it with or without
    the white space.
    """
    key, encoded = map(str, workload)
    text = base64.b64decode(encoded)[8:]
    short = json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()
    return [key, base64.b64encode(struct.pack("<q", len(short)) + short).decode()]
