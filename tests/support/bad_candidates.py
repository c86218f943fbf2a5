"""Good candidates among bad ones, measured by the tuner's runner: all good ones shall be measured.

``python tests/support/bad_candidates.py 1000 200 3`` does so with as many, on three servers here.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from native_kernels import build_bad_kernels

from compile.backends.backend_for import cpu_core
from compile.search import rpc_runner, runner
from compile.search.build_candidates import Builder
from compile.search.candidate import all_configurations
from compile.search.expected_results import ExpectedResults
from compile.search.farm import open_farm
from compile.search.reference_kernel import reference_task
from compile.search.rpc_runner import Job
from device.client.address import DeviceAddress
from targets.load_target import load_target

#: What the bad ones do. The last two end the tuner's own process of the session, too, which takes
#: seconds to begin again: of a thousand bad ones 40 hang, and 40 babble.
QUICK = ("lie", "crash", "fail", "scribble", "overflow", "leave", "close", "strange")
SLOW = ("hang", "babble")
KINDS = (*QUICK, *QUICK, *QUICK[:-1], *SLOW)
#: That a candidate may take, so that few seconds are lost to one that hangs.
_SECONDS = 2.0
# As a tuner does it.
_BATCH = 60
_OTHERWISE = {"good": "good lost", "bad": "bad found"}


def measure_among_bad(address: DeviceAddress, good: int, bad: int, folder: Path) -> Counter[str]:
    """How many of ``good`` candidates and of ``bad`` ones were measured and compute what they
    should, "good" and "bad", and how many not: "good lost" and "bad found".

    Raises:
        TargetError: the device was given up.
    """
    host = load_target("host")
    unit, task = cpu_core(host, 1), reference_task()
    choices = all_configurations(task.family, task.load(), unit)[1][:4]
    with closing(Builder(host, unit, folder, 1)) as builder:
        builds = builder.build([(task, choice) for choice in choices])
    with closing(ExpectedResults(folder)) as found:
        expected = found.of(task)
    libraries = [build.library for build in builds]
    wrong = [
        build_bad_kernels(os.uname().machine, folder / f"{kind}.so", kind) for kind in KINDS[:bad]
    ]
    mixed = [("good", libraries[n % len(libraries)]) for n in range(good)]
    mixed += [("bad", wrong[n % len(wrong)]) for n in range(bad)]
    random.Random(0).shuffle(mixed)
    farm = open_farm(f"{address.host}:{address.port}", address.key, 1, 0.0)
    options = replace(farm.options, task_seconds=_SECONDS, session_seconds=10 * _SECONDS)
    counts: Counter[str] = Counter()
    checked: dict[Path, str] = {}
    with closing(
        replace(farm, options=options).runner(host, (task.arguments, libraries[0]), expected)
    ) as measuring:
        for batch in (mixed[at : at + _BATCH] for at in range(0, len(mixed), _BATCH)):
            jobs: Sequence[Job] = [(task.arguments, library) for _, library in batch]
            for (kind, library), measured in zip(batch, measuring.measure(jobs), strict=True):
                if not measured.error and library not in checked:
                    checked[library] = measuring.check(task.arguments, library, expected)
                is_right = not measured.error and not checked[library]
                counts[kind if is_right else _OTHERWISE[kind]] += 1
            print(f"{time.strftime('%H:%M:%S')} {dict(counts)}", file=sys.stderr, flush=True)
    return counts


def _main(bad: int, good: int, servers: int = 1) -> None:
    """With a tracker and ``servers`` devices of its own."""
    from fixtures_device import free_port
    from tvm.rpc.tracker import Tracker

    from compile.support.build_cache import user_cache
    from device.server.native.build_server import build_native_server

    # Other work on this machine is no drift of a device.
    rpc_runner._SECONDS_TO_CALM, runner._DRIFT = 0.0, 1e3
    port = free_port()
    tracker = Tracker("127.0.0.1", port, port + 1, silent=True)
    with tempfile.TemporaryDirectory() as name:
        folder, running = Path(name), []
        program = folder / "mqnet-rpc-server"
        build_native_server(os.uname().machine, program, user_cache(os.environ))
        options = ["--tracker", f"127.0.0.1:{port}", "--key", "bad", "--port", "0"]
        for number in range(servers):
            with (folder / f"{number}.log").open("w") as log:
                running.append(subprocess.Popen([program, *options], stderr=log))
        time.sleep(3)
        begin, before = time.monotonic(), [_state(server) for server in running]
        counts = measure_among_bad(DeviceAddress("127.0.0.1", port, "bad"), good, bad, folder)
        time.sleep(8)
        print(f"{dict(counts)} in {time.monotonic() - begin:.0f} s")
        for server, state in zip(running, before, strict=True):
            print(f"alive: {server.poll() is None}; {state} -> {_state(server)}")
            server.terminate()
        lines = [line for log in folder.glob("*.log") for line in log.open()]
        for what, count in Counter(line.strip().partition(": ")[2] for line in lines).items():
            print(f"{count:5} {what}")
    tracker.terminate()


def _state(server: subprocess.Popen) -> str:
    """Open files, memory and sessions of a server."""
    place = Path(f"/proc/{server.pid}")
    memory = re.search(r"VmRSS:\s*(.*)", (place / "status").read_text())
    children = (place / f"task/{server.pid}/children").read_text().split()
    files = len(list((place / "fd").iterdir()))
    return f"{files} files, {memory[1] if memory else '?'}, {len(children)} sessions"


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
