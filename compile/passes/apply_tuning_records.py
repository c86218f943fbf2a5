"""Give the kernels that have a tuning record the best schedule that was measured for them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import tvm
from tvm import relax, tirx
from tvm.s_tir.meta_schedule.database import JSONDatabase

from compile.errors import TargetError
from compile.kernels.intrinsic_names import register_intrinsics
from compile.passes.schedule_attrs import RECORD, is_scheduled, mark_scheduled

log = logging.getLogger(__name__)

_FILES = ("database_workload.json", "database_tuning_record.json")
_TENSORIZE = re.compile(r'\["Tensorize",\["\w+"\],\["([^"]+)"')


def apply_tuning_records(directory: Path, target: tvm.target.Target) -> tvm.transform.Pass:
    """The pass that reads MetaSchedule's two JSON-lines files in ``directory``.

    Where the directory has no records, nothing is changed: the built-in schedules serve.

    Raises:
        TargetError: (when run) the files are there but cannot be read.
    """

    @tvm.transform.module_pass(opt_level=0, name="ApplyTuningRecords")
    def transform(mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        paths = [directory / name for name in _FILES]
        if not all(path.is_file() for path in paths):
            log.info("no kernel has a tuning record: %s holds none", directory)
            return mod
        # A trace names its intrinsics and nothing more; none is known here before its first use.
        register_intrinsics(set(_TENSORIZE.findall(paths[1].read_text())))
        try:
            database = JSONDatabase(*map(str, paths), allow_missing=False)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise TargetError(
                f"the tuning records in {directory} are damaged ({reason}): restore or delete them"
            ) from None
        with target, database:
            mod = relax.transform.MetaScheduleApplyDatabase()(mod)
        for name, function in mod.functions_items():
            if isinstance(function, tirx.PrimFunc) and is_scheduled(function):
                mod.update_func(name, mark_scheduled(function, RECORD))
        return mod

    return transform
