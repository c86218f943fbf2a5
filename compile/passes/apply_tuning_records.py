"""Give the kernels that have a tuning record the best schedule that was measured for them."""

from __future__ import annotations

import logging
from pathlib import Path

import tvm
from tvm import relax, tirx
from tvm.s_tir.meta_schedule.database import MemoryDatabase

from compile.graph.schedule_attrs import RECORD, is_scheduled, mark_scheduled
from compile.records.records import RECORDS, WORKLOADS, read_database, replay
from compile.records.workload import kernel_of, workload_key
from compile.support.errors import TargetError

log = logging.getLogger(__name__)

_FILES = (WORKLOADS, RECORDS)


def apply_tuning_records(directory: Path, target: tvm.target.Target) -> tvm.transform.Pass:
    """The pass that reads MetaSchedule's two JSON-lines files in ``directory``.

    Where the directory has no records, nothing is changed: the default schedules serve.

    Raises:
        TargetError: (when run) the files are there but cannot be read.
    """

    @tvm.transform.module_pass(opt_level=0, name="ApplyTuningRecords")
    def transform(mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        paths = [directory / name for name in _FILES]
        if not all(path.is_file() for path in paths):
            log.info("no kernel has a tuning record: %s holds none", directory)
            return mod
        with target, _best_records(directory, paths, _workload_keys(mod)):
            mod = relax.transform.MetaScheduleApplyDatabase()(mod)
        for name, function in mod.functions_items():
            if isinstance(function, tirx.PrimFunc) and is_scheduled(function):
                mod.update_func(name, mark_scheduled(function, RECORD))
        return mod

    return transform


def _workload_keys(mod: tvm.IRModule) -> set[str]:
    """By which MetaSchedule knows the kernels of ``mod``."""
    return {
        workload_key(function)
        for _, function in mod.functions_items()
        if isinstance(function, tirx.PrimFunc) and not is_scheduled(function)
    }


def _best_records(directory: Path, paths: list[Path], keys: set[str]) -> MemoryDatabase:
    """Of each kernel in ``keys``, the fastest record that still fits it. A database of all records
    would refuse them all for one that does not fit."""
    try:
        for path in paths:
            if path.read_bytes()[-1:] not in (b"", b"\n"):
                raise TargetError(f"{path.name} ends within a line")
        records = read_database(directory)
    except TargetError as error:
        raise TargetError(
            f"the tuning records in {directory} are damaged ({error}): restore or delete them"
        ) from None
    database, stale = MemoryDatabase(), 0
    for line in records.workloads:
        ranked = sorted(records.by_kernel.get(str(line[0]), ()), key=lambda one: one.seconds)
        if not ranked or str(line[0]) not in keys:
            continue
        try:
            workload = database.commit_workload(kernel_of(line))
        except (RuntimeError, TypeError, ValueError):  # Another version of TVM has written it.
            stale += 1
            continue
        found = next((fit for one in ranked if (fit := replay(one, workload))), None)
        if found is None:
            stale += 1
        else:
            database.commit_tuning_record(found)
    if stale:
        log.warning(
            "%d kernels in %s have records that no longer fit, and get their default schedules: "
            "tune them again",
            stale,
            directory,
        )
    return database
