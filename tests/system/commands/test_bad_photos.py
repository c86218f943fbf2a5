"""Bad input to the command lines, photographs: one sentence, exit code 2, nothing half written.

Most cases call the command's ``main`` in this process, since importing TVM and torch takes
seconds; one of each kind, and all that limit the process itself, run as a user would run them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
import pytest
from command_line import (
    Command,
    as_user,
    check_sentence,
    contents,
    write_nothing,
    write_text,
)
from picture_files import chunk, png, scene
from PIL import Image

from compile.imaging.decode_hdr import mu_law
from compile.imaging.jpeg_segments import first_picture
from compile.imaging.metrics import psnr


def test_a_good_photograph_first(here: Command, host: Path, photo: Path, out: Path):
    """What the errors are compared with: the same command succeeds when nothing is wrong."""
    for ending in (".avif", ".exr", ".jpg", ".jxl", ".png"):
        outcome = here("compile/infer", host, photo, "-o", out / f"hdr{ending}")
        assert outcome.code == 0 and outcome.out == "", outcome
    assert sorted(contents(out)) == ["hdr.avif", "hdr.exr", "hdr.jpg", "hdr.jxl", "hdr.png"]
    with Image.open(out / "hdr.png") as picture:
        assert picture.size == (90, 60)
    # The photograph's own bytes, the light of the other files.
    assert first_picture((out / "hdr.jpg").read_bytes()).endswith(photo.read_bytes()[-2000:])
    shown = imagecodecs.ultrahdr_decode((out / "hdr.jpg").read_bytes(), boost=16.0)[..., :3]
    light = OpenEXR.File(str(out / "hdr.exr")).channels()["RGB"].pixels
    assert psnr(mu_law(shown), mu_law(light)) > 25  # Of noise, which no JPEG keeps well.


def test_missing_photo(host: Path, out: Path):
    check_sentence(
        as_user("compile/infer", host, "nowhere.jpg", "-o", out / "x.avif"), "nowhere.jpg"
    )
    assert contents(out) == {}


def test_truncated_photo(host: Path, photo: Path, out: Path):
    photo.write_bytes(photo.read_bytes()[:-600])
    check_sentence(
        as_user("compile/infer", host, photo, "-o", out / "x.avif"), str(photo), "truncated"
    )
    assert contents(out) == {}


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _heic(path: Path) -> None:
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def _pq(path: Path) -> None:
    path.write_bytes(png(scene(60, 90), chunk(b"cICP", bytes((9, 16, 0, 1)))))


def _tiny(path: Path) -> None:
    Image.new("RGB", (31, 40)).save(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (write_text, "a text file, not a JPEG, PNG, HEIC"),
        (_heic, "truncated or damaged"),
        (_pq, "HDR already (PQ"),
        (write_nothing, "empty"),
        (_folder, "cannot be read"),
        (_tiny, "31x40"),
    ],
)
def test_no_photo(
    here: Command,
    host: Path,
    photo: Path,
    out: Path,
    spoil: Callable[[Path], None],
    words: str,
):
    spoil(photo)
    check_sentence(here("compile/infer", host, photo, "-o", out / "x.avif"), str(photo), words)
    assert contents(out) == {}


@pytest.mark.parametrize("name", ["[bold]photo[x].jpg", "p[/b]hoto.jpg", "[link=x].jpg"])
def test_names_are_told_as_they_are(here: Command, host: Path, out: Path, name: str):
    """Brackets are markup to what prints the sentence."""
    check_sentence(here("compile/infer", host, name, "-o", out / "x.avif"), name)


def test_results_are_told_as_they_are(here: Command, host: Path, photo: Path, out: Path):
    """In one line each, however long, so that a script can read them."""
    folder = out / "[bold]" / ("x" * 90)
    folder.mkdir(parents=True)
    outcome = here("compile/infer", host, photo, "-o", folder / "x.png")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"{folder / 'x.png'}  ") and line.endswith(" ms")


def test_photo_larger_than_the_artefact(here: Command, host: Path, photo: Path, out: Path):
    Image.new("RGB", (300, 100), "gray").save(photo)
    outcome = here("compile/infer", host, photo, "-o", out / "x.png")
    check_sentence(outcome, "300x100", "96x64", "--resize")
    assert contents(out) == {}
    assert here("compile/infer", host, photo, "-o", out / "x.png", "--resize").code == 0
    with Image.open(out / "x.png") as picture:
        assert picture.size == (96, 32)


def test_a_portrait_in_a_landscape_build(here: Command, host: Path, photo: Path, out: Path):
    """It is turned for the network, since 64x96 fits 96x64 so, and upright in the result."""
    pixels = np.full((96, 64, 3), 30, np.uint8)
    pixels[:48] = 220  # light above
    Image.fromarray(pixels).save(photo)
    for options in ([], ["--resize"]):
        outcome = here("compile/infer", host, photo, "-o", out / "x.png", *options)
        assert outcome.code == 0, outcome
        with Image.open(out / "x.png") as picture:
            assert picture.size == (64, 96)
            above, below = np.split(np.asarray(picture).astype(int), 2)
        assert above.mean() > below.mean() + 50


def test_200_megapixels_and_resize(here: Command, host: Path, photo: Path, out: Path):
    """As phones take them; more than Pillow's Image.open would read."""
    Image.new("L", (16320, 12240), 99).save(photo)
    assert here("compile/infer", host, photo, "-o", out / "x.png", "--resize").code == 0
    with Image.open(out / "x.png") as picture:
        assert picture.size == (85, 64)


# Several photographs at once


def test_one_bad_photo_does_not_stop_the_others(host: Path, photo: Path, out: Path):
    bad = photo.with_name("bad.jpg")
    bad.write_text("no picture")
    other = photo.with_name("other.png")
    Image.new("RGB", (96, 64), "white").save(other)
    outcome = as_user("compile/infer", host, photo, bad, other, "-o", out, "--json")
    assert outcome.code == 2
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["photo"] for line in lines] == [str(path) for path in (photo, bad, other)]
    assert ["error" in line for line in lines] == [False, True, False]
    assert all(line["ms"] > 0 for line in lines if "error" not in line)
    (sentence,) = outcome.err.splitlines()
    assert sentence.startswith("error: 1 of 3 photographs failed")
    assert str(bad) in lines[1]["error"]
    assert sorted(contents(out)) == ["other.avif", "photo.avif"]


def test_each_bad_photo_has_its_reason(here: Command, host: Path, photo: Path, out: Path):
    empty, missing = photo.with_name("empty.jpg"), photo.with_name("missing.jpg")
    empty.touch()
    outcome = here("compile/infer", host, empty, photo, missing, "-o", out)
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert str(empty) in errors[0]
    assert str(missing) in errors[1]
    assert errors[2:] == ["error: 2 of 3 photographs failed: the reasons are above"]
    assert list(contents(out)) == ["photo.avif"]


def test_two_photos_for_one_output(here: Command, host: Path, photo: Path, out: Path):
    twin = photo.with_suffix(".png")
    Image.new("RGB", (40, 40)).save(twin)
    check_sentence(here("compile/infer", host, photo, twin, "-o", out), str(out / "photo.avif"))
    check_sentence(here("compile/infer", host, photo, twin, "-o", out / "x.avif"), "one file for 2")
    check_sentence(here("compile/infer", host, photo, photo, "-o", out), "given twice")
    check_sentence(here("compile/infer", host, "-o", out), "no photograph")
    assert contents(out) == {}


def test_bad_artefact_makes_no_folder(here: Command, tmp_path: Path, photo: Path, out: Path):
    outcome = here("compile/infer", tmp_path / "nothing", photo, "other.jpg", "-o", f"{out}/new/")
    check_sentence(outcome, str(tmp_path / "nothing"))
    assert contents(out) == {}
