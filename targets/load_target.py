"""Reads a target: the TOML file of that name beside this module, as one frozen dataclass.

First thing in the way of the data: every later phase asks the `TargetSpec`, none asks a name.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compile.support.errors import TargetError
from targets.detect_host import HostMachine, llvm_host_cpu, read_host_machine
from targets.timing_model import TimingModel, read_timing

if TYPE_CHECKING:
    import tvm

TARGET_FOLDER = Path(__file__).parent
HOST_NAME = "host"

DOT_PRODUCTS = ("none", "pmaddwd", "vnni", "smlal", "sdot", "smmla")
LINKERS = ("host", "linux-arm64", "android-arm64")
MACHINES = ("EM_X86_64", "EM_AARCH64")


@dataclass(frozen=True)
class CoreCluster:
    """Equal cores of a chip.

    Attributes:
        name: LLVM's name of the core where it has one, as `cortex-a76`.
        count: How many there are.
    """

    name: str
    count: int


@dataclass(frozen=True)
class OpenClSpec:
    """A GPU that OpenCL reaches, as its driver describes it.

    Attributes:
        processor: Target of the processor beside it.
        work_group: The most work items of a work group (CL_DEVICE_MAX_WORK_GROUP_SIZE, or fewer).
        registers: Of 32 bits that a work item's tile may take.
        vector_bytes: Width of one load or store.
        integer_dot_product: The device has to have an instruction that multiplies four int8 by
            four; where this is false, it is used all the same if there is one.
        fp16: The device computes with 16-bit floats (cl_khr_fp16).
        mesa_gpu: What the GPU's register says it is (its product number, as Linux's driver reads
            it), by which Mesa's compiler knows it; None where the file names no single GPU.
    """

    processor: str
    work_group: int
    registers: int
    vector_bytes: int
    integer_dot_product: bool
    fp16: bool
    mesa_gpu: int | None = None


@dataclass(frozen=True)
class TargetSpec:
    """One machine to build for. Peaks and caches are those of one core of the first cluster.

    Attributes:
        name: What `--target` takes.
        title: Name for people.
        summary: One line for the table of targets.
        triple: LLVM target triple.
        cpu: LLVM's name of the core that code is scheduled for.
        features: LLVM features beyond the core's own, as `+dotprod`.
        cores: The chip's clusters; the first is the one that `threads` are meant for.
        threads: Threads used unless the user names another number.
        vector_bits: Width of a vector register in bits.
        dot_product: One of `DOT_PRODUCTS`: the widest int8 multiply-accumulate instruction.
        peak_int8_macs: int8 multiply-accumulates per cycle and core.
        peak_fp32_macs: float32 multiply-accumulates per cycle and core.
        l1d_bytes: Level 1 data cache of a core in bytes.
        l2_bytes: Level 2 cache in bytes, per core or shared as the file says.
        linker: One of `LINKERS`: how a shared library is made.
        machine: ELF machine of the library, as `EM_AARCH64`.
        variant: Of the host: the instruction set found, as `avx2`; empty for the others.
        requires: Of the host: CPU features that its code uses, as /proc/cpuinfo spells them.
        timing: How long the core takes for what it executes, for a tuning session without the
            hardware (`compile/tune.py --emulate`); None where the file does not say.
        gpu: The GPU that runs the kernels; the rest is then the processor that starts them, but
            for cores and peaks. None where the processor runs them.
    """

    name: str
    title: str
    summary: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    cores: tuple[CoreCluster, ...]
    threads: int
    vector_bits: int
    dot_product: str
    peak_int8_macs: int
    peak_fp32_macs: int
    l1d_bytes: int
    l2_bytes: int
    linker: str
    machine: str
    variant: str = ""
    requires: tuple[str, ...] = ()
    timing: TimingModel | None = None
    gpu: OpenClSpec | None = None


# Key -> TOML type, of a target file; the host's variants name some of them and three of their own.
_TARGET_KEYS: dict[str, type] = {
    "title": str,
    "summary": str,
    "triple": str,
    "cpu": str,
    "features": list,
    "cores": list,
    "threads": int,
    "vector_bits": int,
    "dot_product": str,
    "peak_int8_macs": int,
    "peak_fp32_macs": int,
    "l1d_bytes": int,
    "l2_bytes": int,
    "linker": str,
    "machine": str,
}
_TARGET_OPTIONAL_KEYS: dict[str, type] = {"timing": dict}
# Of a GPU's file: the processor beside it is another target's.
_GPU_KEYS: dict[str, type] = {
    "title": str,
    "summary": str,
    "processor": str,
    "cores": list,
    "peak_int8_macs": int,
    "peak_fp32_macs": int,
    "opencl": dict,
}
_OPENCL_KEYS: dict[str, type] = {
    "work_group": int,
    "registers": int,
    "vector_bytes": int,
    "integer_dot_product": bool,
    "fp16": bool,
}
_OPENCL_OPTIONAL_KEYS: dict[str, type] = {"mesa_gpu": int}
_HOST_KEYS: dict[str, type] = {"title": str, "summary": str, "linker": str, "variant": list}
_VARIANT_KEYS: dict[str, type] = {
    **{
        key: kind
        for key, kind in _TARGET_KEYS.items()
        if key not in ("title", "summary", "linker", "cores", "threads")
    },
    "name": str,
    "arch": str,
    "requires": list,
}
_VARIANT_OPTIONAL_KEYS: dict[str, type] = {"cpu_family": str}
_CHOICES = {
    "dot_product": DOT_PRODUCTS,
    "linker": LINKERS,
    "machine": MACHINES,
}


def list_targets() -> tuple[str, ...]:
    """Names of all targets, `host` first and the others by the alphabet."""
    names = {path.stem for path in TARGET_FOLDER.glob("*.toml")}
    return (HOST_NAME, *sorted(names - {HOST_NAME}))


def load_target(name: str) -> TargetSpec:
    """Loads a target by name.

    Raises:
        TargetError: An unknown name (the nearest ones are named), a mistake in the file, or a host
            that no variant of `host.toml` fits.
    """
    known = list_targets()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known)}"
        raise TargetError(f"unknown target '{name}'; {hint}")
    return read_target_file(TARGET_FOLDER / f"{name}.toml")


def read_target_file(path: Path) -> TargetSpec:
    """Reads and checks one target file; the host's is matched against this machine.

    Raises:
        TargetError: A key that is unknown, missing or of the wrong type; a value out of range.
    """
    data = _read_toml(path)
    if "variant" in data:
        return read_host_file(path, read_host_machine())
    if "opencl" in data:
        return _read_gpu_file(data, path)
    _check_keys(data, _TARGET_KEYS, _TARGET_OPTIONAL_KEYS, path.name)
    if "timing" in data:
        sizes = data["l1d_bytes"], data["l2_bytes"]
        data["timing"] = read_timing(data["timing"], *sizes, path.name)
    return TargetSpec(
        name=path.stem,
        cores=tuple(_read_core(core, path.name) for core in data.pop("cores")),
        features=tuple(data.pop("features")),
        **data,
    )


def read_host_file(path: Path, machine: HostMachine) -> TargetSpec:
    """The host's target: the first variant of the file that `machine` can run.

    Raises:
        TargetError: A mistake in the file, or no variant fits the machine.
    """
    data = _read_toml(path)
    _check_keys(data, _HOST_KEYS, {}, path.name)
    for number, variant in enumerate(data["variant"], 1):
        _check_keys(
            variant, _VARIANT_KEYS, _VARIANT_OPTIONAL_KEYS, f"{path.name}, variant {number}"
        )
    for variant in data["variant"]:
        if not machine.has(variant["arch"], variant["requires"], variant.get("cpu_family")):
            continue
        cpu = llvm_host_cpu(machine, variant["triple"], fallback=variant["cpu"])
        return TargetSpec(
            name=path.stem,
            title=machine.model or data["title"],
            summary=data["summary"],
            triple=variant["triple"],
            cpu=cpu,
            features=tuple(variant["features"]),
            cores=(CoreCluster(cpu, machine.cores),),
            threads=machine.cores,
            vector_bits=variant["vector_bits"],
            dot_product=variant["dot_product"],
            peak_int8_macs=variant["peak_int8_macs"],
            peak_fp32_macs=variant["peak_fp32_macs"],
            l1d_bytes=machine.l1d_bytes or variant["l1d_bytes"],
            l2_bytes=machine.l2_bytes or variant["l2_bytes"],
            linker=data["linker"],
            machine=variant["machine"],
            variant=variant["name"],
            requires=tuple(variant["requires"]),
        )
    raise TargetError(
        f"no variant in {path.name} fits this machine ({machine.arch}); "
        "x86-64 needs at least SSE 4.2, arm64 needs NEON"
    )


def _read_gpu_file(data: dict[str, Any], path: Path) -> TargetSpec:
    _check_keys(data, _GPU_KEYS, {}, path.name)
    gpu = data["opencl"]
    _check_keys(gpu, _OPENCL_KEYS, _OPENCL_OPTIONAL_KEYS, f"{path.name}, opencl")
    processor = load_target(data["processor"])
    if processor.gpu is not None:
        raise TargetError(f"{path.name}: 'processor' {processor.name} is a GPU")
    return dataclasses.replace(
        processor,
        name=path.stem,
        title=data["title"],
        summary=data["summary"],
        cores=tuple(_read_core(core, path.name) for core in data["cores"]),
        # Of the processor, which only starts kernels.
        threads=1,
        peak_int8_macs=data["peak_int8_macs"],
        peak_fp32_macs=data["peak_fp32_macs"],
        timing=None,
        variant="",
        gpu=OpenClSpec(processor.name, **gpu),
    )


def tvm_target(spec: TargetSpec, threads: int | None = None) -> tvm.target.Target:
    """TVM's target of `spec`, with `num-cores` as `threads` (default: the target's own). A GPU's
    has the processor as its host."""
    import tvm

    processor = {
        "kind": "llvm",
        "mtriple": spec.triple,
        "mcpu": spec.cpu,
        "mattr": list(spec.features),
        "num-cores": threads or spec.threads,
    }
    if spec.gpu is None:
        return tvm.target.Target(processor)
    group = spec.gpu.work_group
    device = {"kind": "opencl", "max_num_threads": group, "max_threads_per_block": group}
    return tvm.target.Target(device, host=processor)


def describe_target(spec: TargetSpec) -> dict[str, Any]:
    """The target as plain data for JSON; its GPU is there by the name of the file's table."""
    described = dataclasses.asdict(spec)
    return described | {"opencl": described.pop("gpu")}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TargetError(f"target file {path.name} cannot be read: {error}") from error


def _read_core(core: Any, where: str) -> CoreCluster:
    if not isinstance(core, dict):
        raise TargetError(f"{where}: 'cores' must be a list of tables with 'name' and 'count'")
    _check_keys(core, {"name": str, "count": int}, {}, f"{where}, cores")
    return CoreCluster(**core)


def _check_keys(
    data: dict[str, Any], required: dict[str, type], optional: dict[str, type], where: str
) -> None:
    """Checks names, types and ranges of all keys of one table of a target file."""
    known = {**required, **optional}
    for key in data.keys() - known.keys():
        nearest = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
        raise TargetError(f"{where}: unknown key '{key}'{hint}")
    if missing := [key for key in required if key not in data]:
        raise TargetError(f"{where}: missing key '{missing[0]}'")
    for key, value in data.items():
        # In Python a bool is an int; in a target file it is a mistake.
        if not isinstance(value, known[key]) or isinstance(value, bool) != (known[key] is bool):
            raise TargetError(
                f"{where}: '{key}' must be {_TYPE_NAMES[known[key]]}, not {_type_name(value)}"
            )
        if known[key] is int and value <= 0:
            raise TargetError(f"{where}: '{key}' must be positive, not {value}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise TargetError(
                f"{where}: '{key}' must be one of {', '.join(_CHOICES[key])}, not '{value}'"
            )
        if key in ("features", "requires") and not all(isinstance(item, str) for item in value):
            raise TargetError(f"{where}: '{key}' must be a list of strings")
        if key in ("cores", "variant") and not value:
            raise TargetError(f"{where}: '{key}' must not be empty")


_TYPE_NAMES = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def _type_name(value: Any) -> str:
    name = None if isinstance(value, bool) else _TYPE_NAMES.get(type(value))
    return name or f"a {type(value).__name__}"
