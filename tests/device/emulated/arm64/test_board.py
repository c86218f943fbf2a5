"""The emulated board: arm64 and Android libraries run, equal the host's, and crash readably."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_net

from compile.codegen.link.linkers import find_lld
from compile.support.errors import ArtefactError, TargetError
from device.emulated.arm64.make_root import default_root, is_current, make_root
from device.emulated.arm64.run_module import run_all_on_board, run_on_board
from targets.load_target import load_target

needs_lld = pytest.mark.skipif(find_lld() is None, reason="no lld on this machine")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small network for every kind of target."""
    folder = tmp_path_factory.mktemp("libraries")
    module = small_net.small_module()
    names = ("host", "linux-arm64", "cortex-a76", "android-arm64", "exynos-990")
    for name in names:
        small_net.export(module, load_target(name), folder / f"{name}.so")
    return {name: folder / f"{name}.so" for name in names}


@pytest.fixture(scope="module")
def dot_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library whose one instruction of interest is sdot."""
    library = tmp_path_factory.mktemp("dot") / "dot.so"
    small_net.export(small_net.DotModule, load_target("cortex-a76"), library)
    return library


def dot_inputs() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    a, b = (random.integers(-128, 128, 16).astype("int8") for _ in range(2))
    # Both ends of int8 in one lane: the product of the minima needs more than 16 bits.
    a[:4] = b[:4] = -128
    return a, b


@needs_lld
@pytest.mark.parametrize(
    ("name", "cpu", "aliases"),
    [
        ("linux-arm64", "max", False),
        ("linux-arm64", "cortex-a53", False),
        ("cortex-a76", "cortex-a76", False),
        ("android-arm64", "max", True),
        ("exynos-990", "cortex-a76", True),
    ],
)
def test_board_agrees_with_the_host(
    arm64_root: Path, libraries: dict[str, Path], name: str, cpu: str, aliases: bool
):
    x = small_net.make_input()
    expected = small_net.run_here(libraries["host"], "main", x)
    got = run_on_board(
        arm64_root, libraries[name], "main", [x], cpu=cpu, aliases_bionic=aliases, threads=2
    )
    assert [array.shape for array in got] == [array.shape for array in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    # A network whose output does not depend on its input would pass the above as well.
    assert np.ptp(got[0]) > 0.5


@needs_lld
def test_functions_and_named_inputs(arm64_root: Path, libraries: dict[str, Path]):
    a, b = small_net.make_input(1), small_net.make_input(2)
    library = libraries["linux-arm64"]
    calls = [("head", [a, b]), ("head", {"b": b, "a": a})]
    (by_position,), (by_name,) = run_all_on_board(arm64_root, library, calls)
    np.testing.assert_array_equal(by_position, by_name)
    np.testing.assert_allclose(by_name, np.abs(a) ** np.float32(1.7) - b, rtol=1e-4, atol=1e-5)


@needs_lld
def test_android_library_needs_bionic_names(arm64_root: Path, libraries: dict[str, Path]):
    """Without the links the board has no libc.so: what the Android library asks for is real."""
    with pytest.raises(ArtefactError, match=r"libc\.so|libm\.so|libdl\.so"):
        run_on_board(arm64_root, libraries["android-arm64"], "main", [small_net.make_input()])


@needs_lld
def test_sdot_runs_where_the_core_has_it(arm64_root: Path, dot_library: Path):
    a, b = dot_inputs()
    expected = (a.astype("int32") * b.astype("int32")).reshape(4, 4).sum(1)
    (got,) = run_on_board(arm64_root, dot_library, "main", [a, b], cpu="cortex-a76")
    np.testing.assert_array_equal(got, expected)


@needs_lld
def test_sdot_on_a_core_without_it_is_told(arm64_root: Path, dot_library: Path):
    with pytest.raises(ArtefactError, match="SIGILL .*instruction.* on the emulated cortex-a72"):
        run_on_board(arm64_root, dot_library, "main", dot_inputs(), cpu="cortex-a72")


@needs_lld
def test_failures_in_the_board_are_sentences(arm64_root: Path, dot_library: Path):
    inputs = dot_inputs()
    with pytest.raises(ArtefactError, match="has no function 'nope'"):
        run_on_board(arm64_root, dot_library, "nope", inputs)
    with pytest.raises(ArtefactError, match="expects 2 arguments"):
        run_on_board(arm64_root, dot_library, "main", inputs[:1])
    with pytest.raises(TargetError, match="QEMU knows no core 'cortex-a99'"):
        run_on_board(arm64_root, dot_library, "main", inputs, cpu="cortex-a99")
    with pytest.raises(TargetError, match=r"no answer on the emulated max in 0\.1 s"):
        run_on_board(arm64_root, dot_library, "main", inputs, timeout=0.1)


def test_library_of_the_host_is_refused(arm64_root: Path, libraries: dict[str, Path]):
    if load_target("host").machine == "EM_AARCH64":
        pytest.skip("this machine is arm64 itself")
    with pytest.raises(ArtefactError, match="built for EM_X86_64"):
        run_on_board(arm64_root, libraries["host"], "main", [small_net.make_input()])
    with pytest.raises(ArtefactError, match="cannot be read"):
        run_on_board(arm64_root, libraries["host"].with_name("no.so"), "main", [])


def test_no_qemu_and_no_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    library = tmp_path / "net.so"
    qemu = tmp_path / "qemu-aarch64"
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="make_board.py"):
        run_on_board(tmp_path / "board", library, "main", [])
    qemu.unlink()
    with pytest.raises(TargetError, match="apt-get install qemu-user"):
        run_on_board(tmp_path / "board", library, "main", [])


def test_current_board_is_not_made_again(arm64_root: Path):
    stamp = next(arm64_root.glob("*.json"))
    made_at = stamp.stat().st_mtime_ns
    steps: list[str] = []
    assert make_root(arm64_root, on_step=steps.append) is False
    assert steps == []
    assert stamp.stat().st_mtime_ns == made_at


def test_board_of_other_pins_or_half_a_board_is_not_current(tmp_path: Path):
    assert not is_current(tmp_path)
    (tmp_path / "mqnet-board.json").write_text('{"digest": "of another version"}')
    assert not is_current(tmp_path)
    (tmp_path / "mqnet-board.json").write_text('{"dig')
    assert not is_current(tmp_path)


def test_a_users_folder_is_not_replaced(tmp_path: Path):
    board = tmp_path / "photos"
    board.mkdir()
    (board / "holiday.jpg").write_text("mine")
    with pytest.raises(TargetError, match="is no emulated board"):
        make_root(board)
    assert (board / "holiday.jpg").read_text() == "mine"


def test_no_apt_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="only be made on Debian or Ubuntu"):
        make_root(tmp_path / "board")


def test_failed_download_leaves_nothing(arm64_root: Path, tmp_path: Path):
    sources = tmp_path / "sources.list"
    sources.write_text("deb [trusted=yes] file:///no/such/archive stable main\n")
    folder = tmp_path / "cache"
    with pytest.raises(TargetError, match="cannot be fetched"):
        make_root(folder / "board", sources=sources)
    assert [path.name for path in folder.iterdir()] == [".board.lock"]
    with pytest.raises(TargetError, match="no such sources.list"):
        make_root(folder / "board", sources=tmp_path / "missing.list")


def test_default_place_follows_the_cache_folder():
    assert default_root({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/mqnet-tvm/arm64-board")
    assert default_root({"HOME": "/h"}) == Path("/h/.cache/mqnet-tvm/arm64-board")
