"""Runs the command lines as a user would and looks at what they say and leave behind."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked_command import run_forked

from bench import (
    accuracy,
    calibration,
    emulator_ranking,
    flicker,
    gpu_instructions,
    instructions,
    kernel_times,
    large_photographs,
    latency,
    networks,
    photographs,
    regret,
    report,
)
from compile import build, check, check_calibration, demo, infer, search_precision, train, tune
from compile import scenes as data
from compile.artefact.manifest import MANIFEST
from compile.codegen.link.linkers import find_lld
from compile.networks.mqnet.weights_folder import BUNDLED
from device import (
    build_opencl,
    build_server,
    make_board,
    make_mali_compiler,
    phone,
    serve,
    serve_board,
)

REPOSITORY = Path(__file__).parents[2]
MAINS = {
    "compile/build": build.main,
    "compile/infer": infer.main,
    "compile/check": check.main,
    "compile/check_calibration": check_calibration.main,
    "compile/demo": demo.main,
    "compile/tune": tune.main,
    "compile/search_precision": search_precision.main,
    "compile/scenes": data.main,
    "compile/train": train.main,
    "bench/accuracy": accuracy.main,
    "bench/calibration": calibration.main,
    "bench/networks": networks.main,
    "bench/photographs": photographs.main,
    "bench/emulator_ranking": emulator_ranking.main,
    "bench/flicker": flicker.main,
    "bench/gpu_instructions": gpu_instructions.main,
    "bench/instructions": instructions.main,
    "bench/kernel_times": kernel_times.main,
    "bench/large_photographs": large_photographs.main,
    "bench/latency": latency.main,
    "bench/regret": regret.main,
    "bench/report": report.main,
    "device/serve_board": serve_board.main,
    "device/make_mali_compiler": make_mali_compiler.main,
    "device/build_opencl": build_opencl.main,
    "device/build_server": build_server.main,
    "device/make_board": make_board.main,
    "device/serve": serve.main,
    "device/phone": phone.main,
}
CA = BUNDLED / "ca.safetensors"

# The cheapest build: nothing is calibrated, and the kernels are the fewest.
QUICK = ("--target", "host", "--scheme", "fp32", "--size", "32x32")

x86_only = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the artefact would run here")
needs_lld = pytest.mark.skipif(find_lld() is None, reason="no lld on this machine")


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        code: exit code.
        out, err: what it printed to stdout and to stderr.
    """

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def as_user(
    command: str,
    *args: object,
    env: dict[str, str] | None = None,
    file_limit: int | None = None,
    prefix: tuple[str, ...] = (),
) -> Outcome:
    """Runs ``python COMMAND.py`` from the repository's root, in a new interpreter.

    Where it starts makes no difference, :func:`in_fork` is three seconds faster.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    done = subprocess.run(
        [*prefix, sys.executable, f"{command}.py", *map(str, args)],
        cwd=REPOSITORY,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=None if file_limit is None else limit,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def in_fork(
    command: str,
    *args: object,
    env: dict[str, str] | None = None,
    file_limit: int | None = None,
) -> Outcome:
    """Runs the same in a process of its own that has imported PyTorch, TVM and the compiler.

    Not for what depends on how a command starts: what it imports and says then, its streams, its
    seed for hashes.
    """
    environment = {**os.environ, **(env or {})}
    return Outcome(*run_forked(f"{command}.py", [*map(str, args)], environment, file_limit))


def check_sentence(outcome: Outcome, *parts: str) -> None:
    """Exit code 2, silence on stdout, and one sentence that holds all ``parts``."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    *before, sentence = outcome.err.splitlines()
    # A build that fails late has said which phases it finished, and on a busy machine which ran.
    progress = re.compile(r"  [\w., ]+?( +\d+\.\d s|: \d+ s so far)")
    strangers = [line for line in before if not progress.fullmatch(line)]
    assert not strangers, outcome.err
    assert sentence.startswith("error: ") and sentence[7:].strip(), outcome.err
    for part in parts:
        assert part in sentence, sentence


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file (with its bytes) and folder below ``folder``."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def edit_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def fill(disk: Path, leave: int) -> None:
    """Take all space but ``leave`` bytes."""
    free = shutil.disk_usage(disk).free
    (disk / "filler").write_bytes(bytes(free - leave))


def write_text(path: Path) -> None:
    """What no reader of pictures or weights takes."""
    path.write_text("no picture")


def write_nothing(path: Path) -> None:
    """An empty file."""
    path.write_bytes(b"")
