"""Bad input to the command lines: one sentence, exit code 2, nothing half written.

Most cases call the command's ``main`` in this process, since importing TVM and torch takes
seconds; one of each kind, and all that limit the process itself, run as a user would run them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures_artefacts import ArtefactFactory
from numpy._core import _multiarray_umath
from PIL import Image
from safetensors.torch import save_file

from compile import build, infer
from compile.artefact import LIBRARY, MANIFEST
from compile.build_artefact import parse_size
from compile.errors import MqnetError
from compile.mqnet.weights import BUNDLED
from targets.linkers import find_lld
from targets.load_target import list_targets

REPOSITORY = Path(__file__).parent.parent
MAINS = {"build": build.main, "infer": infer.main}
CA = BUNDLED / "ca.safetensors"

# The cheapest build: nothing is calibrated, and the kernels are the fewest.
QUICK = ("--target", "host", "--scheme", "fp32", "--size", "32x32")

x86_only = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the artefact would run here")
needs_lld = pytest.mark.skipif(find_lld() is None, reason="no lld on this machine")


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        code: exit code.
        out, err: what it printed to stdout and to stderr.
    """

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Iterator[Command]:
    """Runs a command in this process: ``here("infer", artefact, photo, "-o", output)``."""
    loggers = [logging.getLogger(name) for name in ("compile", "torch")]
    before = [logger.level for logger in loggers]

    def run(command: str, *args: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", [f"compile/{command}.py", *map(str, args)])
        capfd.readouterr()
        code = 0
        try:
            MAINS[command]()
        except SystemExit as end:
            code = end.code
        return Outcome(code, *capfd.readouterr())

    yield run
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def as_user(
    command: str,
    *args: object,
    env: dict[str, str] | None = None,
    file_limit: int | None = None,
    prefix: tuple[str, ...] = (),
) -> Outcome:
    """Runs ``python compile/COMMAND.py`` from the repository's root."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    done = subprocess.run(
        [*prefix, sys.executable, f"compile/{command}.py", *map(str, args)],
        cwd=REPOSITORY,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=None if file_limit is None else limit,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def check_sentence(outcome: Outcome, *parts: str) -> None:
    """Exit code 2, silence on stdout, and one sentence that holds all ``parts``."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    *before, sentence = outcome.err.splitlines()
    # A build that fails late has said which phases it finished.
    strangers = [line for line in before if not re.fullmatch(r"  \w+ +\d+\.\d s", line)]
    assert not strangers, outcome.err
    assert sentence.startswith("error: ") and sentence[7:].strip(), outcome.err
    for part in parts:
        assert part in sentence, sentence


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file (with its bytes) and folder below ``folder``."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph that fits the artefact."""
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def host(artefact: ArtefactFactory) -> Path:
    """The folder of a whole artefact of this machine."""
    return artefact().library.parent


@pytest.fixture
def copy(host: Path, tmp_path: Path) -> Path:
    """A copy of the artefact, to be damaged."""
    return Path(shutil.copytree(host, tmp_path / "copy"))


def edit_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_good_photograph_first(here: Command, host: Path, photo: Path, out: Path):
    """What the errors are compared with: the same command succeeds when nothing is wrong."""
    for ending in (".avif", ".exr", ".png"):
        outcome = here("infer", host, photo, "-o", out / f"hdr{ending}")
        assert outcome.code == 0 and outcome.out == "", outcome
    assert sorted(contents(out)) == ["hdr.avif", "hdr.exr", "hdr.png"]
    with Image.open(out / "hdr.png") as picture:
        assert picture.size == (90, 60)


# Photographs


def test_missing_photo(host: Path, out: Path):
    check_sentence(as_user("infer", host, "nowhere.jpg", "-o", out / "x.avif"), "nowhere.jpg")
    assert contents(out) == {}


def test_truncated_photo(host: Path, photo: Path, out: Path):
    photo.write_bytes(photo.read_bytes()[:-600])
    check_sentence(as_user("infer", host, photo, "-o", out / "x.avif"), str(photo), "truncated")
    assert contents(out) == {}


def _text(path: Path) -> None:
    path.write_text("no picture")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _tiny(path: Path) -> None:
    Image.new("RGB", (31, 40)).save(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_text, "not a JPEG or PNG"),
        (_empty, "empty"),
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
    check_sentence(here("infer", host, photo, "-o", out / "x.avif"), str(photo), words)
    assert contents(out) == {}


@pytest.mark.parametrize("name", ["[bold]photo[x].jpg", "p[/b]hoto.jpg", "[link=x].jpg"])
def test_names_are_told_as_they_are(here: Command, host: Path, out: Path, name: str):
    """Brackets are markup to what prints the sentence."""
    check_sentence(here("infer", host, name, "-o", out / "x.avif"), name)


def test_results_are_told_as_they_are(here: Command, host: Path, photo: Path, out: Path):
    """In one line each, however long, so that a script can read them."""
    folder = out / "[bold]" / ("x" * 90)
    folder.mkdir(parents=True)
    outcome = here("infer", host, photo, "-o", folder / "x.png")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"{folder / 'x.png'}  ") and line.endswith(" ms")


def test_photo_larger_than_the_artefact(here: Command, host: Path, photo: Path, out: Path):
    Image.new("RGB", (300, 100), "gray").save(photo)
    outcome = here("infer", host, photo, "-o", out / "x.png")
    check_sentence(outcome, "300x100", "96x64", "--resize")
    assert contents(out) == {}
    assert here("infer", host, photo, "-o", out / "x.png", "--resize").code == 0
    with Image.open(out / "x.png") as picture:
        assert picture.size == (96, 32)


# Several photographs at once


def test_one_bad_photo_does_not_stop_the_others(host: Path, photo: Path, out: Path):
    bad = photo.with_name("bad.jpg")
    bad.write_text("no picture")
    other = photo.with_name("other.png")
    Image.new("RGB", (96, 64), "white").save(other)
    outcome = as_user("infer", host, photo, bad, other, "-o", out, "--json")
    assert outcome.code == 2
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["photo"] for line in lines] == [str(path) for path in (photo, bad, other)]
    assert ["error" in line for line in lines] == [False, True, False]
    assert all(line["ms"] > 0 for line in lines if "error" not in line)
    (sentence,) = outcome.err.splitlines()
    assert sentence.startswith("error: 1 of 3 photographs failed") and str(bad) in sentence
    assert sorted(contents(out)) == ["other.avif", "photo.avif"]


def test_two_photos_for_one_output(here: Command, host: Path, photo: Path, out: Path):
    twin = photo.with_suffix(".png")
    Image.new("RGB", (40, 40)).save(twin)
    check_sentence(here("infer", host, photo, twin, "-o", out), str(out / "photo.avif"))
    check_sentence(here("infer", host, photo, twin, "-o", out / "x.avif"), "one file for 2")
    check_sentence(here("infer", host, photo, photo, "-o", out), str(out / "photo.avif"))
    check_sentence(here("infer", host, "-o", out), "no photograph")
    assert contents(out) == {}


def test_bad_artefact_makes_no_folder(here: Command, tmp_path: Path, photo: Path, out: Path):
    outcome = here("infer", tmp_path / "nothing", photo, "other.jpg", "-o", out / "new")
    check_sentence(outcome, str(tmp_path / "nothing"))
    assert contents(out) == {}


# Outputs


@pytest.mark.parametrize("name", ["x.jpg", "x.hdr", "x.avif.gz"])
def test_unknown_ending(here: Command, host: Path, photo: Path, out: Path, name: str):
    check_sentence(here("infer", host, photo, "-o", out / name), ".avif", ".exr", ".png")
    assert contents(out) == {}


def test_output_in_a_missing_folder(here: Command, host: Path, photo: Path, out: Path):
    check_sentence(here("infer", host, photo, "-o", out / "no" / "x.avif"), "create the folder")
    assert contents(out) == {}


def test_output_below_a_file(here: Command, host: Path, photo: Path, out: Path):
    (out / "file").write_text("mine")
    before = contents(out)
    check_sentence(here("infer", host, photo, photo.with_name("b.jpg"), "-o", out / "file" / "x"))
    check_sentence(here("build", *QUICK, "--out", out / "file" / "x"), "file")
    assert contents(out) == before


@pytest.fixture
def read_only(out: Path) -> Iterator[Path]:
    """``out``, which its owner may not write to."""
    out.chmod(0o500)
    yield out
    out.chmod(0o700)


def no_override() -> tuple[str, ...]:
    """A prefix that takes from root what ignores a folder's permissions."""
    if os.geteuid() != 0:
        return ()
    prefix = ("setpriv", "--bounding-set=-dac_override")
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("root may write everywhere, and setpriv cannot change that here")
    return prefix


def test_read_only_folder(host: Path, photo: Path, read_only: Path):
    outcome = as_user("infer", host, photo, "-o", read_only / "x.exr", prefix=no_override())
    check_sentence(outcome, str(read_only / "x.exr"), "permission denied")
    for folder in (read_only, read_only / "new"):
        outcome = as_user("build", *QUICK, "--out", folder, prefix=no_override())
        check_sentence(outcome, str(folder), "Permission denied")
    assert contents(read_only) == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 256 KiB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk, and not in every container")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int) -> None:
    """Take all space but ``leave`` bytes."""
    free = shutil.disk_usage(disk).free
    (disk / "filler").write_bytes(bytes(free - leave))


@pytest.mark.parametrize("ending", [".avif", ".exr", ".png"])
def test_full_disk_under_a_picture(
    here: Command, host: Path, photo: Path, small_disk: Path, ending: str
):
    older = small_disk / f"x{ending}"
    older.write_bytes(b"older")
    # Room for the file's first page and no more: the disk is full in the middle of the write.
    fill(small_disk, 4096)
    before = contents(small_disk)
    check_sentence(here("infer", host, photo, "-o", older), str(older), "no space left")
    assert contents(small_disk) == before


def test_file_limit_under_a_picture(host: Path, photo: Path, out: Path):
    """As a full disk, where no disk can be mounted."""
    (out / "x.exr").write_bytes(b"older")
    outcome = as_user("infer", host, photo, "-o", out / "x.exr", file_limit=4096)
    check_sentence(outcome, str(out / "x.exr"), "file too large")
    assert contents(out) == {"x.exr": b"older"}


# Artefacts


def test_changed_library(copy: Path, photo: Path, out: Path):
    library = bytearray((copy / LIBRARY).read_bytes())
    library[len(library) // 2] ^= 1
    (copy / LIBRARY).write_bytes(library)
    outcome = as_user("infer", copy, photo, "-o", out / "x.avif")
    check_sentence(outcome, str(copy / LIBRARY), "sha256", "build it again")
    assert contents(out) == {}


def _no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def _no_library(folder: Path) -> None:
    (folder / LIBRARY).unlink()


def _truncated_manifest(folder: Path) -> None:
    whole = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(whole[: len(whole) // 2])


def _binary_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe\x00")


def _list_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("[1, 2]")


def _bare_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"format": 1}')


def _no_target(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.pop("target"))


def _no_input(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.pop("input"))


def _no_files(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(files={}))


def _newer_format(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(format=99))


@pytest.mark.parametrize(
    "damage",
    [
        _no_manifest,
        _no_library,
        _truncated_manifest,
        _binary_manifest,
        _list_manifest,
        _bare_manifest,
        _no_target,
        _no_input,
        _no_files,
        _newer_format,
    ],
)
def test_damaged_artefact(
    here: Command, copy: Path, photo: Path, out: Path, damage: Callable[[Path], None]
):
    damage(copy)
    check_sentence(here("infer", copy, photo, "-o", out / "x.avif"), str(copy), "build")
    assert contents(out) == {}


@x86_only
@needs_lld
def test_artefact_of_another_machine(artefact: ArtefactFactory, photo: Path, out: Path):
    built = artefact("linux-arm64")
    outcome = as_user("infer", built.library.parent, photo, "-o", out / "x.avif")
    check_sentence(outcome, "linux-arm64", "EM_AARCH64", "x86_64", "--target host")
    assert contents(out) == {}


def test_artefact_for_a_cpu_with_more_features(here: Command, copy: Path, photo: Path, out: Path):
    edit_manifest(copy, lambda manifest: manifest["target"]["requires"].append("amx_future"))
    outcome = here("infer", copy, photo, "-o", out / "x.avif")
    check_sentence(outcome, "amx_future", "lacks", "--target host")
    assert contents(out) == {}


@pytest.mark.parametrize(
    "content",
    [b"no library", Path(_multiarray_umath.__file__).read_bytes()],
    ids=["text", "another library"],
)
def test_library_that_does_not_load(
    here: Command, copy: Path, photo: Path, out: Path, content: bytes
):
    """The manifest fits the file, but TVM has no use for it."""
    (copy / LIBRARY).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(copy, lambda manifest: manifest["files"][LIBRARY].update(sha256=digest))
    check_sentence(here("infer", copy, photo, "-o", out / "x.avif"), str(copy / LIBRARY))
    assert contents(out) == {}


@pytest.mark.parametrize("threads", ["0", "-1"])
def test_bad_number_of_threads(here: Command, host: Path, photo: Path, out: Path, threads: str):
    outcome = here("infer", host, photo, "-o", out / "x.avif", "--threads", threads)
    check_sentence(outcome, threads, "threads")
    check_sentence(here("build", *QUICK, "--threads", threads, "--out", out / "new"), "threads")
    assert contents(out) == {}


# Requests for a build


def test_unknown_target(out: Path):
    outcome = as_user("build", "--target", "cortex-a77", "--out", out / "new")
    check_sentence(outcome, "cortex-a77", "cortex-a76")
    assert contents(out) == {}


def test_unknown_target_with_no_near_name(here: Command, out: Path):
    outcome = here("build", "--target", "zzzzzzzz", "--out", out / "new")
    check_sentence(outcome, *list_targets())
    assert contents(out) == {}


def test_size_below_32(out: Path):
    outcome = as_user("build", "--target", "host", "--size", "31x64", "--out", out / "new")
    check_sentence(outcome, "31x64", "32x32")
    assert contents(out) == {}


@pytest.mark.parametrize(
    "size",
    ["768", "x", "", "0x64", "64x0", "-64x64", "64x96x3", "64 x 96", "6.4x64", "axb", "64X64"],
)
def test_malformed_size(here: Command, out: Path, size: str):
    check_sentence(here("build", "--target", "host", f"--size={size}", "--out", out / "new"), size)
    assert contents(out) == {}


def test_size_that_no_machine_holds():
    """Without the command around it: a build that did start would ask for 30 GB."""
    with pytest.raises(MqnetError, match="99999x99999"):
        parse_size("99999x99999")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--target", "host", "--scheme", "int4"),
        ("--target", "host", "--attention", "cab"),
        ("--target", "host", "--threads", "many"),
        ("--target", "host", "--no-such-option"),
    ],
)
def test_options_that_the_parser_refuses(here: Command, options: tuple[str, ...]):
    outcome = here("build", *options)
    assert outcome.code == 2 and outcome.out == ""
    assert outcome.err and "Traceback" not in outcome.err


# Checkpoints


def _other_architecture(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, {"architecture": "resnet", "attention": "ca"})


def _without_metadata(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def _truncated(path: Path) -> None:
    path.write_bytes(CA.read_bytes()[:100_000])


def _missing(path: Path) -> None:
    assert not path.exists()


def test_checkpoint_of_another_architecture(tmp_path: Path, out: Path):
    path = tmp_path / "resnet.safetensors"
    _other_architecture(path)
    outcome = as_user("build", *QUICK, "--checkpoint", path, "--out", out / "new")
    check_sentence(outcome, str(path), "resnet", "mqnet")
    assert contents(out) == {}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_metadata, "architecture"),
        (_truncated, "copy it again"),
        (_missing, "does not exist"),
        (_text, "safetensors"),
        (_empty, "safetensors"),
    ],
)
def test_bad_checkpoint(
    here: Command, tmp_path: Path, out: Path, spoil: Callable[[Path], None], words: str
):
    path = tmp_path / "weights.safetensors"
    spoil(path)
    outcome = here("build", *QUICK, "--checkpoint", path, "--out", out / "new")
    check_sentence(outcome, str(path), words)
    assert contents(out) == {}


def test_checkpoint_that_is_a_pickle(here: Command, tmp_path: Path, out: Path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    outcome = here("build", *QUICK, "--checkpoint", path, "--out", out / "new")
    check_sentence(outcome, str(path), "pickle")
    assert contents(out) == {}


def test_checkpoint_of_another_attention(here: Command, out: Path):
    outcome = here("build", *QUICK, "--attention", "sa", "--checkpoint", CA, "--out", out / "new")
    check_sentence(outcome, str(CA), "'ca'", "'sa'")
    check_sentence(here("build", *QUICK, "--attention", "sa", "--out", out / "new"), "'sa'")
    assert contents(out) == {}


# Whole builds as a user runs them


@pytest.fixture(scope="module")
def quick_build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A whole build by the command line, and what it printed."""
    folder = tmp_path_factory.mktemp("quick") / "artefact"
    return folder, as_user("build", *QUICK, "--out", folder, "--json")


@pytest.mark.slow
def test_json_is_the_manifest(quick_build: tuple[Path, Outcome]):
    folder, outcome = quick_build
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == json.loads((folder / MANIFEST).read_text())
    assert sorted(contents(folder)) == [MANIFEST, LIBRARY]
    # The phases and the table are for people.
    assert "quantize" in outcome.err and "MMAC" in outcome.err


@pytest.mark.slow
def test_full_disk_under_a_library(small_disk: Path):
    outcome = as_user("build", *QUICK, "--out", small_disk)
    check_sentence(outcome, str(small_disk), LIBRARY)
    assert contents(small_disk) == {}


@pytest.mark.slow
def test_full_disk_under_a_manifest(quick_build: tuple[Path, Outcome], small_disk: Path):
    library = (quick_build[0] / LIBRARY).stat().st_size
    remount = ["mount", "-o", "remount,size=16m", str(small_disk)]
    subprocess.run(remount, check=True)
    # The library fits to the page, so that nothing is left for what describes it.
    fill(small_disk, -(-library // 4096) * 4096)
    before = contents(small_disk)
    outcome = as_user("build", *QUICK, "--out", small_disk)
    check_sentence(outcome, str(small_disk), MANIFEST, "no space left")
    assert contents(small_disk) == before


@pytest.mark.slow
def test_full_disk_under_temporary_files(small_disk: Path, out: Path):
    outcome = as_user("build", *QUICK, "--out", out, env={"TMPDIR": str(small_disk)})
    check_sentence(outcome, str(small_disk))
    assert contents(small_disk) == contents(out) == {}


# Help


@pytest.mark.parametrize("command", ["build", "infer"])
def test_help_is_quick(command: str):
    """It imports neither torch nor TVM, which take seconds."""
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['compile/{command}.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path('compile/{command}.py', run_name='__main__')\n"
        "finally:\n"
        "    print('heavy:', sorted({'torch', 'tvm', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout and "--" in done.stdout


def test_target_help(here: Command):
    outcome = here("build", "--target", "help")
    assert outcome.code == 0
    assert all(re.search(rf"\b{name}\b", outcome.out) for name in list_targets()), outcome.out


def test_target_help_as_json(here: Command):
    outcome = here("build", "--target", "help", "--json")
    assert outcome.code == 0
    assert [target["name"] for target in json.loads(outcome.out)] == list(list_targets())
