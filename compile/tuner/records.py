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
import tvm
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.meta_schedule.database import TuningRecord, Workload

from compile.atomic import write_atomically
from compile.errors import TargetError
from compile.kernels.gpu_unit import GpuUnit
from compile.kernels.intrinsic_names import register_intrinsics
from compile.kernels.tiling import VectorUnit
from compile.tuner.candidate import CHOICE_ATTR, scheduled
from compile.tuner.json_lines import append_line, encode_line, read_lines
from compile.tuner.kernel_task import KernelTask

WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"


@dataclass(frozen=True)
class Record:
    """One measured candidate.

    Attributes:
        choice: as :func:`compile.tuner.candidate.choice_text` spells it; "" of another tuner's.
        seconds: of one call, the mean.
        line: what stands in the file.
    """

    choice: str
    seconds: float
    line: Any


@dataclass(frozen=True)
class Log:
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


def read_log(folder: Path) -> Log:
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
    return Log(workloads, dict(by_kernel))


def kernel_of(workload: list[str]) -> tvm.IRModule:
    """The module of a line of the file of kernels."""
    return Workload.from_json(workload).mod


def replay(record: Record, workload: Workload) -> TuningRecord | None:
    """The record as MetaSchedule has it; None where its trace does not fit the kernel any more: the
    hash of a kernel tells nothing of the intrinsics that its loops are replaced by."""
    _, content = record.line
    register_intrinsics(_intrinsics(content[0]))
    try:
        return TuningRecord.from_json(content, workload)
    except RuntimeError:
        return None


class RecordWriter:
    """Adds to the log in ``folder``; whoever makes one holds its lock."""

    def __init__(self, folder: Path, unit: VectorUnit | GpuUnit, target: tvm.target.Target) -> None:
        self._folder, self._unit, self._target = folder, unit, target
        self.log = read_log(folder)
        self._lines = {str(key): index for index, (key, _) in enumerate(self.log.workloads)}

    def known(self, task: KernelTask) -> dict[str, float]:
        """Seconds of the choices that were measured for the kernel; none where the best of them can
        no longer be scheduled so."""
        best = self.log.best(task.key)
        if best is None or replay(best, task.workload()) is None:
            return {}
        return self.log.measured(task.key)

    def add(self, task: KernelTask, choice: str, seconds: tuple[float, ...]) -> None:
        """Record a candidate; it is on the disk when this returns.

        Raises:
            OutputError: it cannot be written; the log is as it was.
        """
        workload = task.workload()
        if task.key not in self._lines:
            # First: a record without its kernel could not be read.
            line = workload.as_json()
            append_line(self._folder / WORKLOADS, line)
            self._lines[task.key] = len(self.log.workloads)
            self.log.workloads.append(line)
        trace = scheduled(task.family, task.load(), self._unit, choice).trace
        arguments = ArgInfo.from_prim_func(workload.mod["main"])
        record = TuningRecord(trace, workload, list(seconds), self._target, arguments)
        line = [self._lines[task.key], record.as_json()]
        append_line(self._folder / RECORDS, line)
        entry = Record(choice, float(np.mean(seconds)), line)
        self.log.by_kernel.setdefault(task.key, []).append(entry)


def fitting(log: Log) -> Log:
    """Without the records that no longer fit their kernel: stock TVM reads no log that has one."""
    by_kernel = {}
    for line in log.workloads:
        workload = Workload.from_json(line)
        records = log.by_kernel.get(str(line[0]), ())
        by_kernel[str(line[0])] = [one for one in records if replay(one, workload)]
    return Log(log.workloads, by_kernel)


def compact(log: Log, keep: int, always: Mapping[str, str]) -> tuple[Log, dict[str, list[str]]]:
    """The ``keep`` fastest candidates of each kernel, and the choice that ``always`` names for it;
    and the choices that were left out."""
    kept: dict[str, list[Record]] = {}
    dropped: dict[str, list[str]] = {}
    for key, records in log.by_kernel.items():
        ranked = sorted(records, key=lambda record: record.seconds)
        kept[key] = [
            record
            for place, record in enumerate(ranked)
            if place < keep or record.choice == always.get(key)
        ]
        left = {record.choice for record in kept[key]}
        dropped[key] = sorted({record.choice for record in ranked} - left - {""})
    return Log(log.workloads, kept), {key: choices for key, choices in dropped.items() if choices}


def write_records(folder: Path, log: Log) -> None:
    """Replace the file of records by those of ``log``, which is of the same kernels.

    Raises:
        OutputError: it cannot be written; it is as it was.
    """
    lines = [encode_line(record.line) for records in log.by_kernel.values() for record in records]
    write_atomically(folder / RECORDS, b"".join(lines))


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
