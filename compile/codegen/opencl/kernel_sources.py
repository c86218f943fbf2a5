"""The source of a GPU's kernels: TVM's, and what is made of it before a driver compiles it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import tvm
import tvm_ffi

from compile.codegen.opencl.aligned_access import align_accesses
from compile.codegen.opencl.base_addresses import share_addresses
from compile.codegen.opencl.called_functions import define_functions
from compile.codegen.opencl.image_reads import read_images
from compile.codegen.opencl.joined_loads import join_loads
from compile.kernels.gpu.image_weights import image_operands
from compile.support.errors import TargetError
from targets.spec import TargetSpec

#: What TVM calls, if there is such a function, with the source of each kernel.
_HOOK = "tvm_callback_opencl_postproc"

# A kernel has the name of TVM's function with something behind it.
_FUNCTION = re.compile(r"^__kernel void (\w+?)_kernel(?:_\d+)?\(", re.MULTILINE)
_DECLARATION = re.compile(r"^__kernel void [^{}]*?;\n", re.MULTILINE)
# The accumulator goes into the call: an instruction multiplies and adds.
_SUM_OF_DOT = re.compile(r"\((\w+(?:\[\d+\])?) \+ mqnet_dot4_(\d+)\(")


def kernel_sources(spec: TargetSpec, mod: tvm.IRModule) -> AbstractContextManager[None]:
    """To be entered where the kernels of ``mod``, which have their schedules, are built for
    ``spec``: a GPU's are OpenCL C, and call functions that have to be written in front of them."""
    return nullcontext() if spec.gpu is None else completed_sources(image_operands(mod))


@contextmanager
def completed_sources(images: Mapping[str, Collection[str]]) -> Iterator[None]:
    """While a module is built: what its kernels call is written in front of them, and the operands
    that ``images`` has of a function are read from images."""
    if tvm_ffi.get_global_func(_HOOK, allow_missing=True) is not None:
        raise TargetError(f"{_HOOK} is set already: OpenCL modules are built one at a time")

    @tvm_ffi.register_global_func(_HOOK)
    def complete(source: str, _target: tvm.target.Target) -> str:
        return complete_source(source, images)

    try:
        yield
    finally:
        tvm_ffi.registry.remove_global_func(_HOOK)


def complete_source(source: str, images: Mapping[str, Collection[str]]) -> str:
    """``source`` of a kernel with the functions that it calls in front, its accesses by vectors,
    and the operands that ``images`` has of its function in images; without declarations: those of
    all other kernels of the program, called by nobody, are most of its text."""
    source, sums = _SUM_OF_DOT.subn(r"(mqnet_dot4_\2(\1, ", _DECLARATION.sub("", source))
    assert sums == source.count("mqnet_dot4_"), "a dot product that is added to nothing"
    function = _FUNCTION.search(source)
    assert function is not None, "a source without a kernel"
    operands = images.get(function[1], ())
    source = align_accesses(source)
    source = join_loads(source)
    source = read_images(source, [f"{name}_ptr" for name in operands])
    source = share_addresses(source)
    return define_functions(source)
