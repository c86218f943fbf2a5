"""Asks LLVM whether it knows what a target file names, before it compiles for something else.

LLVM takes a core that it does not know for "generic", leaves out a feature that it does not know,
and ends the process at a triple or an instruction that it does not have.
"""

from __future__ import annotations

import difflib
import platform
import re
from collections.abc import Iterable

from compile.support.errors import TargetError
from targets.spec import DotProductName, LinkerName, MachineName, Processor

_TRIPLES: dict[MachineName, str] = {
    "EM_X86_64": r"x86_64(-\w+)?-linux-gnu",
    "EM_AARCH64": r"aarch64(-\w+)?-linux-(gnu|musl|android\d+)",
}
_EXAMPLES: dict[MachineName, str] = {
    "EM_X86_64": "x86_64-linux-gnu",
    "EM_AARCH64": "aarch64-linux-gnu or aarch64-linux-android24",
}
#: What each linker links, by the triple; `host` links what runs here.
_LINKED: dict[LinkerName, str] = {
    "host": rf"{platform.machine()}(-\w+)?-linux-(gnu|musl)",
    "linux-arm64": r"aarch64(-\w+)?-linux-(gnu|musl)",
    "android-arm64": r"aarch64(-\w+)?-linux-android\d+",
}
#: LLVM's features of which one has to be there.
_NEEDED: dict[DotProductName, tuple[str, ...]] = {
    "none": (),
    "pmaddwd": ("sse2",),
    "vnni": ("avx512vnni", "avxvnni"),
    "smlal": ("neon",),
    "sdot": ("dotprod",),
    "smmla": ("i8mm",),
}


def check_llvm_knows(processor: Processor) -> None:
    """Raise where LLVM cannot compile for ``processor`` as its file says.

    Raises:
        TargetError: triple, core or a feature is not known, the linker is for another system, or
            the core has not the instruction that the int8 kernels are to be made of. The nearest
            known name is told.
    """
    file, machine = f"{processor.name}.toml", processor.machine
    if not re.fullmatch(_TRIPLES[machine], processor.triple):
        raise TargetError(
            f"{file}: 'triple' {processor.triple!r} is no Linux or Android system of {machine}: "
            f"give one such as {_EXAMPLES[machine]}"
        )
    if not re.fullmatch(_LINKED[processor.linker], processor.triple):
        fitting = [name for name, what in _LINKED.items() if re.fullmatch(what, processor.triple)]
        remedy = f"name {' or '.join(fitting)}" if fitting else "none here does"
        raise TargetError(
            f"{file}: 'linker' {processor.linker!r} does not link for {processor.triple}: {remedy}"
        )
    cores = _cores(processor.triple)
    if processor.cpu not in cores:
        raise TargetError(
            f"{file}: 'cpu' {processor.cpu!r} is no core that LLVM knows for {processor.triple}; "
            f"{_nearest(processor.cpu, cores)}"
        )
    known = _all_features(processor.triple, cores)
    for feature in processor.features:
        if not re.fullmatch(r"[+-].+", feature):
            raise TargetError(f"{file}: 'features' has {feature!r}: write +NAME or -NAME")
        if feature[1:] not in known:
            raise TargetError(
                f"{file}: 'features' has {feature!r}, which no core of LLVM's has; "
                f"{_nearest(feature[1:], known)}"
            )
    needed = _NEEDED[processor.dot_product]
    if needed and not known.intersection(needed):
        others = [name for name, features in _NEEDED.items() if known.intersection(features)]
        raise TargetError(
            f"{file}: 'dot_product' {processor.dot_product!r} is no instruction of any {machine}: "
            f"name one of {', '.join(others)} or none"
        )
    if needed and not _features(processor).intersection(needed):
        raise TargetError(
            f"{file}: 'dot_product' {processor.dot_product!r} is no instruction of "
            f"{processor.cpu}: add {' or '.join(f'+{name}' for name in needed)} to 'features' if "
            "the chip has it, or name another instruction"
        )


def _cores(triple: str) -> set[str]:
    from tvm.target import Target, codegen

    return set(map(str, codegen.llvm_get_cpu_archlist(Target({"kind": "llvm", "mtriple": triple}))))


def _all_features(triple: str, cores: Iterable[str]) -> set[str]:
    """Of all cores together."""
    from tvm.target import Target, codegen

    found: set[str] = set()
    for core in cores:
        target = Target({"kind": "llvm", "mtriple": triple, "mcpu": core})
        found.update(map(str, codegen.llvm_get_cpu_features(target)))
    return found


def _features(processor: Processor) -> set[str]:
    """Of the core as the file describes it."""
    from tvm.target import Target, codegen

    target = {"kind": "llvm", "mtriple": processor.triple, "mcpu": processor.cpu}
    described = Target(target | {"mattr": list(processor.features)})
    return set(map(str, codegen.llvm_get_cpu_features(described)))


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(known), n=3)
    if nearest:
        return f"did you mean {' or '.join(nearest)}?"
    return "`llc -mcpu=help` lists all"
