"""Time and memory of a whole command that sends one large photograph through a build."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from compile.imaging.bundled import bundled_photos
from compile.support.errors import PhotoError

_ROOT = Path(__file__).resolve().parents[2]
_NOISE_LEVELS, _QUALITY = 3.0, 90
# A small process starts the command: what Linux counts as the most memory of a process begins with
# that of the one that started it.
_WATCH = """
import os, sys
null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class LargePhotograph:
    """One run of `compile/infer.py`.

    Attributes:
        width, height: of the photograph in pixels.
        format: of the file that was written.
        seconds: from the start of the process to its end.
        peak_bytes: most resident memory of the process.
    """

    width: int
    height: int
    format: str
    seconds: float
    peak_bytes: int


def write_large_photo(path: Path, width: int, height: int, seed: int = 0) -> None:
    """Write a JPEG of ``width`` x ``height`` pixels: a bundled photograph made larger, with noise,
    for what has none takes less time to read."""
    with Image.open(bundled_photos("test")[0]) as image:
        enlarged = np.array(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
    random = np.random.default_rng(seed)
    for row in enlarged:  # One after the other: all of it would take a gigabyte.
        noisy = row + random.normal(0, _NOISE_LEVELS, row.shape).astype(np.float32)
        row[:] = np.clip(np.rint(noisy), 0, 255)
    Image.fromarray(enlarged).save(path, quality=_QUALITY)


def measure_large(
    artefact: Path, photo: Path, size: tuple[int, int], output: Path
) -> LargePhotograph:
    """Run the command once, as a user does.

    Args:
        photo: of ``size``, (width, height).
        output: file to write; its ending chooses the format.

    Raises:
        PhotoError: the command failed, with what it said last.
    """
    command = [sys.executable, "compile/infer.py", str(artefact.resolve()), str(photo)]
    command += ["-o", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WATCH, *command],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{photo}: the command failed"]
        raise PhotoError(lines[-1].removeprefix("error: "))
    return LargePhotograph(*size, output.suffix[1:], seconds, int(done.stdout) * 1024)
