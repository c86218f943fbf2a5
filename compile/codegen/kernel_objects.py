"""Each kernel of a processor as an object file of its own: made once, and several at a time.

A kernel's machine code depends on its loops, the target and TVM's version alone, so an object is
kept by the content of those. What a build of another network or size has compiled is found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import tvm
from tvm import relax, tirx
from tvm.relax import vm_build
from tvm.tirx import build as build_kernel

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.passes.plan_memory import lower_to_vm
from compile.support.build_cache import BuildCache, key_of
from compile.support.scratch_folder import scratch_folder

_KIND = "kernel"


@dataclass(frozen=True)
class EmittedCode:
    """A module's code before it is linked.

    Attributes:
        executable: bytecode, constants, and those kernels that have no object of their own.
        objects: ELF objects of a processor's kernels, by kernel.
        inside: the one of those that is in the executable, too; "" for none.
    """

    executable: relax.VMExecutable
    objects: Mapping[str, bytes] = field(default_factory=dict)
    inside: str = ""

    def export(self, library: Path, linker: Callable) -> None:
        """Link all of it into ``library`` by ``linker``, as ``export_library(fcompile=...)`` takes
        one."""
        with scratch_folder("mqnet-objects-") as folder:
            paths = []
            for name, content in sorted(self.objects.items()):
                if name == self.inside:
                    continue
                paths.append(folder / f"{name}.o")
                paths[-1].write_bytes(content)
            addons = [str(path) for path in paths]
            self.executable.export_library(str(library), fcompile=linker, addons=addons)


def compile_kernels(
    kernels: Mapping[str, tirx.PrimFunc], target: tvm.target.Target, cache: BuildCache
) -> dict[str, bytes]:
    """Compile scheduled ``kernels``, by name, to ELF objects, by name; those in ``cache`` are taken
    from there, the others put into it. As many at a time as this process has cores."""
    # TVM gives up Python's lock while it works.
    with (
        scratch_folder("mqnet-kernels-") as folder,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        compile_one = partial(_compile, target=target, cache=cache, folder=folder)
        return dict(zip(kernels, pool.map(compile_one, kernels.items()), strict=True))


def _compile(
    kernel: tuple[str, tirx.PrimFunc],
    target: tvm.target.Target,
    cache: BuildCache,
    folder: Path,
) -> bytes:
    name, function = kernel
    module = tvm.IRModule({name: function})
    key = key_of(tvm.__version__, CPU_PIPELINE, str(target), tvm.ir.save_json(module))
    found = cache.get(_KIND, key)
    if found is not None:
        return found
    path = folder / f"{name}.o"
    build_kernel(module, target, CPU_PIPELINE).write_to_file(str(path))
    made = path.read_bytes()
    cache.put(_KIND, key, made)
    return made


def emit_objects(
    planned: tvm.IRModule, target: tvm.target.Target, cache: BuildCache
) -> EmittedCode:
    """Generate the code of the ``planned`` module for a processor, a kernel an object.

    As :func:`tvm.relax.build` does it, but for where the kernels are: the executable itself holds
    one of them, for a library of which it holds none would not be looked into.
    """
    builder = relax.ExecBuilder()
    with target:
        lowered = lower_to_vm()(planned)
    kernels = {
        name.name_hint: function
        for name, function in vm_build._vmcodegen(builder, lowered).functions_items()
    }
    first = min(kernels)
    inside = tvm.IRModule({first: kernels[first]})
    executable = vm_build._vmlink(builder, target, inside, CPU_PIPELINE)
    return EmittedCode(executable, compile_kernels(kernels, target, cache), first)
