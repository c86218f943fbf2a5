"""The script that holds two checkouts' libraries against each other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from compare_libraries import compare_folders


def library(folder: Path, source: str, *options: str) -> Path:
    folder.mkdir()
    (folder.parent / "one.c").write_text(source)
    command = ["cc", "-shared", "-fPIC", "-o", str(folder / "mqnet.so"), "one.c", *options]
    subprocess.run(command, cwd=folder.parent, check=True)
    return folder


@pytest.mark.parametrize(
    ("source", "options", "parts"),
    [
        ("int f(void) { return 1; }", ("-Wl,--build-id=0x01",), ()),
        ("int f(void) { return 1; }", ("-Wl,--build-id=0x02",), ("only the build id",)),
        ("int f(void) { return 2; }", ("-Wl,--build-id=0x01",), (".text differs in 1 of",)),
        ("int g(void) { return 1; }", ("-Wl,--build-id=0x01",), (".dynstr", ".strtab")),
        ("int f(void) { return 1; } char data[999];", ("-Wl,--build-id=0x01",), (".bss",)),
        (
            'int f(void) { return 1; } const char *path = "/checkout/compile";',
            ("-Wl,--build-id=0x01",),
            (".rodata holds the path /checkout",),
        ),
    ],
)
def test_what_differs(tmp_path: Path, source: str, options: tuple[str, ...], parts: tuple):
    old = library(tmp_path / "old", "int f(void) { return 1; }", "-Wl,--build-id=0x01")
    new = library(tmp_path / "new", source, *options)
    found = compare_folders(old, new, [Path("/checkout")])
    assert bool(found) == bool(parts)
    for part in parts:
        assert any(part in line for line in found), found


def test_library_that_is_missing(tmp_path: Path):
    old = library(tmp_path / "old", "int f(void) { return 1; }")
    (tmp_path / "new").mkdir()
    assert compare_folders(old, tmp_path / "new") == ["mqnet.so is built by one of them only"]
    assert compare_folders(tmp_path / "new", tmp_path / "new") == ["no library"]
