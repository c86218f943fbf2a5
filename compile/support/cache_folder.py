"""Where what is made once and kept is.

Imports nothing but the standard library: `import tvm` runs it (`device/opencl/plugin.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """This project's folder in the user's cache: below $XDG_CACHE_HOME, else below ~/.cache."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return Path(cache) / "mqnet-tvm"
