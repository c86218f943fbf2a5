"""What the cost model is told of earlier sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from compile.records import TUNING_LOGS
from compile.records.tuning_log import TuningLog
from compile.search.cost_model import CostModel
from compile.search.earlier_logs import tell_earlier_logs, tell_log

A55, A76 = TUNING_LOGS / "cortex-a55", TUNING_LOGS / "cortex-a76"


class Told(CostModel):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Mapping[str, float]] = {}

    def tell(self, key: str, kernel: list[float], seconds: Mapping[str, float]) -> None:
        """As the model, once for each kernel."""
        assert key not in self.told and kernel
        self.told[key] = seconds
        super().tell(key, kernel, seconds)


def test_a_kernel_on_two_devices_is_two_kernels() -> None:
    """Times of two devices under one name would say which device is faster, and of a configuration
    nothing."""
    a55, a76, model = TuningLog.read(A55), TuningLog.read(A76), Told()
    assert set(a55.database.by_kernel) & set(a76.database.by_kernel)
    tell_log(model, a55)
    tell_log(model, a76, "cortex-a76")
    assert len(model.told) == len(a55.database.by_kernel) + len(a76.database.by_kernel)
    key = next(iter(a76.database.by_kernel))
    assert model.told[f"cortex-a76 {key}"] == a76.database.measured(key)


def test_logs_with_the_same_instructions(capsys: pytest.CaptureFixture[str]) -> None:
    own, model = TuningLog.read(A76), Told()
    tell_earlier_logs(model, own, TUNING_LOGS, Console(stderr=True))
    devices = {key.partition(" ")[0] for key in model.told if " " in key}
    assert devices == {"cortex-a55"}
    assert set(own.database.by_kernel) <= set(model.told)
    assert not capsys.readouterr().err


def test_a_damaged_log_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "cortex-a55"
    damaged.mkdir()
    (damaged / "session.json").write_bytes((A55 / "session.json").read_bytes()[:-40])
    own, model = TuningLog.read(A76), Told()
    tell_earlier_logs(model, own, tmp_path, Console(stderr=True))
    assert not model.told and "not used" in capsys.readouterr().err
