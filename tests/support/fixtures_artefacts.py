"""Fixtures that build artefacts and quantized programs, each once per test run.

A build costs a quarter of a minute and calibration half of that, so both are kept by their
arguments: programs in this process, artefacts on disk, where parallel test workers share them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest
from rich.console import Console
from torch.export import ExportedProgram
from torch.fx import GraphModule

from compile import build_network as building
from compile.artefact.artefact import MANIFEST, Artefact, open_artefact
from compile.networks.registry import network_named
from compile.quantize import quantize
from compile.support.progress import Progress

SIZE = (64, 96)
"""Height and width of an artefact unless a test asks for another one: small and not square."""

ArtefactFactory = Callable[..., Artefact]
ProgramFactory = Callable[..., ExportedProgram]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run, common to all of its worker processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def quantized_program() -> ProgramFactory:
    """``quantized_program(scheme, attention, size)``: what a build of that request compiles."""
    converted: dict[tuple[str, str], GraphModule] = {}
    programs: dict[tuple[str, str, tuple[int, int]], ExportedProgram] = {}

    def make(
        scheme: str = "mixed", attention: str = "ca", size: tuple[int, int] = SIZE
    ) -> ExportedProgram:
        key = scheme, attention
        if (*key, size) not in programs:
            network = network_named("mqnet", attention=attention)
            request = building.BuildRequest("host", scheme, network, size)
            with pytest.MonkeyPatch.context() as patch:
                _calibrate_once(patch, converted, key)
                programs[(*key, size)] = building.quantized_program(request)
        return programs[(*key, size)]

    return make


def _calibrate_once(
    patch: pytest.MonkeyPatch, converted: dict[tuple[str, str], GraphModule], key: tuple[str, str]
) -> None:
    """Calibration does not depend on the size: a second size exports the same graph again."""
    if key in converted:
        patch.setattr(quantize, "equalize_concats", lambda *args: None)
        patch.setattr(quantize, "_quantize", lambda *args: converted[key])
        return
    calibrate = quantize._quantize

    def calibrate_and_keep(*args: object) -> GraphModule:
        converted[key] = calibrate(*args)
        return converted[key]

    patch.setattr(quantize, "_quantize", calibrate_and_keep)


@pytest.fixture(scope="session")
def artefact(
    shared_folder: Path,
    quantized_program: ProgramFactory,
) -> ArtefactFactory:
    """``artefact(target, scheme, attention, size, image_weights)``: a build. Do not write into its
    folder."""

    def make(
        target: str = "host",
        scheme: str = "mixed",
        attention: str = "ca",
        size: tuple[int, int] = SIZE,
        image_weights: bool = False,
    ) -> Artefact:
        name = f"{target}-{scheme}-{attention}-{size[0]}x{size[1]}"
        name += "-images" if image_weights else ""
        folder = shared_folder / "artefacts" / name
        folder.parent.mkdir(exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{name}.lock")):
            if not (folder / MANIFEST).exists():
                network = network_named("mqnet", attention=attention)
                request = building.BuildRequest(
                    target, scheme, network, size, out=folder, image_weights=image_weights
                )
                program = quantized_program(scheme, attention, size)
                building.build_network(request, Progress(Console(quiet=True)), program)
        return open_artefact(folder)

    return make
