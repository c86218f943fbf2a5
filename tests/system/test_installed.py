"""`pip install .` into a fresh environment: every command works from any folder."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from command_line import REPOSITORY
from needed_in_ci import give_up

from compile.imaging.bundled import bundled_photos

SCRIPTS = sorted(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the scripts of an environment with the project in it, not editable.

    What the project depends on is this environment's: a `.pth` file leads there, and no other one
    in there is read, so that this environment's own install of the project is not seen.
    """
    if shutil.which("git") is None:
        give_up("an install of the project", "no git on PATH, which lists the project's files")
    root = tmp_path_factory.mktemp("installed")
    source = root / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    for name in tracked.split("\0"):
        # What pip builds from; tests and reports would only be copied.
        if name and (REPOSITORY / name).is_file() and not name.startswith(("tests/", "docs/")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, target)
    venv.create(root / "venv", symlinks=True)
    python = root / "venv/bin/python"
    inside = sysconfig.get_paths(vars={"base": str(root / "venv")})["purelib"]
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    Path(inside, "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, *command, source], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(source)
    return root / "venv/bin"


def run(installed: Path, folder: Path, script: str, *arguments: object) -> str:
    """What an installed command prints, run in ``folder``; it has to succeed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [installed / script, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_help(installed: Path, tmp_path: Path, script: str) -> None:
    said = run(installed, tmp_path, script, "--help")
    assert "usage" in said.lower()


@pytest.mark.slow
def test_build_and_infer_from_another_folder(installed: Path, tmp_path: Path) -> None:
    photo = bundled_photos("test")[0]
    options = "--target", "host", "--scheme", "fp32", "--size", "64x64", "--out", "built", "--json"
    manifest = json.loads(run(installed, tmp_path, "mqnet-build", *options))
    assert manifest["versions"]["mqnet-tvm"] == importlib.metadata.version("mqnet-tvm")
    run(installed, tmp_path, "mqnet-infer", "built", photo, "-o", "photo.avif", "--resize")
    assert (tmp_path / "photo.avif").stat().st_size > 100


@pytest.mark.slow
def test_tuning_records_are_installed(installed: Path, tmp_path: Path) -> None:
    logs = json.loads(run(installed, tmp_path, "mqnet-tune", "--status", "--json"))
    shipped = {path.parent.name for path in REPOSITORY.glob("tuning_logs/*/session.json")}
    assert shipped and {log["log"] for log in logs} >= shipped


@pytest.mark.slow
def test_an_installed_package_is_not_written_to(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What rewrites a log rewrites the user's copy of it, which builds then use."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (shipped,) = installed.parent.glob("lib/python*/site-packages/tuning_logs/cortex-a76")
    before = {path.name: path.read_bytes() for path in shipped.iterdir()}
    run(installed, tmp_path, "mqnet-tune", "--target", "cortex-a76", "--compact", "1", "--json")
    assert {path.name: path.read_bytes() for path in shipped.iterdir()} == before
    own = tmp_path / "data/mqnet-tvm/tuning_logs/cortex-a76"
    assert sorted(before) == sorted(path.name for path in own.iterdir() if path.name != ".lock")
    options = "--target", "cortex-a76", "--size", "256x256", "--out", "built", "--json"
    manifest = json.loads(run(installed, tmp_path, "mqnet-build", *options))
    assert manifest["parts"][-1]["kernels_with_record"] > 0
