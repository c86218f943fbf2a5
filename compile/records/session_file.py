"""``session.json`` of a tuning log, as typed records: what was tuned, on what device, by whom.

The names of the attributes are the keys of the file, in its order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from compile.support.atomic import write_atomically
from compile.support.errors import TargetError
from compile.support.json_record import read_record

SESSION = "session.json"

#: Raised when a key of session.json changes its meaning.
FORMAT = 1


class DeviceFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has to be equal for two devices' times to be compared; None for what one does not tell.

    Attributes:
        cpu: its name.
        features: of the CPU, as /proc/cpuinfo spells them.
        mhz: the highest clock.
        governor: of the clock.
        kernel: version of Linux.
        tvm: version of TVM that measured.
        timing: of an emulated core, the model by which instructions are weighted
            (:meth:`targets.timing_model.TimingModel.as_json`).
    """

    cpu: str | None
    features: tuple[str, ...] | None
    mhz: int | float | None
    governor: str | None
    kernel: str | None
    tvm: str
    timing: dict[str, Any] | None = None


class TunedKernel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kernel that a session has met.

    Attributes:
        name: in the network of that session.
        family: of kernels.
        builtin: its default configuration.
        confirmed: the configuration that won its final validation, if there was one.
        seconds: of the default configuration, where that is the fastest and compaction has
            therefore left out the kernel's records.
    """

    name: str
    family: str
    builtin: str
    confirmed: str | None = None
    seconds: float | None = None


class FrameSeconds(msgspec.Struct, frozen=True):
    """A frame's tuned kernels with their default configurations, and with the best ones."""

    builtin: float
    best: float


class FinishedSession(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session that has ended.

    Attributes:
        began: time of day, as ISO 8601 writes it.
        seconds: that it took.
        scheme, attention: by name; the attention of MQNet, "none" of another network.
        size: "HEIGHTxWIDTH" in pixels.
        threads: that a kernel was measured with.
        trials: candidates tried.
        stopped: why it ended.
        frame_seconds: at its end.
        network: by name; not written where it is MQNet.
    """

    began: str
    seconds: float
    scheme: str
    attention: str
    size: str
    threads: int
    trials: int
    stopped: str
    frame_seconds: FrameSeconds
    network: str = "mqnet"


class SessionFile(msgspec.Struct, kw_only=True):
    """What ``session.json`` holds. Kernels go by the hash that the database knows them by.

    Attributes:
        format: of the file: :data:`FORMAT`.
        target: by the name of the log's folder.
        instructions: logs of which this is equal teach each other's cost models.
        device: that all of it was measured on.
        reference_seconds: of the reference kernel, at the beginning.
        kernels: that were tuned.
        failed: by kernel, why a configuration failed.
        dropped: by kernel, configurations that are not to be tried again, though no record is kept.
        sessions: in order.
    """

    format: int = FORMAT
    target: str
    instructions: str = ""
    device: DeviceFacts
    reference_seconds: float | None = None
    kernels: dict[str, TunedKernel]
    failed: dict[str, dict[str, str]]
    dropped: dict[str, list[str]]
    sessions: list[FinishedSession]

    @property
    def settled(self) -> dict[str, dict[str, float]]:
        """By kernel, its default configuration with its seconds, where that is the fastest and the
        kernel's records are left out."""
        return {
            key: {kernel.builtin: kernel.seconds}
            for key, kernel in self.kernels.items()
            if kernel.seconds is not None
        }

    def drop(self, choices: dict[str, list[str]]) -> None:
        """Remember that ``choices``, by kernel, are not to be tried again."""
        for key, dropped in choices.items():
            self.dropped[key] = sorted({*self.dropped.get(key, ()), *dropped})


def read_session(folder: Path) -> SessionFile | None:
    """Read session.json; None where there is none.

    Raises:
        TargetError: it cannot be read, is damaged, or of another format.
    """
    path = folder / SESSION
    if not path.exists():
        return None
    remedy = f"restore or delete {folder}"
    return read_record(path, SessionFile, FORMAT, remedy, TargetError)


def write_session(folder: Path, session: SessionFile) -> None:
    """Replace session.json.

    Raises:
        OutputError: it cannot be written; the older one is still there.
    """
    # TVM's strings are no str to msgspec.
    text = json.dumps(msgspec.to_builtins(session, enc_hook=str), indent=1) + "\n"
    write_atomically(folder / SESSION, text.encode())
