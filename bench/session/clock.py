"""What one core can do at most: its clock and its memory, measured where it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm.script import tirx as T

from compile.codegen.link.link import ExportLinker
from compile.support.scratch_folder import scratch_folder
from targets.describe_target import tvm_target
from targets.spec import TargetSpec

_STEPS = 10_000_000
# An add and a xor of registers have a latency of one cycle each on every x86-64 and Arm core (Agner
# Fog, "Instruction tables"; Arm's optimization guides), and no compiler makes one of the two.
_CYCLES_PER_STEP = 2
# More than any cache holds.
_COPIED_BYTES = 1 << 27
_TRIES = 5


@dataclass(frozen=True)
class CoreLimits:
    """Of a busy core.

    Attributes:
        clock_hz: cycles per second.
        copy_bytes_per_second: that it reads and writes, copying more than any cache holds.
    """

    clock_hz: float
    copy_bytes_per_second: float


@T.prim_func(s_tir=True)
def _chain(x: T.Buffer((1,), "int64")) -> None:
    """Each step needs the one before: its time is a latency and nothing else."""
    for _ in range(10_000_000):
        with T.sblock("step"):
            x[0] = T.bitwise_xor(x[0] + T.int64(6364136223846793005), T.int64(1442695040888963407))


@T.prim_func(s_tir=True)
def _fill(x: T.Buffer((134_217_728,), "uint8")) -> None:
    """Pages that nothing was written to are all the same one."""
    for i in range(134_217_728):
        with T.sblock("fill"):
            at = T.axis.spatial(134_217_728, i)
            x[at] = T.uint8(1)


@T.prim_func(s_tir=True)
def _copy(
    source: T.Buffer((134_217_728,), "uint8"), target: T.Buffer((134_217_728,), "uint8")
) -> None:
    for i in range(134_217_728):
        with T.sblock("copy"):
            at = T.axis.spatial(134_217_728, i)
            target[at] = source[at]


def measure_core(
    spec: TargetSpec, load: Callable[[Path], tvm.runtime.Module], device: tvm.runtime.Device
) -> CoreLimits:
    """Of a core of the target ``spec``, where ``load`` loads a library, in the memory of
    ``device``.

    Raises:
        TargetError: there is no linker for the target.
    """
    functions = {"chain": _chain, "fill": _fill, "copy": _copy}
    mod = tvm.IRModule(
        {name: func.with_attr("global_symbol", name) for name, func in functions.items()}
    )
    with scratch_folder("mqnet-core-") as folder:
        library = folder / "core.so"
        built = tvm.compile(mod, target=tvm_target(spec, 1))
        built.export_library(str(library), fcompile=ExportLinker(spec))
        loaded = load(library)
    word = tvm.runtime.empty((1,), "int64", device)
    source, target = (tvm.runtime.empty((_COPIED_BYTES,), "uint8", device) for _ in range(2))
    loaded["fill"](source)

    def fastest(name: str, *arguments: tvm.runtime.Tensor) -> float:
        evaluate = loaded.time_evaluator(name, device, number=1, repeat=_TRIES)
        return min(evaluate(*arguments).results)

    return CoreLimits(
        clock_hz=_STEPS * _CYCLES_PER_STEP / fastest("chain", word),
        copy_bytes_per_second=2 * _COPIED_BYTES / fastest("copy", source, target),
    )


def measure_this_core(spec: TargetSpec) -> CoreLimits:
    """As :func:`measure_core`, of the one that this runs on."""
    return measure_core(spec, lambda path: tvm.runtime.load_module(str(path)), tvm.cpu())
