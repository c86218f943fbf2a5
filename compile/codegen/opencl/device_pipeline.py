"""TVM's lowering of kernels for a GPU, and our passes behind it.

They are the last: TVM's own make vector loads of packed int8x4 (LowerIntrin), and put hoisted
values back into the loops (StmtSimplify).
"""

from __future__ import annotations

import re

import tvm
from tvm import tirx
from tvm.ir import CallingConv

from compile.codegen.opencl.accumulate_dot_products import accumulate_dot_products
from compile.codegen.opencl.align_accesses import align_accesses
from compile.codegen.opencl.hoist_addresses import hoist_addresses
from compile.codegen.opencl.join_loads import join_loads
from compile.codegen.opencl.load_once import load_once
from compile.codegen.opencl.read_images import IMAGES, read_images
from compile.kernels.gpu.image_weights import image_operands

#: Name of the pipeline, as ``tvm.compile(..., tir_pipeline=...)`` takes one.
GPU_PIPELINE = "mqnet.opencl"

# A kernel has the name of TVM's function with this behind it.
_KERNEL_SUFFIX = re.compile(r"_kernel(_\d+)?$")


def _gpu_pipeline() -> tuple:
    lower, finish_host, finish_device = tirx.get_tir_pipeline("default")

    @tvm.transform.module_pass(opt_level=0, name="LowerWithImages")
    def lower_with_images(mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        # Arguments are not checked by what starts a kernel: see compile/codegen/cpu_pipeline.py.
        lowered = tirx.transform.SkipAssert()(lower(mod))
        # Blocks, whose annotations tell of images, are gone behind it.
        return _mark_images(lowered, image_operands(mod))

    def finish() -> tvm.transform.Pass:
        ours = [
            accumulate_dot_products,
            join_loads,
            align_accesses,
            read_images,
            load_once,
            hoist_addresses,
        ]
        return tvm.transform.Sequential([finish_device(), *ours])

    return lower_with_images, finish_host, finish


def _mark_images(mod: tvm.IRModule, operands: dict[str, frozenset[str]]) -> tvm.IRModule:
    """``mod`` of lowered functions, with the images that its kernels read as their attribute."""
    kernels = {}
    for name, function in mod.functions.items():
        if function.attrs["calling_conv"] == CallingConv.DEVICE_KERNEL_LAUNCH:
            of_function = _KERNEL_SUFFIX.sub("", name.name_hint)
            names = [f"{operand}_ptr" for operand in sorted(operands.get(of_function, ()))]
            kernels[name] = function.with_attr(IMAGES, names) if names else function
    mod.update(tvm.IRModule(kernels))
    return mod


tirx.register_tir_pipeline(GPU_PIPELINE, _gpu_pipeline)
