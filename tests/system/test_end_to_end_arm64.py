"""The network's arm64 libraries, executed: under QEMU, by the aarch64 TVM, against the host's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from android_library import check_android_library
from command_line import in_fork, needs_lld
from elftools.elf.elffile import ELFFile
from fixtures_artefacts import ArtefactFactory
from numpy.typing import NDArray
from PIL import Image, ImageOps

from compile.artefact.reader import Artefact, open_artefact
from compile.codegen.link.elf import read_needed, read_symbols
from compile.codegen.link.stubs import stub_libraries
from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from device.emulated.arm64.run_module import run_all_on_board, run_on_board
from device.runtime.run_artefact import Session

pytestmark = needs_lld


def frame(size: tuple[int, int]) -> NDArray[np.uint8]:
    photo = Image.fromarray(read_photo(bundled_photos("demo")[0]))
    return np.asarray(ImageOps.fit(photo, size[::-1], Image.Resampling.LANCZOS))


def built_for(artefact: ArtefactFactory, target: str) -> Artefact:
    """As another test has it built: the standalone form lies beside the same library."""
    return artefact(target, standalone=target in ("android-arm64", "cortex-x2"))


def check_on_board(root: Path, host: Artefact, built: Artefact, cpu: str, aliases: bool) -> None:
    """Backbone bit for bit, output to 1e-5."""
    picture = frame(host.size)
    session = Session(host)
    (expected,) = session.network.run_part("backbone", picture[None])

    calls = [(function, [picture[None]]) for function in ("backbone", "main")]
    (got,), (output,) = run_all_on_board(
        root, built.library, calls, cpu, aliases_bionic=aliases, threads=2
    )
    assert got.dtype == expected.dtype == np.int8
    np.testing.assert_array_equal(got, expected)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output[0], session.run(picture)[0], rtol=0, atol=1e-5)
    # A network whose output does not depend on its input would pass the above as well.
    assert len(np.unique(expected)) > 40 and np.ptp(output) > 0.1


@pytest.mark.parametrize(
    ("target", "cpu", "aliases"),
    [
        ("linux-arm64", "cortex-a53", False),
        ("android-arm64", "max", True),
        ("cortex-x2", "max,sme=off", False),
        pytest.param("cortex-a76", "cortex-a76", False, marks=pytest.mark.slow),
    ],
)
def test_board_equals_the_host(
    arm64_root: Path, artefact: ArtefactFactory, target: str, cpu: str, aliases: bool
):
    check_on_board(arm64_root, artefact(), built_for(artefact, target), cpu, aliases)


@pytest.mark.slow
def test_board_equals_the_host_at_256(arm64_root: Path, artefact: ArtefactFactory):
    size = (256, 256)
    host, built = artefact(size=size), artefact("linux-arm64", size=size)
    check_on_board(arm64_root, host, built, "max", aliases=False)


WIDE = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    wide, dilated = nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=2, dilation=2)
    layers = nn.Conv2d(3, 32, 1), nn.SiLU(), wide, nn.SiLU(), dilated, nn.ReLU()
    return nn.Sequential(*layers, nn.Conv2d(32, 4, 1)).eval(), (torch.rand(1, 3, 16, 40),)
"""


def test_transformed_convolutions_and_looked_up_bytes(arm64_root: Path, tmp_path: Path):
    """What MQNet has none of, by a core without dot products."""
    file = tmp_path / "wide.py"
    file.write_text(WIDE)
    libraries = []
    for target in ("host", "linux-arm64"):
        outcome = in_fork(
            "compile/build", "--network", f"{file}:build", "--scheme", "int8", "--target", target,
            "--size", "16x40", "--out", tmp_path / target,
        )  # fmt: skip
        assert outcome.code == 0, outcome
        libraries.append(open_artefact(tmp_path / target))
    host, built = libraries
    families = [kernel.family for kernel in built.manifest.kernels]
    assert families.count("winograd_conv") == 2
    picture = frame((16, 40))
    (expected,) = Session(host).network.run_part("backbone", picture[None])
    (got,) = run_on_board(
        arm64_root, built.library, "backbone", [picture[None]], "cortex-a53", threads=2
    )
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(expected)) > 40


def test_linux_library_needs_only_libc_and_libm(artefact: ArtefactFactory):
    """TVM's symbols, if it has any, come from the process that loads it, which has the runtime."""
    built = artefact("linux-arm64")
    assert set(read_needed(built.library)) <= {"libc.so.6", "libm.so.6"}
    assert built.manifest.linker.needed == read_needed(built.library)
    check_symbols_are_known(built.library, "linux")


def test_android_library_asks_for_nothing_more(artefact: ArtefactFactory):
    built = built_for(artefact, "android-arm64")
    check_android_library(built.library)
    assert built.manifest.linker.needed == read_needed(built.library)
    check_symbols_are_known(built.library, "android")
    with built.library.open("rb") as stream:
        sections = [section.name for section in ELFFile(stream).iter_sections()]
    assert not [name for name in sections if name in (".tdata", ".tbss")]


def check_symbols_are_known(library: Path, system: str) -> None:
    symbols = read_symbols(library)
    assert any(name.startswith("__tvm_ffi_") for name in symbols.defined), "it has no kernel"
    known = stub_libraries(system)
    strangers = [name for name in symbols.undefined if not any(one.exports(name) for one in known)]
    assert not strangers
