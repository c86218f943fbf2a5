"""The file of a latency session: what ``bench/latency.py`` writes and ``bench/report.py`` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd

from compile.artefact.manifest import Coverage
from compile.support.errors import MqnetError
from compile.support.json_record import read_record, record_json
from compile.support.outputs import new_path

FORMAT = 1
"""Raised with every change of what the file holds."""

BASELINE = ("litert", "mixed")
"""Engine and scheme that the ratios of a session are of."""

Size = Annotated[str, msgspec.Meta(pattern=r"^\d+x\d+$")]
"""Height and width in pixels, such as "256x256"."""
_Milliseconds = Annotated[float, msgspec.Meta(gt=0)]
_Threads = Annotated[int, msgspec.Meta(ge=1)]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one network in one engine.

    Attributes:
        engine, scheme: by name.
        size: height x width in pixels.
        threads: per frame.
        build: what tells the row from another of the same engine, scheme, size and threads; ""
            where there is none.
        version: of the engine; None where it is not known.
        p10_ms, p50_ms, p90_ms, min_ms: of a frame's time; None where nothing was measured.
        cpu_ms: median of the CPU time of a frame; None where it is not known.
        start_ms: from the engine without a network to the end of its first frame; what Python
            imports is not in it.
        file_mb: size of the network's files; None where the engine reads none.
        library_mb: size of the shared libraries that the engine is.
        peak_rss_mb: resident memory of the engine's process at its largest, Python's included.
        activation_mb: by how much the process grew with its first frame.
        planned_activation_mb: of our builds, by their memory plan.
        weight_mb: of our builds, constants: weights, biases, scales and tables.
        coverage: of our builds, how much of them is computed in integers.
        psnr_db: against PyTorch float32, in mu-law light; of tensors signal to noise.
        ratio_to_litert_mixed: time of LiteRT's mixed network / time of this.
        ratio_interval: its 95 % interval.
        frames: how many were timed.
        flags: why not to rely on it; empty where nothing speaks against it.
    """

    engine: str
    scheme: str
    size: Size
    threads: _Threads
    build: str = ""
    version: str | None
    p10_ms: _Milliseconds | None = None
    p50_ms: _Milliseconds | None = None
    p90_ms: _Milliseconds | None = None
    min_ms: _Milliseconds | None = None
    cpu_ms: float | None = None
    start_ms: float | None = None
    file_mb: float | None = None
    library_mb: float | None = None
    peak_rss_mb: float | None = None
    activation_mb: float | None = None
    planned_activation_mb: float | None = None
    weight_mb: float | None = None
    coverage: Coverage | None = None
    psnr_db: float | None = None
    ratio_to_litert_mixed: float | None = None
    ratio_interval: tuple[float, float] | None = None
    frames: int = 0
    flags: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise ValueError where the row does not fit together."""
        times = (self.p10_ms, self.p50_ms, self.p90_ms, self.min_ms)
        if None in times and any(times):
            raise ValueError("Only some of p10_ms, p50_ms, p90_ms and min_ms are there")
        if (self.ratio_to_litert_mixed is None) != (self.ratio_interval is None):
            raise ValueError("A ratio and its interval are not both there")

    @property
    def name(self) -> str:
        """Engine and scheme, and the build where there are several."""
        return f"{self.engine} {self.scheme}" + (f" ({self.build})" if self.build else "")

    @property
    def is_measured(self) -> bool:
        """Whether it has figures."""
        return self.p50_ms is not None


class Sample(msgspec.Struct, frozen=True):
    """The single times of a row.

    Attributes:
        engine, scheme, size, threads, build: of the row.
        seconds: of every frame, a list for each visit.
    """

    engine: str
    scheme: str
    size: Size
    threads: _Threads
    seconds: tuple[tuple[float, ...], ...]
    build: str = ""


class RunFile(msgspec.Struct, frozen=True):
    """A latency session.

    Attributes:
        rows: one for each engine, scheme, size and number of threads.
        environment: where it ran, as facts by name, the versions and the commit among them; null
            for what a device does not tell.
        samples: the single times of the rows.
    """

    rows: tuple[Row, ...]
    environment: dict[str, Any]
    samples: tuple[Sample, ...]

    @property
    def cpu(self) -> str | None:
        """Name of the processor; None where a device does not tell."""
        return self.environment.get("cpu")

    @property
    def network(self) -> str:
        """Name of the network; MQNet in files from before others were timed."""
        name = self.environment.get("network", "mqnet")
        return "MQNet" if name == "mqnet" else name

    @property
    def emulator(self) -> str:
        """What emulated the machine; "" of a real one."""
        return self.environment.get("emulated") or ""

    def table(self) -> pd.DataFrame:
        """All rows, a column for each of their attributes and one for their names."""
        return _table(self.rows)

    def measured(self) -> pd.DataFrame:
        """The rows that have figures."""
        return _table(row for row in self.rows if row.is_measured)

    def as_json(self) -> str:
        """The file's text."""
        return record_json(self, FORMAT)


def new_run_file(folder: Path, name: str, now: datetime) -> Path:
    """Return a path in ``folder`` for a session of ``name`` that is taken at ``now``: no file has
    it, so that no session takes the place of another."""
    # A target may be the path of a file.
    return new_path(folder, f"{name}-{now:%Y%m%d-%H%M%S}", ".json")


def read_run(path: Path) -> RunFile:
    """Return the session in the file at ``path``.

    Raises:
        MqnetError: it is missing, truncated, of another format or with a damaged row, or nothing in
            it was measured.
    """
    run = read_record(path, RunFile, FORMAT, "measure again with bench/latency.py")
    if not any(row.is_measured for row in run.rows):
        raise MqnetError(f"{path} has no row with a figure: nothing was measured in that session")
    return msgspec.structs.replace(run, rows=_told_apart(run.rows))


def _told_apart(rows: Iterable[Row]) -> tuple[Row, ...]:
    """``rows`` with a number for each further one of the same build, which older files have."""
    seen: Counter[tuple[str, str, int]] = Counter()
    apart = []
    for row in rows:
        place = row.name, row.size, row.threads
        seen[place] += 1
        if seen[place] > 1:
            number = f"{row.build} {seen[place]}".strip()
            row = msgspec.structs.replace(row, build=number)
        apart.append(row)
    return tuple(apart)


def _table(rows: Iterable[Row]) -> pd.DataFrame:
    columns = [name for name in Row.__struct_fields__ if name != "coverage"]
    named = [msgspec.structs.asdict(row) | {"name": row.name} for row in rows]
    table = pd.DataFrame(named, columns=[*columns, "name"])
    figures = [name for name in columns if name.endswith(("_ms", "_mb", "_db", "_mixed"))]
    # Of None alone a column would have no type.
    return table.astype(dict.fromkeys(figures, float))
