"""Cycles of kernel calls that candidates of a precision search have in common: counted once.

A candidate differs from another in a few kernels, and the emulated board takes minutes for a frame.
How long a kernel runs does not depend on its data, but on what the call before it has left in the
caches. So what is known of a kernel behind another is not counted again; what is not known is
counted, and the call before it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvm import tirx
from tvm_ffi import structural_hash

from compile.artefact.manifest import VECTOR
from compile.artefact.reader import Artefact
from compile.artefact.vector_file import read_vector
from device.emulated.arm64.count_instructions import COUNT, RUN, SKIP

_Call = tuple[int, int]
"""A kernel and the one before it, by their hashes."""


class KnownCycles:
    """Of the builds of a network for one target."""

    def __init__(self) -> None:
        self._known: dict[_Call, float] = {}

    def todo(self, calls: Sequence[_Call]) -> str:
        """A letter for each of a frame's ``calls``."""
        letters, seen = [SKIP] * len(calls), set(self._known)
        for number, call in enumerate(calls):
            if call not in seen:
                seen.add(call)
                letters[number] = COUNT
                if number and letters[number - 1] == SKIP:
                    letters[number - 1] = RUN
        return "".join(letters)

    def fill(self, calls: Sequence[_Call], counted: Mapping[int, float]) -> tuple[float, ...]:
        """The cycles of each of ``calls``, of which those by number were ``counted`` just now."""
        self._known |= {calls[number]: cycles for number, cycles in counted.items()}
        return tuple(self._known[call] for call in calls)


def calls_of(artefact: Artefact) -> list[_Call]:
    """The kernel calls of a frame of ``artefact``, in order."""
    hashes: dict[str, int] = {}
    for module in read_vector(artefact.library.parent / VECTOR).modules.values():
        for name, function in module.functions_items():
            if isinstance(function, tirx.PrimFunc):
                hashes[name.name_hint] = structural_hash(function.without_attr("global_symbol"))
    kernels = [hashes[call.kernel] for call in artefact.manifest.calls]
    return list(zip(kernels, [0, *kernels], strict=False))


def may_skip(artefact: Artefact) -> bool:
    """Whether a kernel call reads no numbers of elements, which are to be those that an earlier one
    has made."""
    return not any(one.dtype in ("int32", "int64") for one in artefact.manifest.tensors)
