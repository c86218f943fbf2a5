"""A program that tests run and interrupt: a pool and a process, and what SIGINT is to them.

Of its arguments the first is the moment at which a worker sends SIGINT to the whole group, as a
terminal does: "birth", "prepare" or "task"; "look" prints what :func:`look` returns, one line a
process; "wait" does neither. The second names a folder that the first worker makes then, for Ctrl-C
is pressed once. The program ends with code 130 when it was interrupted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

from compile.support.worker_pool import WorkerPool
from compile.support.worker_process import WorkerProcess

MOMENT, PRESSED = sys.argv[1:]


def is_blocked() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def interrupt(moment: str) -> None:
    if moment == MOMENT:
        with contextlib.suppress(FileExistsError):
            os.mkdir(PRESSED)
            os.killpg(0, signal.SIGINT)


def prepare() -> None:
    interrupt("prepare")


def look() -> tuple[bool, bool, bool]:
    """Whether SIGINT was blocked at birth, is ignored now, and is both in a process of this one."""
    interrupt("task")
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    bit = 1 << signal.SIGINT - 1
    inherited = all(int(masks[key], 16) & bit for key in ("SigBlk", "SigIgn"))
    return BLOCKED_AT_BIRTH, signal.getsignal(signal.SIGINT) == signal.SIG_IGN, inherited


def main() -> None:
    print("starts", flush=True)
    with (
        contextlib.closing(WorkerPool(1, prepare, most_tasks=1)) as pool,
        contextlib.closing(WorkerProcess(prepare)) as process,
    ):
        outcomes = pool.run(look, [(), ()], 30) + [process.run(look, seconds=30)]
        for outcome in outcomes:
            print(*outcome.get(), flush=True)
        if MOMENT == "wait":
            time.sleep(600)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
else:  # In a worker, which runs this first of all.
    BLOCKED_AT_BIRTH = is_blocked()
    interrupt("birth")
