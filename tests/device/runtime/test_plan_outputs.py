"""What ``-o`` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from compile.support.errors import MqnetError
from device.runtime.plan_outputs import plan_outputs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png"):
        Path(name).write_bytes(b"a photograph")
    Path("there").mkdir()
    Path("loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(
    ("photos", "output", "kind", "targets"),
    [
        (("a.jpg",), "x.avif", None, ["x.avif"]),
        (("a.jpg",), "x.EXR", "exr", ["x.EXR"]),
        # A folder: one that is there, or a name that ends in /; also with a dot in it.
        (("a.jpg",), "there", None, ["there/a.avif"]),
        (("a.jpg",), "2024.05.01/", None, ["2024.05.01/a.avif"]),
        (("a.jpg", "b.png"), "2024.05.01/", "exr", ["2024.05.01/a.exr", "2024.05.01/b.exr"]),
        (("a.jpg", "b.png"), ".", None, ["a.avif", "b.avif"]),
        (("a.jpg",), "x.avif/", "png", ["x.avif/a.png"]),
        # A link that leads to itself: whoever makes the folder says so.
        (("a.jpg",), "loop/", None, ["loop/a.avif"]),
    ],
)
def test_outputs(photos: tuple[str, ...], output: str, kind: str | None, targets: list[str]):
    plan = plan_outputs(photos, output, kind, Path("artefact"))
    assert plan == [(Path(p), Path(t)) for p, t in zip(photos, targets, strict=True)]


@pytest.mark.parametrize(
    ("photos", "output", "kind", "part"),
    [
        ((), "x.avif", None, "no photograph"),
        ((".",), "x.avif", None, r". is a folder: name the photographs in it, such as *.jpg"),
        (("..",), "x.avif", None, r"such as ../*.jpg"),
        (("/",), "x.avif", None, r"such as /*.jpg"),
        (("a.jpg",), "-", None, "stdout"),
        (
            ("a.jpg",),
            "result",
            None,
            "end it in .jpg, .jpeg, .avif, .jxl, .exr, .png, .npz, .npy, or in / for",
        ),
        (("a.jpg",), "x.gif", None, "'.gif'"),
        (("a.jpg",), "x.avif", "exr", "--format exr"),
        (("a.jpg", "b.png"), "result", None, "name a folder, as result/"),
        (("a.jpg", "b.png"), "x.avif", None, "name a folder, as x.avif/"),
        (("a.jpg", "there/a.jpg"), "there", None, "a.jpg and there/a.jpg"),
        (("a.jpg", "a.jpg"), "there", None, "given twice"),
        (("b.png",), "b.png", None, "b.png is one of the inputs"),
        (("a.jpg", "b.png"), ".", "png", "b.png is one of the inputs"),
    ],
)
def test_one_sentence(photos: tuple[str, ...], output: str, kind: str | None, part: str):
    with pytest.raises(MqnetError) as caught:
        plan_outputs(photos, output, kind, Path("artefact"))
    assert part in str(caught.value)


def test_two_links_in_the_folder_to_one_file():
    Path("there/a.avif").write_bytes(b"older")
    Path("there/b.avif").symlink_to("a.avif")
    with pytest.raises(MqnetError, match=r"a\.jpg and b\.png"):
        plan_outputs(("a.jpg", "b.png"), "there", None, Path("artefact"))
