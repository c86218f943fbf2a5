"""The network on Oclgrind, a simulator that watches every access: none outside of a buffer, no two
work items at one place, no call that OpenCL forbids."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fixtures_artefacts import ArtefactFactory
from opencl_kernels import in_new_process

from device.runtime.run_artefact import Session

_OCLGRIND = Path("/usr/lib/oclgrind/liboclgrind-rt.so")
_SIZE = (32, 32)

_RUN = """
from pathlib import Path
import numpy as np
from compile.artefact.reader import open_artefact
from device.runtime.run_artefact import Session
session = Session(open_artefact(Path({folder!r})))
(code,) = session.network.run_part("backbone", np.load({photo!r})[None])
np.save({code!r}, code)
"""

_OUTSIDE = """
import contextlib
from opencl_kernels import add_module, check_add, source_edited
with source_edited(r"\\(a_ptr\\[", "(a_ptr[5000 + "):
    library = add_module()
with contextlib.suppress(AssertionError):
    check_add(tvm.opencl(0), library)
"""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that runs on it; skips where it is not installed, but fails in
    CI."""
    if not _OCLGRIND.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("CI has to watch the kernels' accesses: no oclgrind")
        pytest.skip("no oclgrind (apt-get install oclgrind)")
    return {
        "MQNET_OPENCL_LIBRARY": str(_OCLGRIND),
        "MQNET_OPENCL_CACHE": str(tmp_path_factory.mktemp("oclgrind")),
        "OCLGRIND_LOG": str(tmp_path_factory.mktemp("log") / "oclgrind.log"),
        "OCLGRIND_CHECK_API": "1",
        "OCLGRIND_DATA_RACES": "1",
    }


@pytest.mark.parametrize("image_weights", [False, True])
def test_the_backbone(
    opencl_plugin: Path,
    simulator: dict[str, str],
    artefact: ArtefactFactory,
    tmp_path: Path,
    image_weights: bool,
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*_SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "photo.npy", photo)
    files = {name: str(tmp_path / f"{name}.npy") for name in ("photo", "code")}
    built = artefact("host-opencl", size=_SIZE, image_weights=image_weights)
    in_new_process(_RUN.format(folder=str(built.library.parent), **files), **simulator)
    (expected,) = Session(artefact(size=_SIZE)).network.run_part("backbone", photo[None])
    np.testing.assert_array_equal(np.load(files["code"]), expected)
    assert Path(simulator["OCLGRIND_LOG"]).read_text() == ""


def test_it_sees_an_access_outside(opencl_plugin: Path, simulator: dict[str, str]) -> None:
    """A kernel that is wrong on purpose is reported."""
    log = Path(simulator["OCLGRIND_LOG"]).with_name("outside.log")
    in_new_process(_OUTSIDE, **simulator | {"OCLGRIND_LOG": str(log)})
    assert "Invalid read of size 4 at global memory address" in log.read_text()
