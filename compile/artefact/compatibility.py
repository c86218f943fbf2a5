"""Whether a machine can execute what was built for a target: asked here and nowhere else.

Both sides are plain facts, so that the same question is asked of a built artefact, of a target
before anything is built for it, of this machine, and of a device at the other end of a connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compile.codegen.opencl.dot_product import EXTENSIONS
from targets.detect_host import read_host_machine
from targets.spec import TargetSpec

_ARCHITECTURES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


@dataclass(frozen=True)
class GpuNeeds:
    """What kernels demand of an OpenCL device.

    Attributes:
        work_group: the most work items of a work group.
        integer_dot_product: they call a dot product of int8, whichever extension has it.
    """

    work_group: int
    integer_dot_product: bool


@dataclass(frozen=True)
class TargetNeeds:
    """What code that is built for a target demands of the machine that runs it.

    Attributes:
        machine: ELF machine of the library, as `EM_AARCH64`.
        requires: CPU features, as /proc/cpuinfo spells them.
        linker: how the library is linked, as the target file says.
        gpu: of the OpenCL device that runs the kernels; None where the processor runs them.
    """

    machine: str
    requires: Sequence[str]
    linker: str
    gpu: GpuNeeds | None = None

    @classmethod
    def of(cls, spec: TargetSpec) -> TargetNeeds:
        """Read what code built for ``spec`` will demand."""
        gpu = None
        if spec.gpu is not None:
            gpu = GpuNeeds(spec.gpu.work_group, spec.gpu.integer_dot_product)
        return cls(spec.machine, spec.requires, spec.linker, gpu)


@dataclass(frozen=True)
class MachineFacts:
    """What a machine is.

    Attributes:
        arch: as `uname -m` has it: `x86_64`, `aarch64`.
        features: of its processor, as /proc/cpuinfo spells them.
        gpu: what :func:`device.runtime.opencl_device.describe_opencl` tells of its OpenCL device;
            None where it was not asked for, and no GPU is judged.
        name: what sentences call the machine.
        loads_android: whether what loads libraries there takes those for Android.
    """

    arch: str
    features: frozenset[str]
    gpu: Mapping[str, Any] | None = None
    name: str = "this machine"
    loads_android: bool = False

    @classmethod
    def here(cls, gpu: Mapping[str, Any] | None = None) -> MachineFacts:
        """Read what this machine is, but for its ``gpu``."""
        host = read_host_machine()
        return cls(host.arch, host.flags, gpu)


def why_not(target: TargetNeeds, machine: MachineFacts) -> str | None:
    """Say why code with the needs of ``target`` cannot run on ``machine``, as a clause; None where
    it can."""
    if _ARCHITECTURES.get(target.machine) != machine.arch:
        return f"it holds {target.machine} code and {machine.name} is {machine.arch}"
    if target.linker == "android-arm64" and not machine.loads_android:
        return "it is linked against Android's C library"
    if missing := sorted(set(target.requires) - machine.features):
        return f"it needs the CPU features {', '.join(missing)}, which {machine.name} lacks"
    if target.gpu is None or machine.gpu is None:
        return None
    return _why_not_on_gpu(target.gpu, machine.gpu)


def _why_not_on_gpu(needs: GpuNeeds, gpu: Mapping[str, Any]) -> str | None:
    if "error" in gpu:
        return f"it runs through OpenCL: {gpu['error']}"
    if gpu["work_group"] < needs.work_group:
        return (
            f"{gpu['name']} takes work groups of {gpu['work_group']} items, and it needs "
            f"{needs.work_group} ('work_group' of the target file)"
        )
    if needs.integer_dot_product and not EXTENSIONS.keys() & set(gpu["extensions"].split()):
        return (
            f"{gpu['name']} has none of {', '.join(EXTENSIONS)} ('integer_dot_product' of the "
            "target file)"
        )
    return None
