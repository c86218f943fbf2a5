"""What a GPU is told of a kernel, read out of the code that TVM makes for the host: its shapes are
known, so that every launch is constant data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import CallingConv

from compile.codegen.opencl.device_pipeline import GPU_PIPELINE
from compile.codegen.opencl.kernel_sources import kernel_sources
from compile.support.errors import GraphError
from targets.describe_target import tvm_target
from targets.spec import TargetSpec

_DIMENSIONS = "xyz"


@dataclass(frozen=True)
class Launch:
    """An OpenCL kernel and what it is launched with.

    Attributes:
        kernel: name of the function in the source.
        arguments: of each the number of an argument of the call, or, of scratch memory that the
            call's launches share, -1 minus its number.
        images: which of them are read as images.
        groups, items: work groups, and work items of each, in three dimensions.
    """

    kernel: str
    arguments: tuple[int, ...]
    images: tuple[bool, ...]
    groups: tuple[int, ...]
    items: tuple[int, ...]


@dataclass(frozen=True)
class GpuKernel:
    """What a kernel call launches.

    Attributes:
        launches: in order.
        scratch: bytes of each piece of scratch memory.
    """

    launches: tuple[Launch, ...]
    scratch: tuple[int, ...]


@dataclass(frozen=True)
class GpuCode:
    """The kernels of a network.

    Attributes:
        source: in OpenCL C.
        kernels: by name.
    """

    source: str
    kernels: Mapping[str, GpuKernel]


def read_launches(kernels: Mapping[str, tirx.PrimFunc], spec: TargetSpec) -> GpuCode:
    """Compile scheduled ``kernels``, by name, for the GPU of ``spec``.

    Raises:
        GraphError: one of them does more than to launch kernels.
    """
    named = {name: kernel.with_attr("global_symbol", name) for name, kernel in kernels.items()}
    target = tvm_target(spec)
    module = tirx.transform.BindTarget(target)(tvm.IRModule(named))
    with kernel_sources(spec) as pipeline:
        lower, _, _ = tirx.get_tir_pipeline(pipeline)
        host = {
            name.name_hint: function
            for name, function in lower(module).functions.items()
            if function.attrs["calling_conv"] != CallingConv.DEVICE_KERNEL_LAUNCH
        }
        built = tirx.build(tvm.IRModule(named), target, GPU_PIPELINE)
    (device,) = built.imports
    source = str(device.inspect_source())
    images = _images(source)
    return GpuCode(source, {name: _read(name, host[name], images) for name in kernels})


def _read(name: str, function: tirx.PrimFunc, images: Mapping[str, tuple[bool, ...]]) -> GpuKernel:
    roots: dict[Any, int] = {}
    scratch: list[int] = []
    launches: list[Launch] = []
    count = 0

    def declare(node: tirx.DeclBuffer) -> None:
        nonlocal count
        sources = [roots[var] for var in _variables(node.data) if var in roots]
        if sources:
            roots[node.buffer] = sources[0]
        else:
            roots[node.buffer] = count
            count += 1

    def allocate(node: tirx.AllocBuffer) -> None:
        roots[node.buffer] = -1 - len(scratch)
        dtype = tvm.DataType(str(node.buffer.dtype))
        size = prod(int(extent) for extent in node.buffer.shape)
        scratch.append(size * ((dtype.bits * dtype.lanes + 7) // 8))

    def launch(call: tvm.ir.Call) -> None:
        if getattr(call.op, "name", "") != "tirx.call_ffi_kernel":
            return
        symbol, *others = call.args
        tags = [str(tag) for tag in call.attrs.launch_params]
        arguments, extents = others[: len(others) - len(tags)], others[len(others) - len(tags) :]
        sizes = {"blockIdx": [1, 1, 1], "threadIdx": [1, 1, 1]}
        for tag, extent in zip(tags, extents, strict=True):
            kind, dimension = tag.split(".")
            sizes[kind][_DIMENSIONS.index(dimension)] = max(1, int(extent))
        numbers = tuple(roots[_variables(argument)[0]] for argument in arguments)
        kernel = str(symbol.value)
        groups, items = sizes["blockIdx"], sizes["threadIdx"]
        launches.append(Launch(kernel, numbers, images[kernel], tuple(groups), tuple(items)))

    tvm_ffi.structural_walk(
        function.body,
        [(tirx.DeclBuffer, declare), (tirx.AllocBuffer, allocate), (tvm.ir.Call, launch)],
        order="pre",
    )
    if not launches:
        raise GraphError(f"kernel {name} launches nothing, which no standalone form takes")
    return GpuKernel(tuple(launches), tuple(scratch))


def _variables(expression: Any) -> list[Any]:
    found: list[Any] = []
    tvm_ffi.structural_walk(expression, (tvm.ir.Var, found.append))
    return found


def _images(source: str) -> dict[str, tuple[bool, ...]]:
    """Which parameters of each kernel in ``source`` are images."""
    found = {}
    for part in source.split("__kernel void ")[1:]:
        name, rest = part.split("(", 1)
        parameters = rest.split(")", 1)[0].split(",")
        found[name] = tuple("image2d_t" in one for one in parameters)
    return found
