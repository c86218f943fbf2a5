"""The layout: a folder imports only from folders above it, and a file is short enough to read."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import REPOSITORY

#: Each may import from those above it. A module that is not below one of them is a command,
#: which may import from all but bench.
ORDER = (
    "compile.support",
    "targets",
    "compile.imaging",
    "compile.networks",
    "compile.quantize",
    "compile.kernels",
    "compile.graph",
    "compile.frontend",
    "compile.backends",
    "compile.records",
    "compile.passes",
    "compile.codegen",
    "compile.artefact",
    "device.opencl",
    "device.runtime",
    "compile.video",
    "compile.pipeline",
    "compile.place_network",
    "compile.build_parts",
    "compile.build_request",
    "compile.standalone_form",
    "compile.build_stages",
    "compile.build_network",
    "device.server",
    "device.client",
    "device.adb",
    "device.emulated",
    "compile.search",
    "compile.precision",
    "compile.training",
    "compile",
    "device",
    "bench",
    # A command that writes the file of a latency session.
    "device.phone",
)
FOLDERS = ("compile", "targets", "device", "bench")
MOST_LINES = 400


def python_files() -> Iterator[tuple[str, Path]]:
    """Every module of the project by its name."""
    for folder in FOLDERS:
        for path in (REPOSITORY / folder).rglob("*.py"):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(python_files())


def imports(path: Path) -> set[str]:
    """Modules of the project that ``path`` names, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() or {node.module}
    return found & MODULES.keys()


def place(module: str) -> int:
    """Of a module in :data:`ORDER`."""
    inside = [folder for folder in ORDER if f"{module}.".startswith(f"{folder}.")]
    return ORDER.index(max(inside, key=len))


def test_imports_go_up_the_list() -> None:
    assert len(MODULES) > 300
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        for other in imports(path)
        if place(other) > place(module)
    ]
    assert not wrong


def test_no_two_folders_import_from_each_other() -> None:
    """Below compile and bench, where the order of neighbours is nobody's business but theirs."""
    edges: dict[tuple[Path, Path], str] = {}
    for module, path in MODULES.items():
        for other in imports(path):
            mine, theirs = (p.relative_to(REPOSITORY).parent.parts for p in (path, MODULES[other]))
            shared = next(
                (n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None
            )
            if shared:
                edge = Path(*mine[: shared + 1]), Path(*theirs[: shared + 1])
                edges[edge] = f"{module} imports {other}"
    circles = [(edges[a, b], edges[b, a]) for a, b in edges if (b, a) in edges]
    assert not circles


@pytest.mark.parametrize("folder", [*FOLDERS, "tests"])
def test_files_are_short(folder: str) -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in (REPOSITORY / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert not long


def test_no_folder_hides_another_package() -> None:
    """``python bench/latency.py`` looks into bench/ first: a folder there that is called as a
    module of Python's library, or as one of ours, would be taken for it."""
    known = {*sys.stdlib_module_names, *FOLDERS}
    hidden = {
        f"{folder}/{path.name}"
        for folder in FOLDERS
        for path in (REPOSITORY / folder).iterdir()
        if path.name.removesuffix(".py") in known and (path.is_dir() or path.suffix == ".py")
    }
    assert not hidden


def test_tests_are_where_their_modules_are() -> None:
    """Every folder of tests is a folder of the project, or one of the two that are not."""
    tests = REPOSITORY / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    strangers = {
        str(folder)
        for folder in folders
        if folder.parts[0] != "system" and not (REPOSITORY / folder).is_dir()
    }
    assert not strangers


def test_a_board_needs_few_of_our_modules() -> None:
    modules = [
        f"device.server.{path.stem}" for path in (REPOSITORY / "device/server").glob("[a-z]*.py")
    ]
    code = f"import sys, device.serve, {', '.join(modules)}; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    ours = {name for name in loaded.stdout.split() if name.split(".")[0] in ("compile", "bench")}
    assert ours == {
        "compile",
        "compile.graph",
        "compile.graph.parts",
        "compile.support",
        "compile.support.cache_folder",
        "compile.support.early_interruption",
        "compile.support.errors",
        "compile.support.frame",
        "compile.support.quick_start",
        "compile.support.standard_streams",
    }
