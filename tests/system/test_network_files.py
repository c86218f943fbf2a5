"""Networks from files of other tools by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Command, Outcome, as_user, check_sentence, in_fork
from lowered_backbones import photo_crop
from onnx_files import IMAGE as ONNX_IMAGE
from onnx_files import INTEGER_CASES, OnnxFile, run_onnx
from quantized_files import SIZE, Compiled, quantized, residual, saved
from tflite_cases import IMAGE, SHAPE, write_case
from tflite_files import TfliteFile, litert_tensors, result_bytes, run_litert
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

from bench.peers.peer_files import litert_name, peer_file
from compile.artefact.reader import open_artefact
from compile.imaging.bundled import bundled_photos
from compile.networks.registry import find_network
from device.runtime.run_artefact import Session

PHOTO = bundled_photos("test")[0]


def built(
    file: Path, out: Path, *options: object, cache: Path | None = None, run: Command = in_fork
) -> Outcome:
    env = {} if cache is None else {"MQNET_BUILD_CACHE": str(cache)}
    return run(
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
    written = in_fork("compile/infer", tmp_path / "made", PHOTO, "--resize", "-o", out)
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
    check_sentence(
        built(part, tmp_path / "made", run=as_user), "part.pt2 is cut off", "torch.export.save"
    )


@pytest.mark.slow
def test_what_was_built_is_timed(integers: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.json"
    outcome = in_fork(
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


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "apart"), [("int8", 0.0), ("mixed", 1e-5)])
def test_litert_files_of_mqnet_are_litert_to_the_bit(scheme: str, apart: float) -> None:
    """All of int8; of mixed what its head reads, and its head to float32's rounding."""
    path = peer_file(litert_name(scheme, (256, 256)))
    network = find_network(str(path), {})
    assert network.scheme == scheme
    compiled, image = Compiled(network, scheme), photo_crop(PHOTO, 256, 256)
    expected, tensors = run_litert(path, image), litert_tensors(path, image)
    if scheme == "int8":
        found = result_bytes(path, compiled.run(image)[0])
        np.testing.assert_array_equal(found, expected)
        return
    (found,) = compiled.run(image, "backbone")
    shown = [one for one in tensors if one.dtype == np.int8 and one.shape == found.shape]
    assert any(np.array_equal(one, found) for one in shown)
    np.testing.assert_allclose(compiled.run(image)[0], expected, atol=apart)


def test_from_a_litert_file_to_a_picture(tmp_path: Path) -> None:
    file = write_case("moved", tmp_path / "net.tflite")
    outcome = built(file, tmp_path / "made", "--json")
    assert outcome.code == 0, outcome
    manifest = json.loads(outcome.out)
    assert manifest["scheme"] == "int8" and manifest["coverage"]
    image = IMAGE[0]
    found, _ = Session(open_artefact(tmp_path / "made")).run(image)
    np.testing.assert_array_equal(result_bytes(file, found[None]), run_litert(file, IMAGE))


def test_from_a_litert_file_of_tensors_to_tensors(tmp_path: Path) -> None:
    """Two inputs and two outputs, by the names of the file."""
    file = TfliteFile()
    first, second = (file.tensor((1, 4, 6, 5), "float32") for _ in range(2))
    output = file.operator(
        "ADD", [first, second], file.tensor((1, 4, 6, 5), "float32"), "AddOptions"
    )
    axes = file.tensor((1,), "int32", values=np.array([3], np.int32))
    best = file.tensor((1, 4, 6), "int64")
    file.operator("ARG_MAX", [output, axes], best, "ArgMaxOptions", outputType=4)
    path = file.write(tmp_path / "net.tflite", [first, second], [output, best])
    outcome = built(path, tmp_path / "made", "--scheme", "fp32", "--json")
    assert outcome.code == 0, outcome
    manifest = json.loads(outcome.out)
    names = [one["name"] for one in manifest["inputs"]]
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(1, 4, 6, 5)).astype(np.float32) for _ in names]
    np.savez(tmp_path / "in.npz", **dict(zip(names, given, strict=True)))
    written = in_fork(
        "compile/infer", tmp_path / "made", tmp_path / "in.npz", "-o", tmp_path / "out.npz"
    )
    assert written.code == 0, written
    with np.load(tmp_path / "out.npz") as found:
        made = [found[one["name"]] for one in manifest["outputs"]]
    np.testing.assert_array_equal(made[0], given[0] + given[1])
    np.testing.assert_array_equal(made[1], made[0].argmax(3))


def test_a_litert_file_that_cannot_be_built(tmp_path: Path) -> None:
    file = TfliteFile()
    file.tensor(SHAPE, "int8", 1 / 255, -128)
    file.tensor(SHAPE, "int8", 1 / 255, -128)
    file.operator("CUSTOM", [0], 1)
    path = file.write(tmp_path / "net.tflite", [0], [1])
    outcome = built(path, tmp_path / "made", run=as_user)
    check_sentence(outcome, "net.tflite", "layer/part1", "custom op Mine")
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["int8", "mixed"])
def test_onnx_files_of_mqnet_are_onnx_runtime(scheme: str) -> None:
    """Equal in all of int8; the float head of mixed within float32's rounding. Optimized or not,
    ONNX Runtime itself rounds a tie now and then to another number: one of both it has to be."""
    path, size = peer_file(f"onnx-{scheme}.onnx"), (128, 160)
    image = photo_crop(PHOTO, *size)
    (found,) = Compiled(find_network(str(path), {}), scheme, size).run(image)
    opened = {"32*rows": size[0], "32*columns": size[1]}
    runs = [run_onnx(path, image, optimized, **opened) for optimized in (True, False)]
    nearest = np.min([np.abs(found - np.reshape(one, found.shape)) for one in runs], axis=0)
    assert nearest.max() < 1e-6


def test_from_an_onnx_file_to_a_picture(tmp_path: Path) -> None:
    file = OnnxFile()
    output = file.rounded(INTEGER_CASES["concat"](file))
    path = file.write(tmp_path / "net.onnx", output)
    outcome = built(path, tmp_path / "made", "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["scheme"] == "int8"
    found, _ = Session(open_artefact(tmp_path / "made")).run(ONNX_IMAGE[0])
    expected = run_onnx(path, ONNX_IMAGE)[0]
    np.testing.assert_allclose(found, expected, atol=file.scales[output] / 4)


def test_onnx_file_in_float(tmp_path: Path) -> None:
    file = OnnxFile(quantized=False)
    output = file.node("Sigmoid", file.conv(file.picture(), width=3))
    path = file.write(tmp_path / "net.onnx", output)
    outcome = built(path, tmp_path / "made", "--scheme", "int8", run=as_user)
    check_sentence(outcome, "net.onnx is in float", "scheme int8", "--calibrate")
    assert not (tmp_path / "made").exists()
    photos = PHOTO.parent
    outcome = built(path, tmp_path / "made", "--scheme", "int8", "--calibrate", photos)
    assert outcome.code == 0, outcome
    found, _ = Session(open_artefact(tmp_path / "made")).run(ONNX_IMAGE[0])
    np.testing.assert_allclose(found, run_onnx(path, ONNX_IMAGE)[0], atol=0.03)
