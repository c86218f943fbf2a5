"""The source of a GPU's kernels: TVM's, and what TIR cannot say written in front of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import tvm
import tvm_ffi

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.codegen.opencl.called_functions import define_functions
from compile.codegen.opencl.device_pipeline import GPU_PIPELINE
from compile.codegen.opencl.step_addresses import step_addresses
from compile.support.errors import TargetError
from targets.spec import TargetSpec

# What TVM calls, if there is such a function, with the source of each kernel.
_HOOK = "tvm_callback_opencl_postproc"

_DECLARATION = re.compile(r"^__kernel void [^{}]*?;\n", re.MULTILINE)
_HEAD = re.compile(r"^__kernel void .*\{\n", re.MULTILINE)
_NUMBER = re.compile(r"\bconvert_int\(get_(group|local)_id\((\d)\)\)")
_SAMPLER = re.compile(r"^  const sampler_t image_sampler = .*;\n", re.MULTILINE)


def kernel_sources(spec: TargetSpec) -> AbstractContextManager[str]:
    """Return what is to be entered where scheduled kernels are built for ``spec``; it gives the
    name of the TIR pipeline to build them by."""
    return nullcontext(CPU_PIPELINE) if spec.gpu is None else _completed_sources()


@contextmanager
def _completed_sources() -> Iterator[str]:
    if tvm_ffi.get_global_func(_HOOK, allow_missing=True) is not None:
        raise TargetError(f"{_HOOK} is set already: OpenCL modules are built one at a time")

    @tvm_ffi.register_global_func(_HOOK)
    def complete(source: str, _target: tvm.target.Target) -> str:
        return complete_source(source)

    try:
        yield GPU_PIPELINE
    finally:
        tvm_ffi.registry.remove_global_func(_HOOK)


def complete_source(source: str) -> str:
    """Return the ``source`` of a kernel with what it calls in front, and its textures as the
    runtime gives them: images of two dimensions, read without a sampler.

    Declarations go: those of all other kernels of the program, called by nobody, are most of the
    text.
    """
    source = _SAMPLER.sub("", _DECLARATION.sub("", source))
    source = _name_numbers(source)
    source = source.replace("image2d_array_t ", "__read_only image2d_t ")
    return define_functions(step_addresses(source))


def _name_numbers(source: str) -> str:
    """``source`` with the work item's numbers in variables: Mesa's compiler narrows their sum with
    an offset, of 64 bits, where it finds it once."""
    numbers = sorted(set(_NUMBER.findall(source)))
    names = "".join(f"  const int {k}_{n} = (int)get_{k}_id({n});\n" for k, n in numbers)
    return _HEAD.sub(rf"\g<0>{names}", _NUMBER.sub(r"\1_\2", source))
