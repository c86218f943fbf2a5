"""Which temporary folders are removed as left behind, and which are not."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from compile.support.scratch_folder import scratch_folder


def test_only_those_of_ended_processes_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = socket.gethostname()
    names = {
        f"mqnet-x-{here}-{ended.pid}-abcd": False,
        f"mqnet-x-{here}-{os.getppid()}-abcd": True,
        f"mqnet-x-elsewhere-{ended.pid}-abcd": True,
        f"mqnet-y-{here}-{ended.pid}-abcd": True,
        f"mqnet-x-{here}-notes": True,
    }
    for name in names:
        (tmp_path / name / "inside").mkdir(parents=True)
    with scratch_folder("mqnet-x-", tmp_path) as folder:
        assert folder.parent == tmp_path and not list(folder.iterdir())
        assert {name: (tmp_path / name).exists() for name in names} == names
        with scratch_folder("mqnet-x-", tmp_path) as other:
            assert folder.exists() and other.exists() and other != folder
    assert not folder.exists() and not other.exists()
