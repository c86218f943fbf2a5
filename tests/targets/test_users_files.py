"""Target files of a user, by their paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from compile.place_network import processor_beside
from compile.support.errors import TargetError
from targets.load_target import TARGET_FOLDER, load_target, target_name


def test_a_file_of_the_users(tmp_path: Path):
    shipped = TARGET_FOLDER / "cortex-a76.toml"
    path = tmp_path / "mine.toml"
    path.write_text(shipped.read_text())
    mine, known = load_target(str(path)), load_target("cortex-a76")
    assert mine.name == target_name(str(path)) == "mine"
    assert replace(mine, name="", processor=replace(mine.processor, name="")) == replace(
        known, name="", processor=replace(known.processor, name="")
    )
    # As editors of some systems write it.
    path.write_bytes(b"\xef\xbb\xbf" + shipped.read_bytes())
    assert load_target(str(path)) == mine
    path = tmp_path / "rpi4.toml"
    path.write_text(shipped.read_text())
    with pytest.raises(TargetError, match=r"rpi4\.toml has the name of a target that there is"):
        load_target(str(path))
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    with pytest.raises(TargetError, match=r"pipe\.toml is not a regular file"):
        load_target(str(pipe))
    with pytest.raises(TargetError, match=r"nowhere\.toml cannot be read \(no such file"):
        load_target(str(tmp_path / "nowhere.toml"))


def test_a_gpu_of_the_users_beside_a_processor_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The path is from the file's own folder, wherever the command is started."""
    (tmp_path / "box.toml").write_text((TARGET_FOLDER / "cortex-a76.toml").read_text())
    gpu = (TARGET_FOLDER / "linux-mali.toml").read_text()
    assert 'processor = "rk3588"' in gpu
    path = tmp_path / "gpu.toml"
    path.write_text(gpu.replace('"rk3588"', '"./box.toml"'))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    spec = load_target("../gpu.toml")
    assert spec.processor == load_target("../box.toml").processor
    assert processor_beside(spec) == load_target("../box.toml")


def test_a_gpu_beside_itself(tmp_path: Path):
    gpu = (TARGET_FOLDER / "linux-mali.toml").read_text()
    (tmp_path / "gpu.toml").write_text(gpu.replace('"rk3588"', '"gpu.toml"'))
    with pytest.raises(TargetError, match=r"gpu\.toml: 'processor' gpu is a GPU"):
        load_target(str(tmp_path / "gpu.toml"))
