"""What the kernel calls of a frame read and write, in few numbers: on the machine that runs them.

The same is asked of a build and of its reference, and compared by who asked.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray

from device.runtime.tvm_network import TvmNetwork

Facts = list[NDArray[Any]]
"""Of a call: the CRC-32 of each constant, uint64; then an array for each result."""

#: That a device leaves for who asked: of the calls, and then of the outputs.
FACTS_FILE = "facts.npz"

# Sums of floats: enough of them that a wrong element shows in its own.
_MOST_SUMS = 4096
# What an element counts for in a sum, so that two that change places show, too: a fraction of the
# golden ratio's multiples is never the same.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class CheckedCall:
    """A kernel call.

    Attributes:
        place: in the frame, of all calls of kernels and copies.
        constants: which of its arguments are.
        results: how many of the last arguments are.
        is_rounded: it rounds computed floats to integers, some of them another way than the
            reference does.
    """

    place: int
    constants: tuple[int, ...]
    results: int
    is_rounded: bool


def check_calls(
    network: TvmNetwork,
    kernels: Collection[str],
    calls: Sequence[CheckedCall],
    given: Mapping[int, Sequence[NDArray[Any]]],
    whole: Collection[int] = (),
    announce: Callable[[int], None] = lambda place: None,
    reads: Collection[int] = (),
) -> tuple[list[Facts], Facts]:
    """Run a frame of the inputs that ``network`` has: the facts of each of ``calls``, and those of
    the network's outputs.

    Args:
        network: a build or a reference.
        kernels: the names of what counts for a call.
        calls: which are looked at, in order.
        given: by place: results that later calls read instead of those that were computed; an empty
            array where they read those.
        whole: places of calls of which all constants and results are wanted, as they are.
        announce: is told the place of each call before it is made.
        reads: places of calls of which all arguments are wanted, as they are before the call.
    """
    wanted = {call.place: call for call in calls}
    found: dict[int, Facts] = {}
    place = -1

    def observe(
        name: str, before: bool, _device: tvm.runtime.Device, arguments: Sequence[Any]
    ) -> None:
        nonlocal place
        if name not in kernels:
            return
        if before:
            place += 1
            announce(place)
            if place in reads:
                found[place] = [argument.numpy() for argument in arguments]
            return
        call = wanted.get(place)
        if call is None or place in reads:
            return
        results = arguments[len(arguments) - call.results :]
        found[place] = _facts(call, arguments, results, place in whole)
        for result, value in zip(results, given.get(place, ()), strict=False):
            if value.size:
                result.copyfrom(value)

    network.run_observed(observe)
    outputs = [_summary(one, False) for one in network.outputs()]
    # One that was never made differs from whatever there should be.
    return [found.get(call.place, []) for call in calls], outputs


def _facts(
    call: CheckedCall, arguments: Sequence[Any], results: Sequence[Any], whole: bool
) -> Facts:
    constants = [arguments[index].numpy() for index in call.constants]
    values = [result.numpy() for result in results]
    if whole:
        return [*constants, *values]
    crcs = np.array([_crc(constant) for constant in constants], np.uint64)
    return [crcs, *(_summary(value, call.is_rounded) for value in values)]


def _summary(values: NDArray[Any], is_rounded: bool) -> NDArray[Any]:
    """Of integers the CRC-32, or where they ``is_rounded`` themselves; of floats sums of pieces,
    each element with a weight of its own, and behind them the largest magnitude and how many
    elements a piece has."""
    if values.dtype.kind in "iub":
        return values if is_rounded else np.array([_crc(values)], np.uint64)
    flat = values.reshape(-1).astype(np.float64)
    piece = max(1, -(-flat.size // _MOST_SUMS))
    largest = np.abs(flat[np.isfinite(flat)]).max(initial=0.0)
    flat *= 0.5 + np.arange(flat.size) * _GOLDEN % 1.0
    sums = np.add.reduceat(flat, np.arange(0, flat.size, piece)) if flat.size else flat
    return np.append(sums, [largest, piece])


def pack_arrays(lists: Sequence[Sequence[NDArray[Any]]]) -> bytes:
    """Make a file of ``lists`` of arrays."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {"lengths": np.array([len(one) for one in lists], np.int64)}
    arrays |= {f"{i}.{j}": one for i, many in enumerate(lists) for j, one in enumerate(many)}
    np.savez(file, **arrays)
    return file.getvalue()


def unpack_arrays(data: bytes) -> list[list[NDArray[Any]]]:
    """Read what :func:`pack_arrays` has made."""
    with np.load(io.BytesIO(data)) as file:
        lengths = enumerate(file["lengths"].tolist())
        return [[file[f"{i}.{j}"] for j in range(length)] for i, length in lengths]


def _crc(values: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
