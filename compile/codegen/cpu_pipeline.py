"""TVM's lowering of kernels for a processor, and our pass behind it: it looks for vectors, which
loops have become by then."""

from __future__ import annotations

import tvm
from tvm import tirx

from compile.codegen.look_up_bytes import look_up_bytes
from compile.codegen.saturate_bytes import saturate_bytes

#: Name of the pipeline, as ``tvm.compile(..., tir_pipeline=...)`` takes one.
CPU_PIPELINE = "mqnet.cpu"


def _cpu_pipeline() -> tuple:
    lower, finish_host, finish_device = tirx.get_tir_pipeline("default")
    vectors = tvm.transform.Sequential([lower, look_up_bytes, saturate_bytes])
    return vectors, finish_host, finish_device


tirx.register_tir_pipeline(CPU_PIPELINE, _cpu_pipeline)
