"""The tuner's runner on the native server: good candidates among bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_candidates import KINDS, measure_among_bad
from command_line import needs_lld, x86_only
from fixtures_native_server import NativeServer, Start

from compile.search import rpc_runner
from device.client.address import DeviceAddress

pytestmark = [x86_only, needs_lld]


@pytest.fixture
def no_rest(noise_is_no_drift: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_runner, "_SECONDS_TO_CALM", 0.0)
    monkeypatch.setattr(rpc_runner, "_FIRST_LOOKS", 1)


@pytest.fixture
def phone(start_native: Start, tracker: tuple[str, int]) -> Iterator[NativeServer]:
    options = "--tracker", "{}:{}".format(*tracker), "--key", "native-phone"
    with start_native(*options) as server:
        yield server
        assert server.is_idle()


@pytest.mark.slow
@pytest.mark.usefixtures("no_rest")
def test_good_candidates_among_bad_ones(
    phone: NativeServer, tracker: tuple[str, int], tmp_path: Path
) -> None:
    address = DeviceAddress(*tracker, "native-phone")
    counts = measure_among_bad(address, 5, len(KINDS), tmp_path)
    assert counts == {"good": 5, "bad found": len(KINDS)}
