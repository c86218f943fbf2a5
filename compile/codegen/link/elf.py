"""The few facts of an ELF file that linking and loading depend on."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from compile.support.errors import ArtefactError

# e_machine of the ELF specification.
_MACHINE_NUMBERS = {"EM_X86_64": 62, "EM_AARCH64": 183}
# What pyelftools raises on a file whose header is whole and whose tables are not.
_DAMAGED = (ELFError, ValueError, LookupError, ArithmeticError, AttributeError, TypeError)


@dataclass(frozen=True)
class ElfSymbols:
    """Machine and global symbols of an object or library.

    Attributes:
        machine: As `EM_AARCH64`.
        undefined: Names that another object or library has to define; weak ones are left out.
        defined: Global names that this file defines.
    """

    machine: str
    undefined: frozenset[str]
    defined: frozenset[str]


def read_symbols(path: Path) -> ElfSymbols:
    """Reads an object file or shared library.

    Raises:
        ArtefactError: The file is missing, damaged or no ELF file.
    """
    undefined: set[str] = set()
    defined: set[str] = set()
    with _open_elf(path) as elf:
        for section in elf.iter_sections():
            if not isinstance(section, SymbolTableSection):
                continue
            for symbol in section.iter_symbols():
                binding = symbol["st_info"]["bind"]
                if not symbol.name or binding == "STB_LOCAL":
                    continue
                if symbol["st_shndx"] != "SHN_UNDEF":
                    defined.add(symbol.name)
                elif binding == "STB_GLOBAL":
                    undefined.add(symbol.name)
        return ElfSymbols(str(elf["e_machine"]), frozenset(undefined), frozenset(defined))


def read_machine(path: Path) -> str:
    """The ELF machine of an object or library, as `EM_AARCH64`.

    Raises:
        ArtefactError: The file is missing, damaged or no ELF file.
    """
    with _open_elf(path) as elf:
        return str(elf["e_machine"])


def read_needed(path: Path) -> tuple[str, ...]:
    """Names of the libraries that a shared library demands (DT_NEEDED).

    Raises:
        ArtefactError: The file is missing, damaged or no ELF file.
    """
    with _open_elf(path) as elf:
        return tuple(
            tag.needed  # type: ignore[attr-defined]  # pyelftools sets what a tag of a name has
            for section in elf.iter_sections()
            if isinstance(section, DynamicSection)
            for tag in section.iter_tags("DT_NEEDED")
        )


@contextlib.contextmanager
def _open_elf(path: Path) -> Iterator[ELFFile]:
    try:
        with path.open("rb") as stream:
            yield ELFFile(stream)
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error
    except _DAMAGED as error:
        raise ArtefactError(f"{path} is damaged or no ELF file: {error}") from error


def empty_object(machine: str) -> bytes:
    """A relocatable object with a header and nothing else: lld demands one input file."""
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bit, little-endian, version 1
    relocatable, header_bytes, section_header_bytes = 1, 64, 64
    return identification + struct.pack(
        "<HHIQQQIHHHHHH",
        relocatable,
        _MACHINE_NUMBERS[machine],
        1,
        *(0, 0, 0, 0),
        header_bytes,
        *(0, 0),
        section_header_bytes,
        *(0, 0),
    )
