"""Rename the symbols of kernels' objects in place, so that two networks go into one program.

TVM calls every network's kernels alike (``__tvm_ffi_add``), and gives objects no names of their
own. A name begins with :data:`_PREFIX_LENGTH` characters that are the same for all of them; those
are replaced by as many that only this network has. No byte moves, so nothing else changes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from compile.support.errors import ArtefactError

_PREFIXES = ("__tvm_ffi", "__TVMBackend", "TVMFFI", "TVMBackend")
_PREFIX_LENGTH = 9
_HIDDEN = 2  # STV_HIDDEN: no library that the object is linked into shows the symbol.
_OTHER_OFFSET = 5  # Of st_other in a 64-bit symbol.


def own_prefix(objects: Iterable[bytes]) -> str:
    """Compute the characters that names of just these ``objects`` begin with."""
    digest = hashlib.sha256()
    for content in objects:
        digest.update(hashlib.sha256(content).digest())
    return "k" + digest.hexdigest()[: _PREFIX_LENGTH - 1]


def renamed(name: str, prefix: str) -> str:
    """Tell what the symbol ``name`` is called behind :func:`rename_symbols`."""
    return prefix + name[_PREFIX_LENGTH:] if name.startswith(_PREFIXES) else name


def rename_symbols(content: bytes, prefix: str) -> bytes:
    """Give the symbols of TVM's in an object ``prefix``, and hide all that it defines.

    Raises:
        ArtefactError: a name that is to be changed is part of another symbol's.
    """
    changed = bytearray(content)
    elf = ELFFile(io.BytesIO(content))
    for table in elf.iter_sections():
        if not isinstance(table, SymbolTableSection):
            continue
        strings = elf.get_section(table["sh_link"])["sh_offset"]
        symbols = list(table.iter_symbols())
        starts = {symbol["st_name"] for symbol in symbols}
        for index, symbol in enumerate(symbols):
            if symbol["st_info"]["bind"] == "STB_LOCAL":
                continue
            if symbol["st_shndx"] != "SHN_UNDEF":
                at = table["sh_offset"] + index * table["sh_entsize"] + _OTHER_OFFSET
                changed[at] = changed[at] & ~3 | _HIDDEN
            name, start = symbol.name, symbol["st_name"]
            if not name.startswith(_PREFIXES):
                continue
            if any(start < other < start + _PREFIX_LENGTH for other in starts):
                raise ArtefactError(f"{name} shares its name with another symbol of its object")
            changed[strings + start : strings + start + _PREFIX_LENGTH] = prefix.encode()
    return bytes(changed)
