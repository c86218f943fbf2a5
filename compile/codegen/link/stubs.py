"""Stub shared libraries: enough of libc, libm and TVM's runtime for a linker, and nothing more.

A linker wants of a shared library only its name and the names that it exports. Both come from
`data/stub_libraries.toml`; lld makes a library from them and an empty object.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compile.support.errors import TargetError

_TABLE = Path(__file__).parent / "data" / "stub_libraries.toml"


@dataclass(frozen=True)
class StubLibrary:
    """One library that a compiled one may call.

    Attributes:
        soname: Its name on the device; empty where the device's process has it loaded already.
        symbols: Names that it exports.
        prefix: Every name that begins so is one of its own; may be empty.
    """

    soname: str
    symbols: frozenset[str]
    prefix: str

    def exports(self, symbol: str) -> bool:
        """Whether the library defines that symbol."""
        return symbol in self.symbols or bool(self.prefix and symbol.startswith(self.prefix))


@functools.cache
def stub_libraries(system: str) -> tuple[StubLibrary, ...]:
    """The known libraries of `android` or `linux`."""
    return tuple(
        StubLibrary(
            soname=library["soname"].get(system, ""),
            symbols=frozenset(library["symbols"]),
            prefix=library.get("prefix", ""),
        )
        for library in tomllib.loads(_TABLE.read_text(encoding="utf-8")).values()
    )


def sort_symbols(system: str, undefined: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Soname -> the undefined symbols it provides, for every library that is recorded as needed.

    A library of which nothing is used is listed too: what a built library needs shall not depend
    on the network in it.

    Raises:
        TargetError: A symbol that no known library exports.
    """
    provided: dict[str, list[str]] = {
        library.soname: [] for library in stub_libraries(system) if library.soname
    }
    for symbol in sorted(undefined):
        library = next((lib for lib in stub_libraries(system) if lib.exports(symbol)), None)
        if library is None:
            raise TargetError(
                f"the compiled code calls '{symbol}', which none of the device's known libraries "
                f"({', '.join(provided)}) defines; add it to {_TABLE.name} if one does"
            )
        if library.soname:
            provided[library.soname].append(symbol)
    return {soname: tuple(symbols) for soname, symbols in provided.items()}
