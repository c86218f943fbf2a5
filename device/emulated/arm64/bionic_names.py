"""Bionic's names for the emulated board's libraries, so that an Android library runs there."""

from __future__ import annotations

from pathlib import Path

from compile.support.errors import TargetError

_TVM_LIBRARIES = Path("usr/lib/python3/dist-packages")
_C_LIBRARIES = Path("usr/lib/aarch64-linux-gnu"), Path("lib/aarch64-linux-gnu")
# What bionic calls the libraries, and the board's files that play them.
_BIONIC_NAMES = {"libc.so": "libc.so.6", "libm.so": "libm.so.6", "libdl.so": "libdl.so.2"}


def link_bionic_names(root: Path, folder: Path) -> Path:
    """A folder of links that gives the board's libraries the names that they have on Android.

    Raises:
        TargetError: The board lacks one of them.
    """
    folder.mkdir()
    for bionic_name, name in _BIONIC_NAMES.items():
        places = [root / place / name for place in _C_LIBRARIES]
        real = next((path for path in places if path.exists()), None)
        if real is None:
            raise TargetError(f"the emulated board {root} lacks {name}: make it again")
        (folder / bionic_name).symlink_to(real)
    for package in ("tvm_ffi", "tvm"):
        for library in (root / _TVM_LIBRARIES / package / "lib").glob("libtvm_*.so"):
            (folder / library.name).symlink_to(library)
    return folder
