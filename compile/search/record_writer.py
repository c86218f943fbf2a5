"""Adds what a session measures to its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tvm
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.meta_schedule.database import TuningRecord

from compile.kernels.common.core_model import CoreModel
from compile.records.json_lines import append_line
from compile.records.records import RECORDS, WORKLOADS, Log, Record, read_log, replay, write_log
from compile.records.workload import short_line
from compile.search.candidate import scheduled
from compile.search.kernel_task import KernelTask


class RecordWriter:
    """Adds to the log in ``folder``; whoever makes one holds its lock.

    ``settled``: by kernel, the seconds of its built-in choice where that is the fastest and
    ``--compact`` has left out the records.
    """

    def __init__(
        self,
        folder: Path,
        core: CoreModel,
        target: tvm.target.Target,
        settled: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self._folder, self._core, self._target = folder, core, target
        self._settled = dict(settled or {})
        self.log = read_log(folder)
        self._lines = {str(key): index for index, (key, _) in enumerate(self.log.workloads)}

    def known(self, task: KernelTask) -> dict[str, float]:
        """Seconds of the choices that were measured for the kernel; none where the best of them can
        no longer be scheduled so."""
        best = self.log.best(task.key)
        if best is None:
            return dict(self._settled.get(task.key, {}))
        return self.log.measured(task.key) if replay(best, task.workload()) else {}

    def add(self, task: KernelTask, choice: str, seconds: tuple[float, ...]) -> None:
        """Record a candidate; it is on the disk when this returns.

        Raises:
            OutputError: it cannot be written; the log is as it was.
        """
        # Builds take the fastest record: among them has to be the built-in choice's again.
        for settled, known in self._settled.pop(task.key, {}).items():
            if settled != choice and task.key not in self.log.by_kernel:
                self._add(task, settled, (known,))
        self._add(task, choice, seconds)

    def take_out(self, choices: Mapping[str, Sequence[str]]) -> None:
        """Remove the records of ``choices``, by kernel.

        Raises:
            OutputError: the log cannot be written; it is as it was.
        """
        by_kernel = {
            key: [one for one in records if one.choice not in choices.get(key, ())]
            for key, records in self.log.by_kernel.items()
        }
        write_log(self._folder, Log(self.log.workloads, by_kernel))
        self.log = read_log(self._folder)
        self._lines = {str(key): index for index, (key, _) in enumerate(self.log.workloads)}

    def _add(self, task: KernelTask, choice: str, seconds: tuple[float, ...]) -> None:
        workload = task.workload()
        if task.key not in self._lines:
            # First: a record without its kernel could not be read.
            line = short_line(workload.as_json())
            append_line(self._folder / WORKLOADS, line)
            self._lines[task.key] = len(self.log.workloads)
            self.log.workloads.append(line)
        trace = scheduled(task.family, task.load(), self._core, choice).trace
        arguments = ArgInfo.from_prim_func(workload.mod["main"])
        record = TuningRecord(trace, workload, list(seconds), self._target, arguments)
        line = [self._lines[task.key], record.as_json()]
        append_line(self._folder / RECORDS, line)
        entry = Record(choice, float(np.mean(seconds)), line)
        self.log.by_kernel.setdefault(task.key, []).append(entry)
