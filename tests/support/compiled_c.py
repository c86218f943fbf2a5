"""C of the counting plugin, compiled by itself."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from device.emulated.arm64 import counting_plugin

_FOLDER = Path(counting_plugin.__file__).parent


def compiled(folder: Path, source: str) -> ctypes.CDLL:
    """``source``, which includes headers of `device/emulated/arm64`, as a library in ``folder``."""
    (folder / "test.c").write_text(source)
    warnings = "-Wall", "-Werror", "-Wno-unused-function"
    library = folder / "test.so"
    command = ["cc", "-O1", *warnings, "-shared", "-fPIC", f"-I{_FOLDER}", "-o", str(library)]
    subprocess.run([*command, str(folder / "test.c")], check=True)
    return ctypes.CDLL(str(library))
