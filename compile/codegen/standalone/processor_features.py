"""Which instructions a build may hold, and how a program asks a processor for them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm.target import codegen

from compile.codegen.standalone.machine import architecture
from targets.describe_target import tvm_target
from targets.spec import TargetSpec

_TABLE = Path(__file__).parent / "data" / "processor_features.toml"
_REGISTERS = ("eax", "ebx", "ecx", "edx")


@dataclass(frozen=True)
class ProcessorFeature:
    """A feature, as ``processor.h`` of the runtime looks for it.

    Attributes:
        name: as /proc/cpuinfo spells it.
        leaf, subleaf: of CPUID; the leaf is an entry of the auxiliary vector on arm64.
        word: number of the register.
        bit: in it.
        kept: bits of XCR0 that have to be set.
    """

    name: str
    leaf: int
    subleaf: int
    word: int
    bit: int
    kept: int


def processor_features(spec: TargetSpec) -> tuple[ProcessorFeature, ...]:
    """List the features that LLVM was told the processor of ``spec`` has, as far as compiled
    kernels may use them."""
    table = tomllib.loads(_TABLE.read_text())[architecture(spec.machine)]
    target: tvm.target.Target = tvm_target(spec)
    enabled = set(map(str, codegen.llvm_get_cpu_features(target)))
    return tuple(
        ProcessorFeature(
            facts["name"],
            facts["leaf"],
            facts.get("subleaf", 0),
            _REGISTERS.index(facts.get("register", "eax")),
            facts["bit"],
            facts.get("kept", 0),
        )
        for name, facts in table.items()
        if name in enabled
    )
