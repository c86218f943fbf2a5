"""Cycles of blocks of machine code by llvm-mca, LLVM's simulation of a core's pipes.

It knows latencies and which pipe takes what, but no caches; of a block it simulates many rounds one
after the other, as if the block were a loop.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compile.support.errors import TargetError

_ITERATIONS = 100
# Debian installs each version under a name of its own; newer ones have more cores' own models.
_VERSIONS = ("", *(f"-{version}" for version in range(14, 40)))
_SECONDS = 600


@dataclass(frozen=True)
class MachineCodeAnalyzer:
    """llvm-mc and llvm-mca of one version.

    Attributes:
        disassembler, analyzer: their paths.
        version: LLVM's, as "22.1.8".
    """

    disassembler: str
    analyzer: str
    version: str

    def cycles(self, blocks: Iterable[bytes], cpu: str) -> dict[bytes, float]:
        """Of one execution of each block of A64 code on LLVM's model of the core ``cpu``.

        Raises:
            TargetError: LLVM has no such core, or does not take the code.
        """
        names = {f"block{number}": block for number, block in enumerate(blocks)}
        regions = [
            f"# LLVM-MCA-BEGIN {name}\n{self._assembly(block)}\n# LLVM-MCA-END"
            for name, block in names.items()
        ]
        command = [self.analyzer, "-mtriple=aarch64", f"-mcpu={cpu}", "-json"]
        options = [f"-iterations={_ITERATIONS}", "-skip-unsupported-instructions=any"]
        text = _run([*command, *options], "\n".join(regions) + "\n")
        found = json.loads(text)["CodeRegions"]
        return {
            names[region["Name"]]: region["SummaryView"]["TotalCycles"] / _ITERATIONS
            for region in found
        }

    def _assembly(self, block: bytes) -> str:
        text = " ".join(f"0x{byte:02x}" for byte in block)
        command = [self.disassembler, "-triple=aarch64", "-mattr=+all", "-disassemble"]
        lines = _run(command, text).splitlines()
        return "\n".join(
            line for line in lines if line.strip() and not line.strip().startswith(".")
        )


def find_analyzer() -> MachineCodeAnalyzer:
    """The newest that is installed.

    Raises:
        TargetError: none is.
    """
    found = []
    for suffix in _VERSIONS:
        assembler, analyzer = (shutil.which(f"{name}{suffix}") for name in ("llvm-mc", "llvm-mca"))
        if assembler is not None and analyzer is not None:
            match = re.search(r"version (\d+)([.\d]*)", _run([analyzer, "--version"], ""))
            if match and int(match[1]) >= 19:
                version = match[1] + match[2]
                found.append((int(match[1]), MachineCodeAnalyzer(assembler, analyzer, version)))
    if not found:
        raise TargetError(
            "no llvm-mca of LLVM 19 or later is on PATH: install one (apt-get install llvm-19)"
        )
    return max(found, key=lambda pair: pair[0])[1]


def block_cycles(
    analyzer: MachineCodeAnalyzer, blocks: Mapping[bytes, int], cpu: str, least_share: float = 2e-3
) -> float:
    """Cycles of all executions of ``blocks`` (how often each); what executes less than
    ``least_share`` of the instructions counts a cycle for each instruction."""
    total = sum(len(block) * times for block, times in blocks.items())
    hot = {b: times for b, times in blocks.items() if len(b) * times >= least_share * total}
    known = analyzer.cycles(hot, cpu)
    rest = sum(len(b) // 4 * times for b, times in blocks.items() if b not in known)
    return sum(known[block] * hot[block] for block in known) + rest


def _run(command: list[str], text: str) -> str:
    result = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise TargetError(f"{command[0]} does not take it: {lines[0]}")
    return result.stdout
