"""`compile/build.py` and its cache, by command line."""

from __future__ import annotations

from pathlib import Path

from command_line import QUICK, Command, as_user, contents, in_fork
from tuned_network import TUNED

FOUND = "from the build cache"


def test_the_same_build_again(tmp_path: Path) -> None:
    cache = {"MQNET_BUILD_CACHE": str(tmp_path / "cache")}
    folders = [tmp_path / name for name in ("first", "again", "anew")]

    def build(run: Command, folder: Path, *options: str) -> str:
        outcome = run("compile/build", *QUICK, "--out", folder, *options, env=cache)
        assert outcome.code == 0, outcome.err
        return outcome.err

    # The first has another seed for hashes.
    assert FOUND not in build(as_user, folders[0], "--graph", str(tmp_path / "first.json"))
    assert FOUND in build(in_fork, folders[1], "--graph", str(tmp_path / "again.json"))
    graph = (tmp_path / "again.json").read_text()
    assert "call 0" in graph and graph == (tmp_path / "first.json").read_text()
    assert FOUND not in build(in_fork, folders[2], "--no-cache")
    cleared = in_fork("compile/build", "--clear-cache", env=cache)
    assert cleared.code == 0 and "deleted" in cleared.err and "deleted 0" not in cleared.err
    assert "deleted 0" in in_fork("compile/build", "--clear-cache", env=cache).err
    first, *others = [contents(folder) for folder in folders]
    assert all(other == first for other in others)


def test_modules_are_made_to_be_dumped(tmp_path: Path) -> None:
    for _ in range(2):
        options = "--out", tmp_path / "built", "--dump-ir", tmp_path / "ir"
        outcome = in_fork("compile/build", "--target", "host", *TUNED, *options)
        assert outcome.code == 0 and FOUND not in outcome.err
    assert len(list((tmp_path / "ir").glob("*.py"))) > 4


def test_a_cache_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = {"MQNET_BUILD_CACHE": str(tmp_path / "file")}
    options = "--target", "host", *TUNED, "--out", tmp_path / "built"
    outcome = in_fork("compile/build", *options, env=cache)
    assert outcome.code == 0
    said = " ".join(outcome.err.split())
    assert "the build cache" in said and "is not used" in said
