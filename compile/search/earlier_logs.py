"""What a session's cost model learns from logs before it measures anything."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from compile.records.log_places import find_logs
from compile.records.tuning_log import TuningLog
from compile.records.workload import kernel_of
from compile.search.cost_model import CostModel, kernel_features
from compile.support.errors import TargetError


def tell_earlier_logs(
    model: CostModel, own: TuningLog, logs: Path | None, console: Console
) -> None:
    """Tell what was measured with the same instructions as in the log ``own``, at any size and on
    any device, by this version of TVM: kernels that another one has written may not be readable."""
    for folder in find_logs(logs):
        if folder == own.folder:
            tell_log(model, own)
            continue
        try:
            log = TuningLog.read(folder)
        except TargetError as error:
            console.print(f"not used: {error}", style="yellow", soft_wrap=True)
            continue
        if log.session.device.tvm != version("apache-tvm"):
            continue
        if log.session.instructions == own.session.instructions:
            tell_log(model, log, folder.name)


def tell_log(model: CostModel, log: TuningLog, device: str = "") -> None:
    """Tell what ``log`` holds. The same kernel on another device is another kernel to the model,
    which compares times of one kernel with each other: give that device a name."""
    for workload in log.database.workloads:
        key = str(workload[0])
        if (seconds := log.database.measured(key)) and "" not in seconds:
            model.tell(f"{device} {key}".strip(), kernel_features(kernel_of(workload)), seconds)
