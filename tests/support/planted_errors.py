"""Plants single errors in a copy of a build: a weight, an instruction, a constant of a kernel."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command_line import edit_manifest
from elftools.elf.elffile import ELFFile
from needed_in_ci import give_up

from compile.artefact.manifest import LIBRARY
from compile.artefact.reader import Artefact, open_artefact
from compile.support.outcome import Outcome
from device.client.check_request import CheckRequest
from device.runtime.artefact_device import network_layout
from device.runtime.check_calls import check_calls
from device.runtime.tvm_network import TvmNetwork

# Opcodes of vectors (VEX and EVEX), and of others that compute something else of the same operands:
# vpdpwssd, vpmuludq, vsubps, vfnmadd231ps.
_OTHER = {
    "vpdpbusd": (0x50, 0x52),
    "vpmaddwd": (0xF5, 0xF4),
    "vaddps": (0x58, 0x5C),
    "vfmadd231ps": (0xB8, 0xBC),
}
_PREFIX_BYTES = {0xC5: 2, 0xC4: 3, 0x62: 4}
# Of what stands around an instruction, to find it in another file.
_AROUND = 24


@dataclass(frozen=True)
class PlantedInstruction:
    """An instruction.

    Attributes:
        kernel: that it is of.
        place: of its opcode in the library.
        before, after: bytes around it.
        opcode: of another instruction.
    """

    kernel: str
    place: int
    before: bytes
    after: bytes
    opcode: int


class ThisProcess:
    """Runs a build without a process of its own."""

    name = "this process"

    def __init__(self, artefact: Artefact) -> None:
        self._network = TvmNetwork(artefact.library.parent, network_layout(artefact))

    def facts(self, request: CheckRequest, whole: tuple[int, ...]) -> Outcome:
        self._network.set_inputs(request.inputs)
        calls = request.kernels, request.calls, request.given
        return Outcome(check_calls(self._network, *calls, whole, reads=request.reads))

    def reached(self) -> int:
        return -1


def planted(
    built: Artefact, folder: Path, changes: dict[int, int], file: str = LIBRARY
) -> Artefact:
    """A copy of ``built`` in ``folder``, whose ``file`` has other bytes at the places of
    ``changes``, and whose manifest knows of it."""
    shutil.copytree(built.library.parent, folder)
    content = bytearray((folder / file).read_bytes())
    for place, byte in changes.items():
        assert content[place] != byte
        content[place] = byte
    (folder / file).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"][file].update(sha256=digest))
    return open_artefact(folder)


def vector_instructions(library: Path, *names: str) -> list[PlantedInstruction]:
    """Every instruction of ``names`` in the kernels of ``library``, but for the scalar ones."""
    if shutil.which("objdump") is None:
        give_up("objdump", "no objdump (apt-get install binutils)")
    content = library.read_bytes()
    with library.open("rb") as file:
        text = ELFFile(file).get_section_by_name(".text")
        to_file = text["sh_offset"] - text["sh_addr"]
    listing = subprocess.run(
        ["objdump", "-d", "--wide", str(library)], capture_output=True, text=True, check=True
    ).stdout
    found, kernel = [], ""
    for line in listing.splitlines():
        if begin := re.fullmatch(r"[0-9a-f]+ <(?P<name>\w+)>:", line):
            own = re.fullmatch(r"(?:__tvm_ffi_)?(\w+?)(?:_compute_|_\d+)?", begin["name"])
            kernel = own[1] if own else ""
        parts = line.split("\t")
        if len(parts) != 3 or parts[2].split()[0] not in names or "mm" not in parts[2]:
            continue
        opcode, other = _OTHER[parts[2].split()[0]]
        code = bytes.fromhex(parts[1])
        offset = _PREFIX_BYTES.get(code[0], 0)
        if not offset or code[offset] != opcode:
            continue
        place = int(parts[0].strip(" :"), 16) + to_file + offset
        before, after = content[place - _AROUND : place], content[place + 1 : place + _AROUND]
        found.append(PlantedInstruction(kernel, place, before, after, other))
    return found


def chosen(seed: int, count: int) -> int:
    """One of ``count``."""
    return int(np.random.default_rng(seed).integers(count))
