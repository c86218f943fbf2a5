"""When a device has changed its speed: on devices whose reference kernel takes what a list says."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from compile.search import rpc_runner
from compile.search.kernel_task import TaskArguments
from compile.search.measuring_device import DeviceOptions
from compile.search.reference_kernel import reference_task
from compile.search.rpc_runner import RpcRunner
from compile.search.runner import has_drifted, is_noisy, noise_of
from compile.support.errors import TargetError
from compile.support.outcome import Outcome
from device.client.address import DeviceAddress
from targets.load_target import load_target

REFERENCE, CANDIDATE = Path("reference.so"), Path("candidate.so")
STEADY = [240.0, 240.2, 239.9, 240.1]
# PoCL beside other work on two cores.
NOISY = [239.5, 262.2, 240.1, 256.2]


class Device:
    """Stands for a :class:`compile.search.measuring_device.MeasuringDevice`."""

    looks: Sequence[float] = ()

    def __init__(self, options: DeviceOptions) -> None:
        self._looks = list(self.looks)

    def facts(self) -> Outcome:
        return Outcome({"cpu": "X", "emulated": ""})

    def why_not(self, needs: Any) -> Outcome:
        return Outcome()

    def check(self, *_: object) -> Outcome:
        return Outcome("")

    def measure(self, arguments: TaskArguments, library: Path) -> Outcome:
        if library == CANDIDATE:
            return Outcome((1e-3,))
        seconds = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return Outcome((seconds * 1e-6, 1.01e-6 * seconds))

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_runner, "MeasuringDevice", Device)
    for name in ("_SECONDS_TO_CALM", "_SECONDS_BETWEEN"):
        monkeypatch.setattr(rpc_runner, name, 0.0)


def measure(monkeypatch: pytest.MonkeyPatch, looks: Sequence[float], devices: int = 1) -> list[str]:
    """The warnings of a session whose devices are looked at, of which the last look is for ever."""
    monkeypatch.setattr(Device, "looks", looks)
    reference = reference_task().arguments, REFERENCE
    options = DeviceOptions(DeviceAddress("127.0.0.1", 9190, "x"), 1)
    with closing(RpcRunner(options, devices, load_target("host"), reference, REFERENCE)) as runner:
        (measurement,) = runner.measure([(reference[0], CANDIDATE)])
        assert measurement.mean == 1e-3
        return runner.warnings


def test_a_steady_device_may_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure(monkeypatch, [*STEADY, 248.0]) == []
    (warning,) = measure(monkeypatch, [*STEADY, 260.0])
    assert "another speed than at first (reference kernel: +8% after a minute's rest)" in warning


@pytest.mark.parametrize(("later", "change"), [(480.0, "+100%"), (4.8, "-98%")])
def test_the_last_device_goes_on_from_its_new_speed(
    monkeypatch: pytest.MonkeyPatch, later: float, change: str
) -> None:
    (warning,) = measure(monkeypatch, [*STEADY, later])
    assert f"(reference kernel: {change} after" in warning and "measured again" in warning


def test_what_a_device_measured_at_another_speed_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []
    original = Device.measure

    def noted(device: Device, arguments: TaskArguments, library: Path) -> Outcome:
        tried.append(library)
        return original(device, arguments, library)

    monkeypatch.setattr(Device, "measure", noted)
    measure(monkeypatch, [*STEADY, 480.0])
    assert tried.count(CANDIDATE) == 2


def test_a_device_that_never_settles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    message = r"keep its speed \(reference kernel: [-+]\d+% after a minute's rest, and 0% is"
    monkeypatch.setattr(rpc_runner, "noise_of", lambda looks: 0.0)
    with pytest.raises(TargetError, match=message):
        measure(monkeypatch, [240.0 * 1.1**step for step in range(100)])


def test_of_several_devices_one_that_has_become_slow_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (warning, *_) = measure(monkeypatch, [*STEADY, 480.0], devices=2)
    assert "keep its speed (reference kernel: +100% after" in warning
    assert warning.endswith("it is used no more")


def test_a_noisy_device_may_change_as_it_did_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it measures is believed all the same: candidates are compared with each other."""
    for later in (240.0, 262.0, 280.0):
        assert measure(monkeypatch, [*NOISY, later]) == []
    (warning,) = measure(monkeypatch, [*NOISY, 400.0])
    assert "reference kernel: +61%" in warning


def test_a_device_that_calms_down_within_a_minute_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure(monkeypatch, [*STEADY, *[300.0] * 5, 240.0]) == []


def test_more_noise_than_is_allowed_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    (warning,) = measure(monkeypatch, [240.0, 340.0, 250.0, 300.0, 270.0])
    assert warning.startswith("device 1 is noisy: its reference kernel differs by 42% from one")
    assert is_noisy(0.2) and not is_noisy(0.1)
    assert has_drifted(1.26, 1.0, noise=10.0), "no noise excuses everything"


def test_noise() -> None:
    assert noise_of(STEADY) == pytest.approx(0.00125, rel=1e-2)
    assert not has_drifted(1.04, 1.0) and has_drifted(1.06, 1.0) and has_drifted(0.94, 1.0)
    assert not has_drifted(1.15, 1.0, noise=0.08) and has_drifted(1.17, 1.0, noise=0.08)
