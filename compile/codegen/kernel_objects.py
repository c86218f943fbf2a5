"""Each kernel of a processor as an object file of its own: made once, and several at a time.

A kernel's machine code depends on its loops, the target, TVM's version and our own passes behind
TVM's alone, so an object is kept by the content of those. What a build of another network or size
has compiled is found.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tvm
from tvm import relax, tirx
from tvm.relax import vm_build
from tvm.tirx import build as build_kernel
from tvm_ffi import structural_equal

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.passes.plan_memory import lower_to_vm
from compile.support.build_cache import BuildCache, content_of, key_of
from compile.support.scratch_folder import scratch_folder

_KIND = "kernel"

#: What of this project's code decides what the loops of a kernel become.
_SOURCES = "compile/codegen", "compile/kernels/common"


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


class KernelCompiler:
    """Compiles scheduled kernels to ELF objects; made by :func:`compiling`."""

    def __init__(
        self, target: tvm.target.Target, cache: BuildCache, folder: Path, pool: Executor
    ) -> None:
        self._target, self._cache, self._folder, self._pool = target, cache, folder, pool
        self._begun: dict[str, tuple[tirx.PrimFunc, Future[bytes]]] = {}

    def begin(self, name: str, function: tirx.PrimFunc) -> Future[bytes]:
        """Compile ``function`` as the kernel ``name`` beside whatever follows, unless it has been
        begun before; its object, once it is made."""
        function = function.with_attr("global_symbol", name)
        begun = self._begun.get(name)
        if begun is not None and _is_same(function, begun[0]):
            return begun[1]
        future = self._pool.submit(self._compile, name, function)
        self._begun[name] = function, future
        return future

    def _compile(self, name: str, function: tirx.PrimFunc) -> bytes:
        module, key = tvm.IRModule({name: function}), ""
        if self._cache.is_on:
            text = tvm.ir.save_json(module)
            own = content_of(_SOURCES)
            key = key_of(tvm.__version__, CPU_PIPELINE, own, str(self._target), text)
            if (found := self._cache.get(_KIND, key)) is not None:
                return found
        path = self._folder / f"{name}-{threading.get_ident()}.o"
        build_kernel(module, self._target, CPU_PIPELINE).write_to_file(str(path))
        made = path.read_bytes()
        self._cache.put(_KIND, key, made)
        return made


def _is_same(one: tirx.PrimFunc, other: tirx.PrimFunc) -> bool:
    """Whether two functions are the same loops, not just alike, with the same attributes."""
    return one.body.same_as(other.body) and structural_equal(one, other)


@contextmanager
def compiling(target: tvm.target.Target, cache: BuildCache) -> Iterator[KernelCompiler]:
    """Compile kernels for the processor ``target`` beside what is done in this block, as many at a
    time as this process has cores; those in ``cache`` are taken from there, the others put into it.
    What has not been begun when the block ends is not."""
    # TVM gives up Python's lock while it works.
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    with scratch_folder("mqnet-kernels-") as folder:
        try:
            yield KernelCompiler(target, cache, folder, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def compile_kernels(
    kernels: Mapping[str, tirx.PrimFunc],
    target: tvm.target.Target,
    cache: BuildCache,
    compiler: KernelCompiler | None = None,
) -> dict[str, bytes]:
    """Compile scheduled ``kernels``, by name, to ELF objects, by name; those in ``cache`` are taken
    from there, the others put into it. ``compiler``, for the same, may have begun with some."""
    with ExitStack() as closing:
        compiler = compiler or closing.enter_context(compiling(target, cache))
        begun = {name: compiler.begin(name, function) for name, function in kernels.items()}
        return {name: future.result() for name, future in begun.items()}


def emit_objects(
    planned: tvm.IRModule,
    target: tvm.target.Target,
    cache: BuildCache,
    compiler: KernelCompiler | None = None,
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
    objects = compile_kernels(kernels, target, cache, compiler)
    first = min(kernels)
    with scratch_folder("mqnet-kernel-") as folder:
        path = folder / f"{first}.o"
        path.write_bytes(objects[first])
        inside = tvm.runtime.load_static_library(str(path), [first])
    linked = vm_build._ffi_api.VMLink(builder, target, inside, [], {})
    return EmittedCode(relax.VMExecutable(linked), objects, first)
