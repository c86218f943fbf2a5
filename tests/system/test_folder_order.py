"""Imports go one way: what compiles knows neither what measures it nor what tunes it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import REPOSITORY

#: Of files in a folder, what they must not import; files by pattern.
FORBIDDEN = {
    "compile/**/*.py": ("bench",),
    "targets/**/*.py": ("bench", "compile.search", "compile.passes"),
    "compile/kernels/**/*.py": ("compile.passes", "compile.search", "compile.records"),
    "compile/codegen/opencl/*.py": ("compile.passes", "compile.search", "compile.records"),
    "compile/passes/*.py": ("compile.search",),
    "compile/records/*.py": ("compile.search", "compile.passes"),
}


def imports(path: Path) -> set[str]:
    """Modules that ``path`` names, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_imports_go_one_way(pattern: str) -> None:
    paths = list(REPOSITORY.glob(pattern))
    assert len(paths) > 3
    for path in paths:
        for module in imports(path):
            for other in FORBIDDEN[pattern]:
                assert not f"{module}.".startswith(f"{other}."), f"{path} imports {module}"


def test_a_board_needs_no_more_than_bench_readme_names() -> None:
    modules = [
        f"device.server.{path.stem}" for path in (REPOSITORY / "device/server").glob("[a-z]*.py")
    ]
    code = f"import sys, device.serve, {', '.join(modules)}; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    ours = {name for name in loaded.stdout.split() if name.split(".")[0] in ("compile", "bench")}
    assert ours == {"compile", "compile.support.errors", "compile.graph.parts"}
