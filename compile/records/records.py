"""What was measured for a target: the two files of MetaSchedule's JSONDatabase, read as plain data.

``database_workload.json`` has a line for each kernel, its hash and its module;
``database_tuning_record.json`` a line for each candidate: the kernel's line, the trace, seconds,
the target and the arguments. Every line stands on its own, so a session that was ended at any byte
leaves at most one line to cut off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tvm.s_tir.meta_schedule.database import TuningRecord, Workload

from compile.kernels.cpu.instructions.intrinsic_names import register_intrinsics
from compile.records.json_lines import encode_line, read_lines
from compile.records.workload import read_workload, short_line
from compile.support.atomic import write_atomically
from compile.support.errors import TargetError

WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"

#: Annotation of the block "root" that says which choice the trace makes.
CHOICE_ATTR = "mqnet.choice"


@dataclass(frozen=True)
class Record:
    """One measured candidate.

    Attributes:
        choice: as compile/search/candidate.py spells it; "" of another tuner's.
        seconds: of one call, the mean.
        line: what stands in the file.
    """

    choice: str
    seconds: float
    line: Any


@dataclass(frozen=True)
class Database:
    """The records of one target.

    Attributes:
        workloads: what stands in the file of kernels, by line: hash and encoded module.
        by_kernel: the records of each kernel, by its hash, in the order of the file.
    """

    workloads: list[list[str]]
    by_kernel: dict[str, list[Record]]

    def best(self, key: str) -> Record | None:
        """The fastest record of the kernel with the hash ``key``."""
        return min(self.by_kernel.get(key, ()), key=lambda record: record.seconds, default=None)

    def measured(self, key: str) -> dict[str, float]:
        """Seconds of each choice that was measured for the kernel, the last time."""
        return {record.choice: record.seconds for record in self.by_kernel.get(key, ())}

    @property
    def size(self) -> int:
        """Number of records."""
        return sum(map(len, self.by_kernel.values()))


def read_database(folder: Path) -> Database:
    """What ``folder`` holds; nothing where it holds nothing.

    Raises:
        TargetError: a damaged file.
    """
    workloads = read_lines(folder / WORKLOADS)
    by_kernel: dict[str, list[Record]] = defaultdict(list)
    for number, line in enumerate(read_lines(folder / RECORDS), start=1):
        try:
            index, (trace, seconds, *_) = line
            key = str(workloads[index][0])
            by_kernel[key].append(Record(_choice(trace), float(np.mean(seconds)), line))
        except (IndexError, KeyError, TypeError, ValueError):
            raise TargetError(
                f"{folder / RECORDS}, line {number} is no record of a kernel in {WORKLOADS}: "
                "restore both files or delete them"
            ) from None
    return Database(workloads, dict(by_kernel))


def replay(record: Record, workload: Workload) -> TuningRecord | None:
    """The record as MetaSchedule has it; None where its trace does not fit the kernel any more: the
    hash of a kernel tells nothing of the intrinsics that its loops are replaced by."""
    _, content = record.line
    register_intrinsics(_intrinsics(content[0]))
    try:
        return TuningRecord.from_json(content, workload)
    except (RuntimeError, ValueError):  # Of a loop, or of an intrinsic that there is no more.
        return None


def fitting(database: Database) -> Database:
    """Without the records that no longer fit their kernel: stock TVM reads no log that has one."""
    by_kernel = {}
    for line in database.workloads:
        workload = read_workload(line)
        records = database.by_kernel.get(str(line[0]), ())
        by_kernel[str(line[0])] = [one for one in records if replay(one, workload)]
    return Database(database.workloads, by_kernel)


@dataclass(frozen=True)
class Compacted:
    """A smaller database.

    Attributes:
        database: what is kept.
        dropped: choices that were left out, by kernel.
        settled: seconds of the default configuration of each kernel for which it is the fastest:
            nothing of such a kernel is kept, since builds schedule it so without a record.
    """

    database: Database
    dropped: dict[str, list[str]]
    settled: dict[str, float]


def compact(database: Database, keep: int, builtin: Mapping[str, str]) -> Compacted:
    """The ``keep`` fastest candidates of each kernel, and its choice in ``builtin``."""
    kept: dict[str, list[Record]] = {}
    dropped: dict[str, list[str]] = {}
    settled: dict[str, float] = {}
    for key, records in database.by_kernel.items():
        ranked = sorted(records, key=lambda record: record.seconds)
        if ranked and ranked[0].choice == builtin.get(key):
            settled[key] = ranked[0].seconds
        else:
            kept[key] = [
                record
                for place, record in enumerate(ranked)
                if place < keep or record.choice == builtin.get(key)
            ]
        left = {record.choice for record in kept.get(key, ())} | {builtin.get(key), ""}
        if others := sorted({record.choice for record in ranked} - left):
            dropped[key] = others
    return Compacted(Database(database.workloads, kept), dropped, settled)


def write_database(folder: Path, database: Database) -> None:
    """Replace both files by what is in ``database``, without the kernels that have no record.

    Whoever is ended in the middle leaves the old files, or what :func:`finish_writing` makes the
    new ones of.

    Raises:
        OutputError: they cannot be written; they are as they were.
    """
    workloads = [line for line in database.workloads if database.by_kernel.get(str(line[0]))]
    lines = [
        [place, record.line[1]]
        for place, line in enumerate(workloads)
        for record in database.by_kernel[str(line[0])]
    ]
    # In this order: where the second is there, the first was whole.
    shorter = [encode_line(short_line(line)) for line in workloads]
    write_atomically(folder / _new(WORKLOADS), b"".join(shorter))
    write_atomically(folder / _new(RECORDS), b"".join(map(encode_line, lines)))
    finish_writing(folder)


def finish_writing(folder: Path) -> None:
    """What :func:`write_database` does last, or what is left to do where it was ended."""
    workloads, records = folder / _new(WORKLOADS), folder / _new(RECORDS)
    if records.exists():
        if workloads.exists():
            workloads.replace(folder / WORKLOADS)
        records.replace(folder / RECORDS)
    else:
        workloads.unlink(missing_ok=True)


def _new(name: str) -> str:
    return f"new_{name}"


def _intrinsics(trace: Any) -> set[str]:
    """Names in ["Tensorize", [block], [name, ...], []]."""
    instructions, _ = trace
    return {str(attributes[0]) for name, _, attributes, _ in instructions if name == "Tensorize"}


def _choice(trace: Any) -> str:
    """What the trace says of itself: ["Annotate", [block, quoted text], [name], []]."""
    instructions, _ = trace
    for name, operands, attributes, _ in instructions:
        if name == "Annotate" and attributes == [CHOICE_ATTR]:
            return str(operands[1]).strip('"')
    return ""
