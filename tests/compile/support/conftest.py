"""What the tests of processes need."""

from __future__ import annotations

import pytest
import worker_forks


@pytest.fixture(autouse=True)
def workers_are_new_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here they are what is tested."""
    monkeypatch.setattr(worker_forks, "allowed", False)
