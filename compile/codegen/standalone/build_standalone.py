"""Compile and link the standalone form: ``NAME.h``, ``libNAME.a``, ``libNAME.so``, ``NAME-run``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tvm
from tvm import tirx

from compile.codegen.link.elf import read_symbols
from compile.codegen.link.link import LinkOptions, link_android_program, link_library
from compile.codegen.standalone.check_vector import CheckVector
from compile.codegen.standalone.gpu_frame import gpu_frame
from compile.codegen.standalone.gpu_launches import read_launches
from compile.codegen.standalone.machine import architecture
from compile.codegen.standalone.object_symbols import own_prefix, rename_symbols
from compile.codegen.standalone.processor_features import processor_features
from compile.codegen.standalone.read_plan import FramePlan, read_plan
from compile.codegen.standalone.workspace_bytes import workspace_bytes
from compile.codegen.standalone.write_sources import HOOKS, Description, write_blob, write_sources
from compile.codegen.standalone.zig import (
    DIALECT,
    SHARED_LINKS,
    STATIC_LINKS,
    glibc,
    musl,
    run_zig,
)
from compile.support.errors import TargetError
from compile.support.scratch_folder import scratch_folder
from targets.spec import TargetSpec

#: The runtime in C that the generated source includes.
RUNTIME = Path(__file__).parents[3] / "device" / "runtime" / "native"

_OPTIMIZE = ("-O2", "-fPIC", "-fvisibility=hidden", "-fno-sanitize=all", "-fno-stack-protector")

# No threads, workspaces and features of a processor there.
_GPU_WARNINGS = "-Wno-unused-function"

_BIONIC_START = "bionic_start.c"


@dataclass(frozen=True)
class StandaloneNetwork:
    """What the standalone form is made of.

    Attributes:
        description: of the network.
        planned: its kernels, scheduled and called in order.
        objects: machine code of all of them, by name.
        vector: that the program checks itself by.
    """

    description: Description
    planned: tvm.IRModule
    objects: Mapping[str, bytes]
    vector: CheckVector


def standalone_files(name: str) -> tuple[str, ...]:
    """List the files of the standalone form of the network ``name``."""
    return f"{name}.h", f"lib{name}.a", f"lib{name}.so", f"{name}-run"


def identifier_of(name: str) -> str:
    """Make an identifier of C of a network's ``name``."""
    text = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    # Libraries of one letter, such as libm, are the system's.
    is_good = len(text) > 1 and not text[0].isdigit()
    return text if is_good else f"net_{text}".rstrip("_")


def build_standalone(
    network: StandaloneNetwork, spec: TargetSpec, folder: Path, options: LinkOptions
) -> tuple[str, ...]:
    """Write the standalone form of ``network`` for the processor of ``spec`` into ``folder``; the
    names of its files.

    Raises:
        TargetError: Zig's compiler is not installed, or a kernel calls what the runtime lacks.
        GraphError: the plan holds more than kernel calls.
    """
    if spec.gpu is not None:
        return _build_on_gpu(network, spec, folder, options)
    name, arch = network.description.name, architecture(spec.machine)
    plan = read_plan(network.planned)
    kernels = _called_kernels(network.planned, plan)
    contents = [network.objects[kernel] for kernel in sorted(kernels)]
    prefix = own_prefix([*contents, plan.weights])
    with scratch_folder("mqnet-standalone-") as work:
        objects = []
        for kernel, content in zip(sorted(kernels), contents, strict=True):
            objects.append(work / f"{kernel}.o")
            objects[-1].write_bytes(content)
            _check_calls(objects[-1])
            objects[-1].write_bytes(rename_symbols(content, prefix))
        vector_sources = write_sources(
            work,
            network.description,
            plan,
            processor_features(spec),
            workspace_bytes(kernels),
            prefix,
            network.vector,
        )
        program_objects = [path.name for path in objects]
        objects += [
            _compile(musl(arch), f"{name}.c", work),
            _compile(musl(arch), "weights.S", work),
        ]
        names = [path.name for path in objects]
        program_objects.append("weights.o")
        for source in (f"{name}-run.c", *vector_sources):
            program_objects.append(_compile(musl(arch), source, work).name)
        header, archive, library, program = standalone_files(name)
        run_zig(["ar", "rcsD", archive, *names], work)
        if spec.linker == "android-arm64":
            link_library(spec, objects, work / library, replace(options, without_tvm=True))
        else:
            flags = ["-shared", f"-Wl,-soname,{library}", *SHARED_LINKS]
            _link(flags, glibc(arch), names, library, work)
        _link(STATIC_LINKS, musl(arch), program_objects, program, work)
        for made in standalone_files(name):
            shutil.move(work / made, folder / made)
    return standalone_files(name)


def _build_on_gpu(
    network: StandaloneNetwork, spec: TargetSpec, folder: Path, options: LinkOptions
) -> tuple[str, ...]:
    """The same, of kernels that OpenCL compiles where they run."""
    name, arch = network.description.name, architecture(spec.machine)
    plan = read_plan(network.planned)
    kernels = _called_kernels(network.planned, plan)
    code = read_launches(kernels, spec)
    source = code.source.encode() + b"\0"
    prefix = own_prefix([source, plan.weights])
    with scratch_folder("mqnet-standalone-") as work:
        symbol = f"{prefix}_kernels"
        write_blob(work, "kernels", symbol, source, network.description.title)
        frame = gpu_frame(plan, code, spec, symbol)
        vector_sources = write_sources(
            work, network.description, plan, (), 0, prefix, network.vector, frame
        )
        shared = ["weights.S", "kernels.S"]
        of_library, of_program = [*shared, f"{name}.c"], [*shared, f"{name}-run.c", *vector_sources]
        is_android = spec.linker == "android-arm64"
        if is_android:
            shutil.copy(RUNTIME / "program" / _BIONIC_START, work)
            of_program.append(_BIONIC_START)
        # The C library that loads OpenCL's is the system's own. Of what is used here, bionic's and
        # musl's structures and names are the same.
        target = musl(arch) if is_android else glibc(arch)
        objects = {
            source: _compile(target, source, work, _GPU_WARNINGS).name
            for source in dict.fromkeys((*of_library, *of_program))
        }
        of_library = [objects[one] for one in of_library]
        of_program = [objects[one] for one in of_program]
        header, archive, library, program = standalone_files(name)
        run_zig(["ar", "rcsD", archive, *of_library], work)
        if is_android:
            options = replace(options, without_tvm=True)
            link_library(spec, [work / one for one in of_library], work / library, options)
            link_android_program(spec, [work / one for one in of_program], work / program)
        else:
            flags = ["-shared", f"-Wl,-soname,{library}", *SHARED_LINKS]
            _link(flags, target, [*of_library, "-ldl"], library, work)
            _link(SHARED_LINKS, target, [*of_program, "-ldl"], program, work)
        for made in standalone_files(name):
            shutil.move(work / made, folder / made)
    return standalone_files(name)


def _called_kernels(planned: tvm.IRModule, plan: FramePlan) -> dict[str, tirx.PrimFunc]:
    called = {call.kernel for call in plan.calls}
    return {
        var.name_hint: function
        for var, function in planned.functions_items()
        if isinstance(function, tirx.PrimFunc) and var.name_hint in called
    }


def _check_calls(path: Path) -> None:
    """Refuse a kernel that calls a function of TVM's that the runtime does not have."""
    symbols = read_symbols(path)
    known = set(HOOKS.values())
    strangers = {
        name
        for name in symbols.undefined
        if name.startswith(("TVM", "__TVM")) and name not in known
    }
    if strangers:
        raise TargetError(
            f"kernel {path.stem} calls {', '.join(sorted(strangers))}, which the runtime of the "
            "standalone form does not have: build without --standalone"
        )


def _compile(target: str, source: str, work: Path, *options: str) -> Path:
    made = Path(source).with_suffix(".o").name
    flags = [*DIALECT, *_OPTIMIZE, *options, "-I", str(RUNTIME)]
    if target.startswith("aarch64"):
        # Calls of a helper library that no kernel's object brings.
        flags.append("-mno-outline-atomics")
    run_zig(["cc", "-target", target, *flags, "-c", source, "-o", made], work)
    return work / made


def _link(flags: Sequence[str], target: str, objects: list[str], output: str, work: Path) -> None:
    libraries = "-lm", "-lpthread"
    run_zig(["cc", "-target", target, *flags, *objects, *libraries, "-o", output], work)
