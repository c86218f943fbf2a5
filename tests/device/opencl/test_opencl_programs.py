"""Compiled programs: one for a module, found again in memory and on disk, made again if damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tvm
from opencl_kernels import add_module, conv_module, draw_input, program_counts
from tvm import relax


@pytest.fixture
def cache(opencl: tvm.runtime.Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, empty at first, that is this test's own."""
    monkeypatch.setenv("MQNET_OPENCL_CACHE", str(tmp_path / "programs"))
    return tmp_path / "programs"


def came_from(run: Callable[[], object]) -> dict[str, int]:
    """How many programs ``run`` took from where."""
    before = program_counts()
    run()
    grown = {key: count - before[key] for key, count in program_counts().items()}
    return {key: count for key, count in grown.items() if count}


def test_one_program_for_all_kernels(opencl: tvm.runtime.Device, cache: Path):
    machine = relax.VirtualMachine(conv_module()[0], opencl)
    x = tvm.runtime.tensor(draw_input(), opencl)
    assert came_from(lambda: machine["main"](x).numpy()) == {"compiled": 1}
    assert came_from(lambda: machine["main"](x).numpy()) == {}
    assert [path.suffix for path in cache.iterdir()] == [".program"]


def test_found_again(opencl: tvm.runtime.Device, cache: Path):
    living = [add_module(constant=1), add_module(constant=1)]
    assert came_from(lambda: _run(opencl, living[0], 1)) == {"compiled": 1}
    assert came_from(lambda: _run(opencl, living[1], 1)) == {"from_memory": 1}
    living.clear()
    assert came_from(lambda: _run(opencl, add_module(constant=1), 1)) == {"from_disk": 1}
    # Another source is another program.
    assert came_from(lambda: _run(opencl, add_module(constant=2), 2)) == {"compiled": 1}


@pytest.mark.parametrize("damage", ["cut", "empty", "other bytes", "no binary", "other program"])
def test_damaged(
    opencl: tvm.runtime.Device, cache: Path, damage: str, capfd: pytest.CaptureFixture[str]
):
    _run(opencl, add_module(constant=3), 3)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(_damaged(whole, damage))
    assert came_from(lambda: _run(opencl, add_module(constant=3), 3)) == {"compiled": 1}
    said = capfd.readouterr().err
    if damage == "no binary":
        assert "does not take a program" in said
    elif damage != "other program":
        assert f"{path} is damaged" in said
    # It is whole again.
    assert list(cache.iterdir()) == [path]
    assert came_from(lambda: _run(opencl, add_module(constant=3), 3)) == {"from_disk": 1}
    assert capfd.readouterr().err == ""


def test_a_cache_that_cannot_be_written(
    opencl: tvm.runtime.Device, cache: Path, capfd: pytest.CaptureFixture[str]
):
    cache.write_text("no folder")
    assert came_from(lambda: _run(opencl, add_module(constant=4), 4)) == {"compiled": 1}
    said = capfd.readouterr().err
    assert str(cache) in said and "MQNET_OPENCL_CACHE" in said
    assert cache.read_text() == "no folder"


def test_the_folder_does_not_grow_for_ever(opencl: tvm.runtime.Device, cache: Path):
    cache.mkdir()
    for number in range(600):
        (cache / f"{number:016x}.program").touch()
        os.utime(cache / f"{number:016x}.program", (number, number))
    (cache / "0.cl").touch()
    _run(opencl, add_module(constant=5), 5)
    left = sorted(path.name for path in cache.glob("*.program"))
    assert len(left) == 384
    # The newest is the program itself.
    assert f"{599:016x}.program" in left and f"{200:016x}.program" not in left
    assert (cache / "0.cl").exists()


def _run(device: tvm.runtime.Device, library: tvm.runtime.Executable, constant: int) -> None:
    zero = tvm.runtime.tensor(np.zeros(1000, "float32"), device)
    total = tvm.runtime.empty((1000,), "float32", device)
    library["main"](zero, zero, total)
    np.testing.assert_array_equal(total.numpy(), np.full(1000, constant))


def _damaged(whole: bytes, damage: str) -> bytes:
    """The file layout is that of program_files.cc: a line, three sizes, what it is of, binary."""
    line = whole.index(b"\n") + 1
    identity_size, _, _ = np.frombuffer(whole[line : line + 24], "<u8").tolist()
    identity = whole[line + 24 : line + 24 + identity_size]
    binary = whole[line + 24 + identity_size :]
    match damage:
        case "cut":
            return whole[:-1]
        case "empty":
            return b""
        case "other bytes":
            return whole[:-10] + bytes(byte ^ 0xFF for byte in whole[-10:])
        case "no binary":
            return _file(identity, b"no program")
        case "other program":
            return _file(identity[:-1] + b"?", binary)
    raise ValueError(damage)


def _file(identity: bytes, binary: bytes) -> bytes:
    checksum = 14695981039346656037
    for byte in identity + binary:
        checksum = (checksum ^ byte) * 1099511628211 % 2**64
    sizes = np.array([len(identity), len(binary), checksum], "<u8").tobytes()
    return b"mqnet-opencl-1\n" + sizes + identity + binary
