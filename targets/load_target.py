"""Reads a target: the TOML file of that name beside this module, as one frozen record."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from compile.support.errors import TargetError
from targets.detect_host import HostMachine, llvm_host_cpu, read_host_machine
from targets.spec import (
    Core,
    CoreCluster,
    GpuFile,
    HostFile,
    HostVariant,
    Processor,
    ProcessorFile,
    TargetSpec,
)
from targets.tables import convert_table
from targets.timing_model import timing_model

TARGET_FOLDER = Path(__file__).parent
HOST_NAME = "host"
#: Between the host's name and that of an instruction set, as in "host:avx2".
_INSTRUCTION_SET_MARK = ":"


def list_targets() -> tuple[str, ...]:
    """Names of all targets, `host` first and the others by the alphabet."""
    names = {path.stem for path in TARGET_FOLDER.glob("*.toml")}
    return (HOST_NAME, *sorted(names - {HOST_NAME}))


def load_target(name: str) -> TargetSpec:
    """Loads a target by its name, or from a file of the user's by its path, which ends in
    .toml; the host also with one of its instruction sets, as :func:`with_instruction_set` has it.

    Raises:
        TargetError: An unknown name (the nearest ones are named), no such file, a mistake in it, or
            a host that no variant of `host.toml` fits, or not the one that is asked for.
    """
    known = list_targets()
    if name.startswith(HOST_NAME + _INSTRUCTION_SET_MARK):
        file, instruction_set = name.split(_INSTRUCTION_SET_MARK, 1)
        return read_host_file(TARGET_FOLDER / f"{file}.toml", read_host_machine(), instruction_set)
    if is_path(name):
        path = Path(name)
        if path.stem in known and path.resolve().parent != TARGET_FOLDER.resolve():
            raise TargetError(
                f"target file {path} has the name of a target that there is, {path.stem}: give it "
                "another name, by which builds and tuning logs are told apart"
            )
        return read_target_file(path)
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known)}"
        raise TargetError(f"unknown target '{name}'; {hint}")
    return read_target_file(TARGET_FOLDER / f"{name}.toml")


def is_path(name: str) -> bool:
    """Whether ``name`` is the path of a target file, and no target's name."""
    return name.endswith(".toml")


def target_name(name: str) -> str:
    """Name of a target that is given by its name or by a path, fit for a file's name."""
    return Path(name).stem if is_path(name) else name.replace(_INSTRUCTION_SET_MARK, "-")


def with_instruction_set(target: str, instruction_set: str | None) -> str:
    """Names ``target`` with an instruction set of the host's, where one is given.

    Raises:
        TargetError: The target is not the host, or the host has no such instruction set.
    """
    if instruction_set is None:
        return target
    if target != HOST_NAME:
        raise TargetError(
            f"instruction set {instruction_set} cannot be chosen for target {target}, whose file "
            f"names one: leave it out, or give --target {HOST_NAME}"
        )
    name = f"{target}{_INSTRUCTION_SET_MARK}{instruction_set}"
    load_target(name)
    return name


def read_target_file(path: Path) -> TargetSpec:
    """Reads and checks one target file; the host's is matched against this machine.

    Raises:
        TargetError: A key that is unknown, missing or of the wrong type; a value out of range.
    """
    table = _read_toml(path)
    if "variant" in table:
        return read_host_file(path, read_host_machine())
    if "opencl" in table:
        return _gpu_target(convert_table(table, GpuFile, path.name), path)
    return _processor_target(convert_table(table, ProcessorFile, path.name), path)


def read_host_file(
    path: Path, machine: HostMachine, instruction_set: str | None = None
) -> TargetSpec:
    """The host's target: the first variant of the file that `machine` can run, or the one that is
    named `instruction_set`, for any machine that has it.

    Raises:
        TargetError: A mistake in the file, no variant fits the machine, or there is none of that
            name, or the machine cannot run it.
    """
    file = convert_table(_read_toml(path), HostFile, path.name)
    if instruction_set is None:
        variant = _first_variant(file, machine, path)
        cpu = llvm_host_cpu(machine, variant.triple, fallback=variant.cpu)
    else:
        variant = _variant_named(instruction_set, file, machine)
        cpu = variant.cpu
    found = {
        "cpu": cpu,
        "l1d_bytes": machine.l1d_bytes or variant.l1d_bytes,
        "l2_bytes": machine.l2_bytes or variant.l2_bytes,
    }
    return TargetSpec(
        name=path.stem,
        title=machine.model or file.title,
        summary=file.summary,
        processor=Processor(
            name=path.stem,
            linker=file.linker,
            requires=variant.requires,
            **_core_fields(variant) | found,
        ),
        cores=(CoreCluster(cpu, machine.cores),),
        threads=machine.cores,
        peak_int8_macs=variant.peak_int8_macs,
        peak_fp32_macs=variant.peak_fp32_macs,
        variant=variant.name,
    )


def _first_variant(file: HostFile, machine: HostMachine, path: Path) -> HostVariant:
    for variant in file.variant:
        if machine.has(variant.arch, variant.requires, variant.cpu_family):
            return variant
    raise TargetError(
        f"no variant in {path.name} fits this machine ({machine.arch}); "
        "x86-64 needs at least SSE 4.2, arm64 needs NEON"
    )


def _variant_named(name: str, file: HostFile, machine: HostMachine) -> HostVariant:
    known = {variant.name: variant for variant in file.variant}
    here = [one.name for one in file.variant if machine.has(one.arch, one.requires)]
    remedy = f"this machine has {', '.join(here) or 'none that is known'}"
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=2)
        hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
        raise TargetError(f"unknown instruction set {name!r}; {hint}{remedy}")
    variant = known[name]
    if variant.arch != machine.arch:
        raise TargetError(
            f"instruction set {name} is of {variant.arch}, not of {machine.arch}; {remedy}"
        )
    if lacking := sorted(set(variant.requires) - machine.flags):
        raise TargetError(
            f"instruction set {name} needs {', '.join(lacking)}, which this machine lacks; {remedy}"
        )
    return variant


def _processor_target(file: ProcessorFile, path: Path) -> TargetSpec:
    timing = None
    if file.timing is not None:
        timing = timing_model(file.timing, file.l1d_bytes, file.l2_bytes, path.name)
    return TargetSpec(
        name=path.stem,
        title=file.title,
        summary=file.summary,
        processor=Processor(name=path.stem, linker=file.linker, **_core_fields(file)),
        cores=file.cores,
        threads=file.threads,
        peak_int8_macs=file.peak_int8_macs,
        peak_fp32_macs=file.peak_fp32_macs,
        timing=timing,
    )


def _gpu_target(file: GpuFile, path: Path) -> TargetSpec:
    name = file.processor
    if is_path(name):  # From the folder of this file, wherever the command is started.
        name = str(path.parent / name)
    own = Path(name) if is_path(name) else TARGET_FOLDER / f"{name}.toml"
    # Looked at before it is loaded: it may name this file.
    if own.exists() and "opencl" in _read_toml(own):
        raise TargetError(f"{path.name}: 'processor' {target_name(name)} is a GPU")
    beside = load_target(name)
    return TargetSpec(
        name=path.stem,
        title=file.title,
        summary=file.summary,
        processor=beside.processor,
        gpu=file.opencl,
        beside=name,
        cores=file.cores,
        # Of the processor, which only starts kernels.
        threads=1,
        peak_int8_macs=file.peak_int8_macs,
        peak_fp32_macs=file.peak_fp32_macs,
    )


def _core_fields(file: Core) -> dict[str, Any]:
    return {name: getattr(file, name) for name in Core.__struct_fields__}


def _read_toml(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # Nobody may ever write to a pipe.
        raise TargetError(f"target file {path} is not a regular file: name one that is")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TargetError(
            f"target file {path} cannot be read ({reason}): name one that is there"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TargetError(
            f"target file {path} cannot be read ({error}): mend it, it has to be TOML"
        ) from error
