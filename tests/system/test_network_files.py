"""Networks from files of other tools by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Outcome, as_user, check_sentence
from quantized_files import SIZE, quantized, residual, saved
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

from compile.artefact.reader import open_artefact
from compile.imaging.bundled import bundled_photos
from device.runtime.run_artefact import Session

PHOTO = bundled_photos("test")[0]


def built(file: Path, out: Path, *options: object, cache: Path | None = None) -> Outcome:
    env = {} if cache is None else {"MQNET_BUILD_CACHE": str(cache)}
    return as_user(
        "compile/build", "--network", file, "--target", "host", "--out", out, *options, env=env
    )


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net, x = residual()
    return saved(torch.export.export(net, (x,)), tmp_path_factory.mktemp("floats") / "net.pt2")


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    program = quantized(*residual(), quantizer)
    return saved(program, tmp_path_factory.mktemp("integers") / "net.pt2")


def test_from_a_quantized_program_to_a_picture(integers: Path, tmp_path: Path) -> None:
    outcome = built(integers, tmp_path / "made", "--json")
    assert outcome.code == 0, outcome
    manifest = json.loads(outcome.out)
    assert manifest["scheme"] == "int8" and manifest["network"] == "net"
    assert manifest["parameters"]["source"] == str(integers)
    assert manifest["inputs"][0]["shape"] == [1, *SIZE, 3]
    out = tmp_path / "out.exr"
    written = as_user("compile/infer", tmp_path / "made", PHOTO, "--resize", "-o", out)
    assert written.code == 0 and out.stat().st_size > 1000, written


def test_another_file_of_that_name_is_built_anew(tmp_path: Path) -> None:
    net, x = residual()
    cache, image = tmp_path / "cache", np.zeros((*SIZE, 3), np.uint8)
    results, said = [], []
    for number, bias in enumerate((0.0, 0.0, 2.0)):
        torch.nn.init.constant_(net.tail.bias, bias)
        path = saved(torch.export.export(net, (x,)), tmp_path / "net.pt2")
        out = tmp_path / f"made{number}"  # A library that is loaded stays so.
        outcome = built(path, out, "--scheme", "fp32", cache=cache)
        assert outcome.code == 0, outcome
        said.append("from the build cache" in outcome.err)
        results.append(Session(open_artefact(out)).run(image)[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 0.1
    assert said[2] is False


@pytest.mark.parametrize(
    ("kind", "options", "parts"),
    [
        ("floats", "", ("in float, and scheme mixed", "--calibrate", "--scheme fp32")),
        ("floats", "--scheme fp32 --size 64x64", ("takes 32x48 and not 64x64",)),
        ("integers", "--scheme mixed", ("quantized already, as int8", "--scheme mixed out")),
        ("integers", "--head tail", ("leave --head out",)),
        ("integers", "--attention ca", ("leave --attention out",)),
    ],
)
def test_what_cannot_be_built(
    kind: str, options: str, parts: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    outcome = built(request.getfixturevalue(kind), tmp_path / "made", *options.split())
    check_sentence(outcome, *parts)
    assert not (tmp_path / "made").exists()


def test_file_that_is_cut_off(floats: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.pt2"
    part.write_bytes(floats.read_bytes()[:5000])
    check_sentence(built(part, tmp_path / "made"), "part.pt2 is cut off", "torch.export.save")


@pytest.mark.slow
def test_what_was_built_is_timed(integers: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.json"
    outcome = as_user(
        "bench/latency", "--network", integers, "--against", "pytorch", "--seconds", "0.2",
        "--out", run, "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    rows = json.loads(run.read_text())["rows"]
    assert {(row["engine"], row["scheme"]) for row in rows} == {
        ("tvm", "int8"),
        ("pytorch", "fp32"),
    }
    assert min(row["psnr_db"] for row in rows) > 50
