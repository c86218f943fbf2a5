"""Where the plugin is, once it is built.

Its folder carries a digest of all that it is made of, so that one that was built from other sources
or for another TVM is never loaded. Imports nothing but the standard library: `import tvm` runs it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

from compile.support.cache_folder import cache_folder

SOURCES = Path(__file__).with_name("src")
# TVM itself looks for a library of this name beside its own, so on a board it can be put there.
LIBRARY = "libtvm_runtime_opencl.so"


def plugin_path(machine: str, environ: Mapping[str, str]) -> Path:
    """The plugin for ``machine`` (as ``aarch64``) in the user's cache, built or not."""
    return cache_folder(environ) / "opencl" / f"{machine}-{_digest()}" / LIBRARY


def source_files() -> list[Path]:
    """The sources that are compiled, each of which could be by itself."""
    return sorted(SOURCES.glob("*.cc"))


def _digest() -> str:
    """Of the sources and of the versions whose headers they include."""
    digest = hashlib.sha256()
    for package in ("apache-tvm", "apache-tvm-ffi"):
        digest.update(f"{package}=={importlib.metadata.version(package)}\n".encode())
    for path in sorted((*SOURCES.rglob("*.cc"), *SOURCES.rglob("*.h"))):
        digest.update(f"{path.relative_to(SOURCES)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
