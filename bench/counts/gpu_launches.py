"""The launches of a frame on a GPU: source of each kernel, and how many work items run it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

import tvm
from tvm import tirx
from tvm.relax import VMExecutable
from tvm.tirx.build import split_host_device_mods

_FUNCTION = re.compile(r"^// Function: (\w+)\n", re.MULTILINE)
_LAUNCH = re.compile(r'T\.launch_thread\("(\w+)\.\w", (\d+)\)')
_LOOP = re.compile(r"\bfor \(int \w+ = 0; \w+ < (\d+); \+\+\w+\)")


@dataclass(frozen=True)
class GpuLaunch:
    """A kernel of OpenCL and the work items of one launch.

    Attributes:
        name: of the kernel.
        function: TVM's, which may launch several kernels.
        source: OpenCL C.
        groups, group: work groups, and work items of each.
        loops: iterations of each loop in the source, in order.
    """

    name: str
    function: str
    source: str
    groups: int
    group: int
    loops: tuple[int, ...]

    @property
    def work_items(self) -> int:
        """Of all groups."""
        return self.groups * self.group

    def iterations(self, count: int) -> list[int]:
        """Of the ``count`` loops that a compiler has left: it unrolls the shortest whole."""
        longest = sorted(range(len(self.loops)), key=lambda n: -self.loops[n])[:count]
        return [self.loops[n] for n in sorted(longest)]


def gpu_launches(
    planned: tvm.IRModule, executable: VMExecutable, target: tvm.target.Target
) -> list[GpuLaunch]:
    """The launches of ``executable``, made of the module ``planned`` for the GPU ``target``."""
    # TVM keeps the extents in the processor's code only: the same passes show them again.
    kernels = {
        name: function.with_attr("global_symbol", name.name_hint)
        for name, function in planned.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    lower, _, _ = tirx.get_default_tir_pipeline(target)
    bound = tirx.transform.BindTarget(target)(tvm.IRModule(kernels))
    _, by_target = split_host_device_mods(lower(bound))
    sources = _sources(executable)
    launches = []
    for device in by_target.values():
        for name, function in device.functions.items():
            extents = _LAUNCH.findall(function.script())
            sizes = {
                kind: prod(int(extent) for tag, extent in extents if tag == kind)
                for kind in ("blockIdx", "threadIdx")
            }
            source = sources[name.name_hint]
            loops = tuple(int(extent) for extent in _LOOP.findall(source))
            launches.append(
                GpuLaunch(
                    name.name_hint,
                    re.sub(r"_kernel(_\d+)?$", "", name.name_hint),
                    source,
                    sizes["blockIdx"],
                    sizes["threadIdx"],
                    loops,
                )
            )
    return launches


def _sources(executable: VMExecutable) -> dict[str, str]:
    (library,) = executable.mod.imports
    (module,) = library.imports
    _, *parts = _FUNCTION.split(module.inspect_source())
    return dict(zip(parts[::2], parts[1::2], strict=True))
