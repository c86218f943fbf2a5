"""Sessions on a device and `device/serve.py`, by their command lines."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import Command, as_user, check_sentence, needs_lld, x86_only
from fixtures_artefacts import ArtefactFactory
from fixtures_device import Served, free_port
from tvm import rpc

from bench.page.write_report import headlines, write_report
from bench.session.device import RemoteEngine
from bench.session.run_file import read_run
from device.server.tracker import tracker_address


def check_last_sentence(code: int, err: str, *parts: str) -> None:
    """Exit code 2, and a sentence at the end that holds all ``parts``."""
    assert code == 2 and "Traceback" not in err
    sentence = " ".join(err.split("error: ")[-1].splitlines())
    assert all(part in sentence for part in parts), err


def test_no_tracker_there(here: Command, out: Path):
    port = free_port()
    outcome = here("bench/latency", "--tracker", f"127.0.0.1:{port}", "--key", "x")
    ports = f"rpc_tracker --host 127.0.0.1 --port {port} --port-end {port + 1},"
    check_sentence(outcome, f"127.0.0.1:{port}", "Connection refused", ports)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--tracker", "9190", "--key", "x"), ("'9190'", "HOST:PORT")),
        (("--tracker", "127.0.0.1:99999", "--key", "x"), ("127.0.0.1:99999", "HOST:PORT")),
        (("--tracker", "127.0.0.1:9190"), ("127.0.0.1:9190", "--key")),
        (("--key", "my-board"), ("'my-board'", "--tracker")),
    ],
)
def test_half_an_address(here: Command, options: tuple[str, ...], parts: tuple[str, ...]):
    check_sentence(here("bench/latency", *options), *parts)


def test_what_answers_is_no_tracker(here: Command):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        def answer() -> None:
            with other.accept()[0] as connection:
                connection.sendall(b"SSH-2.0-x")

        threading.Thread(target=answer, daemon=True).start()
        outcome = here("bench/latency", "--tracker", f"127.0.0.1:{port}", "--key", "x")
    check_sentence(outcome, f"127.0.0.1:{port}", "no TVM tracker")


def test_a_tracker_is_found_by_its_name(tracker: tuple[str, int]):
    """Also where the name stands for ::1 first."""
    assert tracker_address(f"localhost:{tracker[1]}") == tracker


def test_devices_that_cannot_be_timed(here: Command, board: Served, out: Path, host: Path):
    tracker = board.options[:2]
    for options, parts in {
        (*tracker, "--key", "rpi5"): ("'rpi5'", "'board'", "device/serve.py"),
        (*board.options, "--threads", "999"): ("threads 999", "cores"),
        (*board.options, "--size", "256x256", "--artefact", host): ("256x256", "--artefact"),
    }.items():
        outcome = here("bench/latency", "--out", out / "run.json", *options)
        check_last_sentence(outcome.code, outcome.err, *parts)
    assert not list(out.iterdir())


@needs_lld
@x86_only
def test_builds_for_another_architecture(
    here: Command, board: Served, artefact: ArtefactFactory, out: Path
):
    file = out / "run.json"
    foreign = artefact("linux-arm64").library.parent
    for options in (("--target", "linux-arm64"), ("--artefact", foreign)):
        outcome = here("bench/latency", "--out", file, *board.options, *options)
        parts = "linux-arm64", "EM_AARCH64", "x86_64", "--target"
        check_last_sentence(outcome.code, outcome.err, *parts)
    outcome = here("bench/latency", "--out", file, "--artefact", foreign)
    check_last_sentence(outcome.code, outcome.err, "linux-arm64", "--target host")
    assert not file.exists()


def test_a_build_on_a_device(here: Command, board: Served, host: Path, out: Path):
    file = out / "run.json"
    session = ("--artefact", host, "--schemes", "mixed", "--seconds", "0.3")
    outcome = here("bench/latency", "--out", file, *board.options, *session)
    assert outcome.code == 0, outcome.err
    assert "EMULATED" not in outcome.out
    ours, litert = json.loads(file.read_text())["rows"]
    assert (ours["engine"], ours["scheme"], ours["size"]) == ("tvm", "mixed", "64x96")
    assert 0 < ours["min_ms"] <= ours["p10_ms"] <= ours["p50_ms"] <= ours["p90_ms"]
    assert ours["cpu_ms"] > 0 and ours["psnr_db"] > 40 and ours["activation_mb"] is None
    assert 0 < ours["planned_activation_mb"] < 10
    assert "litert-mixed-64x96.tflite" in litert["flags"][0]
    page = write_report(read_run(file), None, out / "report").read_text()
    assert "<figcaption>Latency</figcaption>" in page and "Memory of activations" not in page


def test_kernels_of_a_build_on_a_device(here: Command, board: Served, host: Path, out: Path):
    plot = out / "roofline.png"
    outcome = here("bench/kernel_times", host, *board.options, "-n", "2", "--json", "--plot", plot)
    assert outcome.code == 0, outcome.err
    run = json.loads(outcome.out)
    layers = [layer for call in run["calls"] for layer in call["layers"]]
    assert "net.backbone.encoder.stem.conv" in layers and "net.head.conv3" in layers
    assert all(call["seconds"] > 0 for call in run["calls"])
    assert run["environment"]["device"]["key"] == "board"
    assert run["environment"]["engine"] == f"TVM {version('apache-tvm')}"
    assert run["machine"]["clock_hz"] > 0.5e9 and plot.stat().st_size > 10_000
    refused = here("bench/kernel_times", host, *board.options, "--litert")
    check_last_sentence(refused.code, refused.err, "'board'", "leave --litert out")


def test_kernels_on_a_device_without_our_server(
    here: Command, tracker: tuple[str, int], host: Path
):
    stock = rpc.Server(
        *("127.0.0.1", free_port(), 65535),
        **{"tracker_addr": tracker, "key": "plain", "silent": True},
    )
    try:
        while (
            not rpc.connect_tracker(*tracker).summary()["queue_info"].get("plain", {}).get("free")
        ):
            pass
        options = "--tracker", f"{tracker[0]}:{tracker[1]}", "--key", "plain"
        outcome = here("bench/kernel_times", host, *options)
    finally:
        stock.terminate()
    check_last_sentence(outcome.code, outcome.err, "'plain'", "not served by device/serve.py")


def test_a_device_that_vanishes_in_the_middle(
    here: Command, own_board: Served, host: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    turns = []

    def vanish_in_a_turn(self: RemoteEngine, count: int) -> tuple[list[float], list[float]]:
        turns.append(self)
        if len(turns) == 6:
            own_board.vanish()
        return time_frames(self, count)

    time_frames = RemoteEngine.time_frames
    monkeypatch.setattr(RemoteEngine, "time_frames", vanish_in_a_turn)
    file = out / "run.json"
    session = ("--artefact", host, "--schemes", "mixed", "--seconds", "600")
    outcome = here("bench/latency", "--out", file, *own_board.options, *session)
    parts = "'own-board'", "lost in the middle", "device/serve.py"
    check_last_sentence(outcome.code, outcome.err, *parts)
    row = json.loads(file.read_text())["rows"][0]
    assert row["frames"] > 0 and "went away" in row["flags"][0] and "went away" in outcome.out


def test_serving_without_a_tracker(here: Command):
    port = free_port()
    outcome = here("device/serve", "--tracker", f"127.0.0.1:{port}", "--key", "x")
    check_sentence(outcome, f"127.0.0.1:{port}", "rpc_tracker")


def test_serving_at_a_port_that_is_taken(board: Served):
    """Never at another port: the tunnel leads to this one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ("--tracker", board.options[1], "--key", "other", "--port", port)
        outcome = as_user("device/serve", *options)
    check_last_sentence(outcome.code, outcome.err, f"port {port}", "--port")


@pytest.mark.parametrize("key", ["two words", ""])
def test_serving_under_a_key_that_nobody_could_ask_for(here: Command, key: str):
    check_sentence(here("device/serve", "--tracker", "127.0.0.1:9190", "--key", key), repr(key))


def test_serving_a_tracker_that_could_not_lead_to_us(
    here: Command, monkeypatch: pytest.MonkeyPatch
):
    from device import serve

    monkeypatch.setattr(serve, "tracker_address", lambda _: ("192.0.2.1", 9190))
    outcome = here("device/serve", "--tracker", "192.0.2.1:9190", "--key", "x")
    check_sentence(outcome, "192.0.2.1", "ssh -R", "--host")


def test_the_help_says_what_rpc_is(here: Command):
    text = here("device/serve", "--help").out
    for part in ("executes whatever it is sent", "ssh -R", "-L 9090", "adb reverse", "adb forward"):
        assert part in text
    assert "default: 127.0.0.1" in text


@pytest.mark.slow
@needs_lld
def test_an_emulated_board(
    arm64_root: Path,
    serve: Callable[..., AbstractContextManager[Served]],
    here: Command,
    out: Path,
):
    """The whole way: our build and LiteRT's aarch64 runtime, labelled wherever they are shown."""
    file = out / "run.json"
    session = ("--target", "cortex-a76", "--schemes", "mixed", "--seconds", "0.4")
    with serve("emulated", "device/serve_board.py") as emulated:
        outcome = here("bench/latency", "--out", file, *emulated.options, *session)
        assert outcome.code == 0, outcome.err
        wrong = here("bench/latency", "--out", out / "no.json", *emulated.options)
        (built,) = out.glob("cortex-a76-mixed-256x256-*")
        kernels = here("bench/kernel_times", built, *emulated.options, "-n", "1")
    run = json.loads(file.read_text())
    ours, litert = run["rows"]
    assert ours["psnr_db"] > 50 and litert["psnr_db"] > 45
    for row in run["rows"]:
        assert row["flags"][0].startswith("EMULATED") and row["cpu_ms"] > 0
    assert run["environment"]["emulated"] == "qemu-user"
    assert run["environment"]["cpu"].startswith("EMULATED by qemu-user: aarch64")
    assert run["environment"]["device"]["ai-edge-litert"] == litert["version"]
    assert outcome.out.count("EMULATED") >= 3
    page = write_report(read_run(file), None, out / "report").read_text()
    assert "EMULATED</h1>" in page and all("EMULATED" in line for line in headlines(read_run(file)))
    assert kernels.code == 0, kernels.err
    assert "EMULATED by qemu-user: aarch64" in kernels.out and "net.head.conv1" in kernels.out
    if os.uname().machine == "x86_64":
        check_last_sentence(wrong.code, wrong.err, "target host", "aarch64", "--target")
