"""Training and its data by the command lines: bad input, and a run that is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import CA, REPOSITORY, Command, check_sentence, contents, in_fork
from PIL import Image

from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.training.held_out import held_out_pairs
from compile.training.scenes.write_exr import write_exr

TRAINING = ("--workers", "1", "--steps", "2", "--log-every", "2")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small panoramas for both sides of the split, and one that cannot be used."""
    folder = tmp_path_factory.mktemp("scenes")
    light = held_out_pairs()["forest-1"][1]
    for name in ("one", "crossroads", "forest"):
        write_exr(folder / f"{name}.exr", light[:128])
    write_exr(folder / "broken.exr", np.where(light[:128] > 1, np.float32(np.nan), light[:128]))
    return folder


@pytest.mark.parametrize("command", [("compile/scenes", "preview"), ("compile/train",)])
def test_no_scenes(here: Command, tmp_path: Path, out: Path, command: tuple[str, ...]):
    option = "--output" if "preview" in command else "--out"
    target = out / "x.png"
    missing = here(*command, "--scenes", tmp_path / "none", option, target)
    check_sentence(missing, str(tmp_path / "none"), "is no folder", "scenes.py fetch")
    (tmp_path / "empty").mkdir()
    empty = here(*command, "--scenes", tmp_path / "empty", option, target)
    check_sentence(empty, str(tmp_path / "empty"), "no train scene")


@pytest.mark.parametrize("option", ["--steps", "--log-every"])
def test_training_of_no_steps(here: Command, out: Path, option: str):
    check_sentence(here("compile/train", "--out", out, option, "0"), "0", "positive")
    assert contents(out) == {}


def test_a_folder_of_scenes_that_there_is_not(here: Command, tmp_path: Path):
    outcome = here("compile/scenes", "fetch", "--from", tmp_path / "no", "--out", tmp_path)
    check_sentence(outcome, f"--from {tmp_path / 'no'} is no folder", "NAME.exr")


def test_training_from_what_is_no_checkpoint(here: Command, scenes: Path, out: Path):
    (out / "a.safetensors").write_bytes(b"no weights")
    start = here(
        "compile/train", "--scenes", scenes, "--out", out, "--start", out / "a.safetensors"
    )
    check_sentence(start, "a.safetensors", "safetensors")


@pytest.mark.parametrize("more", [(), ("--start", CA, "--bfloat16")])
def test_fine_tuning_without_weights_or_in_bfloat16(here: Command, out: Path, more: tuple):
    outcome = here("compile/train", "--out", out, "--quantization-aware", *more)
    check_sentence(outcome, "--quantization-aware", "--start", "--bfloat16")
    assert contents(out) == {}


@pytest.mark.parametrize("more", [(), ("--workers", "1", "--quantization-aware", "--start", CA)])
def test_a_gpu_trains_in_float_by_one_worker(here: Command, out: Path, more: tuple):
    outcome = here("compile/train", "--out", out, "--device", "cuda", *more)
    check_sentence(outcome, "--device cuda", "--workers 1", "--quantization-aware")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(here: Command, out: Path):
    outcome = here("compile/train", "--out", out, "--device", "cuda", "--workers", "1")
    check_sentence(outcome, "--device cuda", "no GPU (CUDA)", "leave --device away")
    assert contents(out) == {}


def test_a_bad_panorama_is_named_and_left_out(scenes: Path, out: Path):
    outcome = in_fork("compile/scenes", "preview", "--scenes", scenes, "-o", out / "pairs.png")
    assert outcome.code == 0, outcome.err
    said = " ".join(outcome.err.split())
    assert "skipped" in said and "broken.exr" in said and "not a number" in said
    with Image.open(out / "pairs.png") as picture:
        assert picture.size == (5 * 2 * 160, 160)


@pytest.mark.slow
def test_training_by_the_command_line(scenes: Path, tmp_path: Path):
    command = ("--scenes", scenes, "--out", tmp_path / "run", *TRAINING)
    outcome = in_fork("compile/train", *command)
    assert outcome.code == 0, outcome.err
    assert "step 2 (24 crops" in outcome.err
    path = Path(outcome.out.strip())
    assert path == tmp_path / "run" / "ca.safetensors"
    assert load_checkpoint(path, "ca").attention == "ca"
    again = in_fork("compile/train", *command)
    assert (again.code, again.out) == (0, outcome.out)
    other = in_fork("compile/train", *command, "--seed", "1")
    assert other.code == 2 and "of a training with seed 0, not 1" in other.err


@pytest.mark.slow
def test_interrupted_training_goes_on(scenes: Path, tmp_path: Path):
    command = [sys.executable, "compile/train.py", "--scenes", str(scenes)]
    command += ["--out", str(tmp_path), "--workers", "2", "--steps", "500", "--log-every", "1"]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "state.pt").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on from there" in err and "Traceback" not in err
    assert not list(tmp_path.glob("*.safetensors"))
    steps = int(err.split("stopped at step ")[1].split(";")[0])
    assert 1 <= steps < 500
