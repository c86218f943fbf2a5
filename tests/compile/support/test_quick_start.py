"""Workers and commands that run kernels start without PyTorch."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from fixtures_artefacts import ArtefactFactory
from pool_tasks import has_imported, prepare

from compile.support.quick_start import collect_rarely
from compile.support.worker_pool import WorkerPool

_PHOTO = Path(__file__).parents[3] / "compile/imaging/photos/brook.jpg"
_THEN_TORCH = """
from compile.support.quick_start import import_tvm_alone
import sys

import_tvm_alone()
assert "tvm" in sys.modules and "torch" not in sys.modules
import torch
import tvm

assert tvm.runtime.tensor(torch.ones(2).numpy()).numpy().sum() == 2
import_tvm_alone()
assert sys.modules["torch"] is torch
"""
_INFER = """
import runpy, sys

sys.argv = ["infer.py", *sys.argv[1:]]
try:
    runpy.run_path("compile/infer.py", run_name="__main__")
finally:
    assert "tvm_ffi" in sys.modules and not {"tvm", "torch"} & set(sys.modules)
"""


def _run(program: str, *arguments: object) -> None:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3])


def test_torch_can_be_imported_later() -> None:
    _run(_THEN_TORCH)


def test_a_photograph_needs_no_compiler(artefact: ArtefactFactory, tmp_path: Path) -> None:
    folder = artefact().library.parent
    _run(_INFER, folder, _PHOTO, "--resize", "-o", tmp_path / "out.png")
    assert (tmp_path / "out.png").exists()


def test_a_worker_of_a_pool_needs_no_torch() -> None:
    pool = WorkerPool(1, prepare, ("yes",))
    try:
        names = [outcome.get() for outcome in pool.run(has_imported, [("tvm",), ("torch",)], 60)]
    finally:
        pool.close()
    assert names == [True, False]


def test_garbage_is_looked_for_rarely() -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        collect_rarely()
        assert gc.get_threshold()[0] > 10_000 and gc.isenabled()
    finally:
        gc.set_threshold(*before)
