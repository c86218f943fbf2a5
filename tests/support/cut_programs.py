"""Programs whose file is cut short, as by a copy that was broken off."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

#: So many of the first bytes have to be there for the sentence.
LEAST_BYTES = 1024
_PLACES = 40


def check_cut_program(program: Path, folder: Path, emulator: Sequence[str] = ()) -> None:
    """Run ``program``, by ``emulator`` where it is another machine's, cut at many places: it says
    so in a sentence, and does nothing else."""
    whole = program.read_bytes()
    pages = [4096 * number + more for number in (1, 2, len(whole) // 4096) for more in (-1, 0, 1)]
    steps = [
        LEAST_BYTES + (len(whole) - LEAST_BYTES) * place // _PLACES for place in range(_PLACES)
    ]
    cut = folder / "cut"
    for size in sorted({*steps, *pages, len(whole) - 1}):
        cut.write_bytes(whole[:size])
        cut.chmod(0o755)
        command = [*emulator, str(cut), "info"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        said = f"{program.name} is cut short: copy it again\n"
        found = result.returncode, result.stdout, result.stderr
        assert found == (2, "", said), (size, found)
