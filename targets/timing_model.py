"""How long a core takes for what it executes, as far as its public guides tell: a model, no clock.

A target file's table ``timing`` is what the emulated board turns counted instructions into cycles
by. A block of instructions (without a branch in its middle) takes as long as they keep their pipes
busy, added up, or as issuing them takes. What one pipe does beside another is not in it: taking the
busiest pipe alone ranked candidates worse, against llvm-mca and against a clock
(`bench/emulator_ranking.py`). Nor are latencies, branches that are predicted wrong and other cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from compile.support.errors import TargetError

#: What costs alike. The order is the one of `device/emulated/arm64/instruction_classes.h`. A load
#: or store counts once for each register: "quad" for 128 bits (in the model of an x86 core, 256),
#: without it for less.
INSTRUCTION_CLASSES = (
    "dot_product",
    "simd",
    "load",
    "load_quad",
    "store",
    "store_quad",
    "other",
)
_KEYS = ("issue_width", "cycles", "line_bytes", "l1d", "l2")
_LEVEL_KEYS = ("ways", "miss_cycles")
# Cycles are whole numbers of this part, so that they add up to the same in any order.
_PARTS = 1000


@dataclass(frozen=True)
class CacheLevel:
    """A data cache, set-associative; of a set, the line that was used last of all is replaced.

    Attributes:
        size_bytes: of the whole cache.
        ways: lines of a set.
        miss_cycles: that a line costs which is not there nor follows one that is, as far as nothing
            hides it.
    """

    size_bytes: int
    ways: int
    miss_cycles: float


@dataclass(frozen=True)
class TimingModel:
    """What `[timing]` of a target file holds.

    Attributes:
        issue_width: instructions that begin in a cycle at most.
        cycles: of each of :data:`INSTRUCTION_CLASSES`, that one keeps its pipes busy: half a cycle
            where there are two.
        line_bytes: of both caches.
        l1d, l2: the caches; a miss of the first one is looked up in the second.
    """

    issue_width: float
    cycles: dict[str, float] = field(hash=False)
    line_bytes: int
    l1d: CacheLevel
    l2: CacheLevel

    def plugin_options(self) -> tuple[str, ...]:
        """For `device/emulated/arm64/count_instructions.c`: cycles in thousandths."""
        costs = [f"{name}={round(self.cycles[name] * _PARTS)}" for name in INSTRUCTION_CLASSES]
        levels = [
            f"{name}={level.size_bytes // self.line_bytes // level.ways}:{level.ways}"
            for name, level in (("l1d", self.l1d), ("l2", self.l2))
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
        return asdict(self)


def read_timing(table: Any, l1d_bytes: int, l2_bytes: int, where: str) -> TimingModel:
    """The model of a target file's table, of caches of such sizes in bytes.

    Raises:
        TargetError: a key that is missing or unknown, or a value out of range.
    """
    where = f"{where}, timing"
    _check_names(table, _KEYS, where)
    _check_names(table["cycles"], INSTRUCTION_CLASSES, f"{where}.cycles")
    for name in ("issue_width", "line_bytes"):
        _check_positive(table[name], f"{where}: '{name}'")
    for name, value in table["cycles"].items():
        _check_positive(value, f"{where}.cycles: '{name}'")
    line_bytes, levels = table["line_bytes"], []
    for name, size in (("l1d", l1d_bytes), ("l2", l2_bytes)):
        level = table[name]
        _check_names(level, _LEVEL_KEYS, f"{where}.{name}")
        for key in _LEVEL_KEYS:
            _check_positive(level[key], f"{where}.{name}: '{key}'")
        sets, rest = divmod(size, line_bytes * level["ways"])
        if rest or sets & (sets - 1):
            raise TargetError(
                f"{where}.{name}: {size} bytes in {level['ways']} ways of lines of {line_bytes} "
                "bytes are no power of two of sets: mend 'ways', or the cache's size above"
            )
        levels.append(CacheLevel(size, level["ways"], float(level["miss_cycles"])))
    cycles = {name: float(table["cycles"][name]) for name in INSTRUCTION_CLASSES}
    return TimingModel(float(table["issue_width"]), cycles, line_bytes, *levels)


def _check_names(table: Any, names: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict) or set(table) != set(names):
        raise TargetError(f"{where} must be a table of {', '.join(names)}")


def _check_positive(value: Any, what: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise TargetError(f"{what} must be a positive number, not {value!r}")
