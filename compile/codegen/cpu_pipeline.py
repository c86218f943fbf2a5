"""TVM's lowering of kernels for a processor, and our passes behind it: they look for vectors, which
loops have become by then.

TVM makes every kernel check number, types, shapes, strides, alignment and device of its arguments:
half of the code that LLVM compiles. Here that is checked once, at the door: the virtual machine
looks at types and shapes of what a frame is called with, and no tensor is made that is not compact
or not aligned. Behind it, :mod:`compile.passes.plan_storage` says where everything lies.
"""

from __future__ import annotations

import tvm
from tvm import tirx

from compile.codegen.load_scalars_together import load_scalars_together
from compile.codegen.look_up_bytes import look_up_bytes
from compile.codegen.saturate_bytes import saturate_bytes

#: Name of the pipeline, as ``tvm.compile(..., tir_pipeline=...)`` takes one.
CPU_PIPELINE = "mqnet.cpu"


def _cpu_pipeline() -> tuple:
    lower, finish_host, finish_device = tirx.get_tir_pipeline("default")
    trust_arguments = tirx.transform.SkipAssert()
    ours = tvm.transform.Sequential(
        [lower, trust_arguments, look_up_bytes, saturate_bytes, load_scalars_together]
    )
    return ours, finish_host, finish_device


tirx.register_tir_pipeline(CPU_PIPELINE, _cpu_pipeline)
