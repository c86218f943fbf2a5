"""How long a core takes for what it executes, as far as its public guides tell: a model, no clock.

A target file's table ``timing`` is what the emulated board turns counted instructions into cycles
by. A block of instructions (without a branch in its middle) takes as long as they keep their pipes
busy, added up, or as issuing them takes. What one pipe does beside another is not in it: taking the
busiest pipe alone ranked candidates worse, against llvm-mca and against a clock
(`bench/emulator_ranking.py`). Nor are branches that are predicted wrong and other cores.

With ``latency``, for cores that issue in the order of the program, an instruction also waits until
what it reads is there, and all behind it wait with it (`device/emulated/arm64/scoreboard.h`). Other
cores hide most of that, so their files have no such table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from compile.support.errors import TargetError
from targets.tables import Positive, PositiveNumber, Table

# Cycles are whole numbers of this part, so that they add up to the same in any order.
_PARTS = 1000


class InstructionCycles(Table, frozen=True, omit_defaults=True):
    """Cycles that an instruction of each class keeps its pipes busy: 0.5 where there are two.

    A load or store counts once for each register: "quad" for 128 bits (in the model of an x86
    core, 256), without it for less. The order of the classes is the one of
    `device/emulated/arm64/instruction_classes.h`.

    Attributes:
        dot_product: int8 dot products and matrix products.
        simd: Other instructions on vector registers.
        load: A register that is loaded, unless it is a whole vector.
        load_quad: A whole vector that is loaded.
        store: A register that is stored, unless it is a whole vector.
        store_quad: A whole vector that is stored.
        other: The rest: integers, addresses, branches.
        multiply: Multiplications of integers on vector registers, where they are not as `simd`.
        floating: Arithmetic of floats, likewise.
    """

    dot_product: PositiveNumber
    simd: PositiveNumber
    load: PositiveNumber
    load_quad: PositiveNumber
    store: PositiveNumber
    store_quad: PositiveNumber
    other: PositiveNumber
    multiply: PositiveNumber | None = None
    floating: PositiveNumber | None = None

    def by_class(self) -> dict[str, float]:
        """What each class costs."""
        costs = msgspec.structs.asdict(self)
        return {name: self.simd if cost is None else cost for name, cost in costs.items()}


class InstructionLatencies(Table, frozen=True):
    """Cycles from the issue of an instruction of a class until another one may read its result.

    Attributes:
        dot_product, multiply, floating, simd, other: As in `InstructionCycles`.
        load: The first register of a load; each that follows is there when its own cycles are over.
        sum: Of a dot product or multiplication that accumulates, for the next one that adds to the
            same register.
    """

    dot_product: PositiveNumber
    multiply: PositiveNumber
    floating: PositiveNumber
    simd: PositiveNumber
    load: PositiveNumber
    other: PositiveNumber
    sum: PositiveNumber


#: What costs alike.
INSTRUCTION_CLASSES = InstructionCycles.__struct_fields__


class CacheTiming(Table, frozen=True):
    """A data cache in a target file, which has its size elsewhere; see `CacheLevel`."""

    ways: Positive
    miss_cycles: PositiveNumber


class CacheLevel(msgspec.Struct, frozen=True):
    """A data cache, set-associative; of a set, the line that was used last of all is replaced.

    Attributes:
        size_bytes: Of the whole cache.
        ways: Lines of a set, by the core's technical reference manual.
        miss_cycles: Cycles that a line costs which is not there nor follows one that is, as far as
            nothing hides it.
    """

    size_bytes: int
    ways: int
    miss_cycles: float


class _CoreTiming(Table, frozen=True, kw_only=True, omit_defaults=True):
    """What `TimingTable` and `TimingModel` have in common.

    Attributes:
        issue_width: Instructions that begin in a cycle at most.
        cycles: What an instruction costs, by its class.
        line_bytes: A line of both caches, in bytes.
        latency: Of a core that issues in the order of the program; None for others.
    """

    issue_width: PositiveNumber
    cycles: InstructionCycles
    line_bytes: Positive
    latency: InstructionLatencies | None = None


class TimingTable(_CoreTiming, frozen=True, kw_only=True, omit_defaults=True):
    """Table `timing` of a target file, all of it by the core's software optimization guide.

    Attributes:
        issue_width: Instructions that begin in a cycle at most.
        cycles: What an instruction costs, by its class.
        line_bytes: A line of both caches, in bytes.
        latency: Of a core that issues in the order of the program; None for others.
        l1d, l2: The caches, whose sizes are the file's `l1d_bytes` and `l2_bytes`.
    """

    l1d: CacheTiming
    l2: CacheTiming


class TimingModel(_CoreTiming, frozen=True, kw_only=True, omit_defaults=True):
    """A `TimingTable` with the sizes of its caches.

    Attributes:
        issue_width, cycles, line_bytes, latency: As in the table.
        l1d, l2: The caches; a miss of the first one is looked up in the second.
    """

    l1d: CacheLevel
    l2: CacheLevel

    def plugin_options(self) -> tuple[str, ...]:
        """For `device/emulated/arm64/count_instructions.c`: cycles in thousandths."""
        cycles = self.cycles.by_class()
        costs = [f"{name}={round(cost * _PARTS)}" for name, cost in cycles.items()]
        levels = [
            f"{name}={level.size_bytes // self.line_bytes // level.ways}:{level.ways}"
            for name, level in (("l1d", self.l1d), ("l2", self.l2))
        ]
        if self.latency is not None:
            latencies = msgspec.structs.asdict(self.latency)
            costs += [
                f"latency_{name}={round(after * _PARTS)}" for name, after in latencies.items()
            ]
        issue = round(_PARTS / self.issue_width)
        return (f"issue={issue}", f"line={self.line_bytes}", *costs, *levels)

    def cycles_of(self, counted: Mapping[str, int]) -> float:
        """Of what :func:`device.server.count_call.count_call` has counted."""
        return (
            self.core_cycles_of(counted)
            + counted["l1d_misses"] * self.l1d.miss_cycles
            + counted["l2_misses"] * self.l2.miss_cycles
        )

    def core_cycles_of(self, counted: Mapping[str, int]) -> float:
        """The same without what the caches miss."""
        return counted["millicycles"] / _PARTS

    def as_json(self) -> dict[str, Any]:
        """Plain data, equal where two models are."""
        return msgspec.to_builtins(self)


def timing_model(table: TimingTable, l1d_bytes: int, l2_bytes: int, where: str) -> TimingModel:
    """The model of a target file's table, of caches of such sizes in bytes.

    Raises:
        TargetError: The caches of the file ``where`` cannot be divided into ways and lines so.
    """
    return TimingModel(
        issue_width=table.issue_width,
        cycles=table.cycles,
        line_bytes=table.line_bytes,
        latency=table.latency,
        l1d=_cache_level(table.l1d, l1d_bytes, table.line_bytes, f"{where}, timing.l1d"),
        l2=_cache_level(table.l2, l2_bytes, table.line_bytes, f"{where}, timing.l2"),
    )


def _cache_level(cache: CacheTiming, size: int, line_bytes: int, where: str) -> CacheLevel:
    sets, rest = divmod(size, line_bytes * cache.ways)
    if rest or sets & (sets - 1):
        raise TargetError(
            f"{where}: {size} bytes in {cache.ways} ways of lines of {line_bytes} "
            "bytes are no power of two of sets: mend 'ways', or the cache's size above"
        )
    return CacheLevel(size, cache.ways, cache.miss_cycles)
