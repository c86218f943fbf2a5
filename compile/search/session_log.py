"""The log that a session writes to, of the device that it measures on."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from compile.records.log_folder import emulated_fingerprint, fingerprint, open_log, records_name
from compile.records.tuning_log import TuningLog
from compile.search.runner import Runner
from compile.search.tune_request import TuneRequest
from targets.describe_target import describe_instructions
from targets.spec import TargetSpec


def open_session_log(
    folder: Path, request: TuneRequest, spec: TargetSpec, runner: Runner
) -> TuningLog:
    """Return the log in ``folder``, which the session has locked, for what ``runner`` measures on.

    Raises:
        TargetError: a file is damaged, or the log is another target's or device's.
    """
    device = fingerprint(runner.device, version("apache-tvm"))
    if request.emulated_root is not None:
        device = emulated_fingerprint(device, spec)
    instructions = describe_instructions(spec)
    return open_log(folder, records_name(spec), instructions, device, runner.reference)
