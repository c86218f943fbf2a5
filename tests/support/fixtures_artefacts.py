"""Fixtures that build artefacts and quantized programs, each once per test run.

A build costs a quarter of a minute and calibration half of that, so both are kept, where parallel
test workers share them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import filelock
import pytest
from rich.console import Console
from torch.export import ExportedProgram

from compile import build_network as building
from compile.artefact.manifest import MANIFEST
from compile.artefact.reader import Artefact, open_artefact
from compile.networks.registry import network_named
from compile.support.build_cache import FOLDER_VARIABLE, BuildCache, user_cache
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


@pytest.fixture(scope="session", autouse=True)
def build_cache(shared_folder: Path) -> Iterator[BuildCache]:
    """What this test run has built, for all of its worker processes and all commands that they
    start: a network is calibrated once and a kernel compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(shared_folder / "builds"))
        yield user_cache(os.environ)


@pytest.fixture(scope="session")
def quantized_program(build_cache: BuildCache) -> ProgramFactory:
    """``quantized_program(scheme, attention, size)``: what a build of that request compiles."""

    @cache
    def make(
        scheme: str = "mixed", attention: str = "ca", size: tuple[int, int] = SIZE
    ) -> ExportedProgram:
        network = network_named("mqnet", attention=attention)
        request = building.BuildRequest("host", scheme, network, size)
        return building.quantized_program(request, build_cache)

    return make


@pytest.fixture(scope="session")
def artefact(
    shared_folder: Path,
    build_cache: BuildCache,
) -> ArtefactFactory:
    """``artefact(target, scheme, attention, size, image_weights, standalone, tiles)``: a build. Do
    not write into its folder."""

    def make(
        target: str = "host",
        scheme: str = "mixed",
        attention: str = "ca",
        size: tuple[int, int] = SIZE,
        image_weights: bool = False,
        standalone: bool = False,
        tiles: bool = False,
    ) -> Artefact:
        name = f"{target}-{scheme}-{attention}-{size[0]}x{size[1]}"
        name += "-images" if image_weights else ""
        name += "-standalone" if standalone else ""
        name += "-tiles" if tiles else ""
        folder = shared_folder / "artefacts" / name
        folder.parent.mkdir(exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{name}.lock")):
            if not (folder / MANIFEST).exists():
                network = network_named("mqnet", attention=attention)
                request = building.BuildRequest(
                    target,
                    scheme,
                    network,
                    size,
                    out=folder,
                    image_weights=image_weights,
                    standalone=standalone,
                    tiles=tiles,
                )
                building.build_network(request, Progress(Console(quiet=True)), cache=build_cache)
        return open_artefact(folder)

    return make
