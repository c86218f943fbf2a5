"""Clips through compile/infer.py, file to file and through pipes."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from clip_files import frames_of, said_light, write_clip
from command_line import REPOSITORY, Command, check_sentence, contents, fill

from compile.artefact.reader import open_artefact
from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.gamuts import BT709_TO_BT2020
from compile.imaging.transfer import pq_encode
from device.runtime.infer_photos import run_photo
from device.runtime.run_artefact import Session

# Uneven, as a telephone's.
TIMES = [0, 33, 100, 133, 250, 266]


def decoded(path: Path) -> list:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(("codec", "name"), [("hevc", "out.mkv"), ("av1", "out.mp4")])
def test_a_clip(here: Command, host: Path, tmp_path: Path, codec: str, name: str) -> None:
    """Light, times, sound, rotation and words of the original, and what HDR10 says."""
    clip = write_clip(tmp_path / "clip.mkv", frames_of(6), times=TIMES, sound=True, rotation=90)
    out = tmp_path / name
    outcome = here("compile/infer", host, clip, "-o", out, "--codec", codec, "--crf", "1", "--json")
    assert outcome.code == 0, outcome.err
    (line,) = outcome.out.splitlines()
    said = json.loads(line)
    assert (said["frames"], said["copied_streams"], said["codec"]) == (6, 1, codec)
    assert sum(said["shares"].values()) == pytest.approx(1, abs=1e-3)
    frames = decoded(out)
    assert [round(frame.time * 1000) for frame in frames] == TIMES
    assert frames[0].format.name == "yuv420p10le" and frames[0].rotation == 90
    assert (frames[0].color_primaries, frames[0].color_trc, frames[0].colorspace) == (9, 16, 9)
    light = said_light(frames[0])
    assert (light.max_cll, light.max_fall) == (said["max_cll"], said["max_fall"])
    assert light.largest == said["mastering_display"]["max_luminance"]
    lights = [nits_of(host, frame) for frame in decoded_photos(clip)]
    brightest = [one.max(axis=-1) for one in lights]
    assert said["max_cll"] == pytest.approx(max(one.max() for one in brightest), abs=0.6)
    assert said["max_fall"] == pytest.approx(max(one.mean() for one in brightest), abs=0.6)
    # Nearly lossless: the light that a photograph would get.
    luma = (plane(frames[3]) - 64) / 876
    wanted = pq_encode(lights[3]) @ (0.2627, 0.6780, 0.0593)  # ITU-R BT.2100-2, table 6.
    assert np.corrcoef(luma.ravel(), wanted.ravel())[0, 1] > 0.99
    assert heard(out) == heard(clip)


def nits_of(host: Path, photo: np.ndarray) -> np.ndarray:
    linear, _ = run_photo(Session(open_artefact(host)), photo, "pad")
    return np.maximum(linear @ BT709_TO_BT2020.T, 0) * WHITE_NITS


def decoded_photos(path: Path) -> list[np.ndarray]:
    frames = decoded(path)
    return [
        frame.reformat(
            format="rgb24", src_colorspace="ITU601", interpolation="BILINEAR"
        ).to_ndarray()
        for frame in frames
    ]


def plane(frame: av.VideoFrame) -> np.ndarray:
    first = frame.planes[0]
    whole = np.frombuffer(memoryview(first), np.uint16).reshape(first.height, -1)
    return whole[:, : first.width].astype(float)


def heard(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_odd_sizes_and_larger_ones(here: Command, host: Path, tmp_path: Path) -> None:
    odd = write_clip(tmp_path / "odd.mkv", frames_of(3, 33, 51), pixels="bgr0")
    outcome = here("compile/infer", host, odd, "-o", tmp_path / "out.mkv", "--codec", "hevc")
    assert outcome.code == 0, outcome.err
    (first, *_) = decoded(tmp_path / "out.mkv")
    assert (first.height, first.width) == (34, 52)
    large = write_clip(tmp_path / "large.mkv", frames_of(3, 128, 160))
    check_sentence(
        here("compile/infer", host, large, "-o", tmp_path / "no.mkv"), "160x128", "--resize"
    )
    outcome = here(
        "compile/infer", host, large, "-o", tmp_path / "small.mkv", "--resize", "--steady"
    )
    assert outcome.code == 0, outcome.err
    (first, *_) = decoded(tmp_path / "small.mkv")
    assert (first.height, first.width) == (64, 80)


def test_interlaced_and_ten_bits_are_said(
    here: Command, host: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = write_clip(
        tmp_path / "clip.mkv", frames_of(4), "prores_ks", "yuv422p10le", flags=1 << 18
    )
    outcome = here("compile/infer", host, clip, "-o", tmp_path / "out.mkv")
    assert outcome.code == 0, outcome.err
    assert "has 10 bits" in caplog.text and "is interlaced" in caplog.text
    assert len(decoded(tmp_path / "out.mkv")) == 4


def test_through_pipes(host: Path, tmp_path: Path) -> None:
    """Frames in, frames out: the same as from a file, and nothing else on stdout."""
    clip = write_clip(tmp_path / "clip.mkv", frames_of(4, 63, 95), pixels="bgr0")
    raw = b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames_of(4, 63, 95))
    infer = [sys.executable, "compile/infer.py", str(host)]
    done = [
        subprocess.run(
            [*infer, *options], cwd=REPOSITORY, input=given, capture_output=True, check=True
        )
        for options, given in (
            ((str(clip), "-o", "-", "--y4m"), b""),
            (("-", "-o", "-", "--raw", "95x63@25"), raw),
        )
    ]
    head, *frames = done[0].stdout.split(b"FRAME\n")
    assert head == b"YUV4MPEG2 W95 H63 F25:1 Ip A1:1 C420p10 XYSCSS=420P10 XCOLORRANGE=LIMITED\n"
    assert b"".join(frames) == done[1].stdout
    assert len(done[1].stdout) == 4 * 2 * (63 * 95 + 2 * 32 * 48)
    with av.open(io.BytesIO(done[0].stdout)) as container:
        read = list(container.decode(video=0))
    assert (len(read), read[0].format.name, read[0].color_range) == (4, "yuv420p10le", 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("hdr.mkv", "-o", "x.mkv"), ("HDR already (PQ)",)),
        (("sound.mka", "-o", "x.mkv"), ("no video stream",)),
        (("empty.mp4", "-o", "x.mkv"), ("is no clip",)),
        (("damaged.mkv", "-o", "x.mkv"), ("damaged",)),
        (("missing.mp4", "-o", "x.mkv"), ("no such file",)),
        (("good.mkv", "-o", "good.mkv"), ("one of the inputs",)),
        (("good.mkv", "-o", "no/x.mkv"), ("cannot be written",)),
        (("good.mkv", "-o", "-"), ("--y4m and --raw",)),
        (("good.mkv", "-o", "x.mkv", "--y4m"), ("are of pipes",)),
        (("good.mkv", "-o", "x.mkv", "--quality", "9"), ("--quality is of photographs",)),
        (("good.mkv", "-o", "x.mkv", "--crf", "99"), ("crf 99",)),
        (("good.mkv", "-o", "x.avif", "--codec", "av1"), ("--codec is of clips",)),
        (("good.mkv", "good.mkv", "-o", "x.mkv"), ("one clip",)),
        (("good.mkv", "-o", "x.mov"), ("cannot hold AV1", "--codec hevc")),
        (("good.mkv", "-o", "x.mov", "--codec", "hevc"), ("audio of flac", "ends in .mkv")),
        (("-", "-o", "x.mkv", "--raw", "0x9"), ("--raw 0x9",)),
    ],
    ids=str,
)
def test_one_sentence(
    here: Command,
    host: Path,
    clips: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(clips)
    before = contents(clips)
    check_sentence(here("compile/infer", host, *options), *words)
    assert contents(clips) == before


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "good.mkv", frames_of(5), sound=True)
    hdr = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
    write_clip(folder / "hdr.mkv", frames_of(2), pixels="yuv420p10le", **hdr)
    (folder / "empty.mp4").write_bytes(b"")
    data = write_clip(folder / "damaged.mkv", frames_of(5), "mpeg4").read_bytes()
    half = len(data) // 2
    (folder / "damaged.mkv").write_bytes(data[:half] + bytes(200) + data[half + 200 :])
    with av.open(str(folder / "sound.mka"), "w") as container:
        track = container.add_stream("flac", 48000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        sound.sample_rate = 48000
        container.mux([*track.encode(sound), *track.encode(None)])
    return folder


def test_full_disk(here: Command, host: Path, clips: Path, small_disk: Path) -> None:
    fill(small_disk, 0)
    before = contents(small_disk)
    outcome = here("compile/infer", host, clips / "good.mkv", "-o", small_disk / "x.mkv")
    check_sentence(outcome, str(small_disk / "x.mkv"), "no space left")
    assert contents(small_disk) == before


@pytest.mark.parametrize("left", [1, 6, 4000])
def test_a_pipe_that_ends_within_a_frame(host: Path, tmp_path: Path, left: int) -> None:
    """FFmpeg's reader says nothing: the clip would be taken for a shorter one."""
    frame = b"FRAME\n" + bytes(96 * 64 * 3 // 2)
    given = b"YUV4MPEG2 W96 H64 F25:1 Ip A1:1 C420\n" + 3 * frame + frame[:left]
    infer = [sys.executable, "compile/infer.py", str(host), "-", "--y4m"]
    done = subprocess.run(
        [*infer, "-o", str(tmp_path / "x.mkv")], cwd=REPOSITORY, input=given, capture_output=True
    )
    assert done.returncode == 2
    assert b"stdin ends within a frame" in done.stderr
    assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupted(host: Path, tmp_path: Path) -> None:
    """Ctrl-C leaves nothing, and says so by its code."""
    out = tmp_path / "out"
    out.mkdir()
    command = [
        sys.executable,
        "compile/infer.py",
        str(host),
        "-",
        "-o",
        str(out / "x.mkv"),
        "--y4m",
    ]
    header = b"YUV4MPEG2 W96 H64 F25:1 Ip A1:1 C420\n"
    frame = b"FRAME\n" + bytes(96 * 64 * 3 // 2)
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stderr
        process.stdin.write(header + 40 * frame)
        process.stdin.flush()
        # The file that it keeps packets in has no name, but a descriptor: it has begun.
        held = Path(f"/proc/{process.pid}/fd")
        while not any(str(out) in os.readlink(one) for one in held.iterdir() if one.exists()):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        said = process.stderr.read().decode()
        assert process.wait() == 130, said
    assert "Traceback" not in said and list(out.iterdir()) == []


def test_a_reader_that_goes(host: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", frames_of(6))
    infer = shlex.join(
        [sys.executable, "compile/infer.py", str(host), str(clip), "-o", "-", "--y4m"]
    )
    script = f"{infer} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 141 and b"Traceback" not in done.stderr
