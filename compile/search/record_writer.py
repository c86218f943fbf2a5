"""Adds what a session measures to its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tvm
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.meta_schedule.database import TuningRecord

from compile.kernels.common.core_model import CoreModel
from compile.records.json_lines import append_line
from compile.records.records import (
    RECORDS,
    WORKLOADS,
    Database,
    Record,
    read_database,
    replay,
    write_database,
)
from compile.records.tuning_log import TuningLog
from compile.records.workload import short_line
from compile.search.candidate import scheduled
from compile.search.kernel_task import KernelTask


class RecordWriter:
    """Adds records to ``log``, of whose folder the one who makes this holds the lock."""

    def __init__(
        self,
        log: TuningLog,
        core: CoreModel,
        target: tvm.target.Target,
    ) -> None:
        self._log, self._core, self._target = log, core, target
        # Of these kernels compaction has left out the records.
        self._settled = log.session.settled
        self._number_lines()

    def known(self, task: KernelTask) -> dict[str, float]:
        """Seconds of the choices that were measured for the kernel; none where the best of them can
        no longer be scheduled so."""
        best = self._log.database.best(task.key)
        if best is None:
            return dict(self._settled.get(task.key, {}))
        return self._log.database.measured(task.key) if replay(best, task.workload()) else {}

    def add(self, task: KernelTask, choice: str, seconds: tuple[float, ...]) -> None:
        """Record a candidate; it is on the disk when this returns.

        Raises:
            OutputError: it cannot be written; the log is as it was.
        """
        # Builds take the fastest record: among them has to be the default configuration's again.
        for settled, known in self._settled.pop(task.key, {}).items():
            if settled != choice and task.key not in self._log.database.by_kernel:
                self._add(task, settled, (known,))
        self._add(task, choice, seconds)

    def take_out(self, choices: Mapping[str, Sequence[str]]) -> None:
        """Remove the records of ``choices``, by kernel.

        Raises:
            OutputError: the log cannot be written; it is as it was.
        """
        by_kernel = {
            key: [one for one in records if one.choice not in choices.get(key, ())]
            for key, records in self._log.database.by_kernel.items()
        }
        database = Database(self._log.database.workloads, by_kernel)
        write_database(self._log.folder, database)
        self._log.database = read_database(self._log.folder)
        self._number_lines()

    def _number_lines(self) -> None:
        workloads = self._log.database.workloads
        self._lines = {str(key): index for index, (key, _) in enumerate(workloads)}

    def _add(self, task: KernelTask, choice: str, seconds: tuple[float, ...]) -> None:
        workload = task.workload()
        if task.key not in self._lines:
            # First: a record without its kernel could not be read.
            line = short_line(workload.as_json())
            append_line(self._log.folder / WORKLOADS, line)
            self._lines[task.key] = len(self._log.database.workloads)
            self._log.database.workloads.append(line)
        trace = scheduled(task.family, task.load(), self._core, choice).trace
        arguments = ArgInfo.from_prim_func(workload.mod["main"])
        record = TuningRecord(trace, workload, list(seconds), self._target, arguments)
        entry_line = [self._lines[task.key], record.as_json()]
        append_line(self._log.folder / RECORDS, entry_line)
        entry = Record(choice, float(np.mean(seconds)), entry_line)
        self._log.database.by_kernel.setdefault(task.key, []).append(entry)
