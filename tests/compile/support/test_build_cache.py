"""The build cache: never what it was not given, whatever happens to its files or beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from compile.support.build_cache import NO_CACHE, BuildCache, content_of, key_of, user_cache
from compile.support.errors import OutputError

ingredients = st.lists(st.none() | st.text(max_size=4) | st.binary(max_size=4), max_size=4)


def test_what_was_put_is_found(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path / "cache")
    assert cache.get("kernel", "a") is None
    cache.put("kernel", "a", b"object code")
    cache.put("program", "a", b"a program")
    assert cache.get("kernel", "a") == b"object code"
    # Another process, or the next build.
    assert BuildCache(tmp_path / "cache").get("program", "a") == b"a program"
    assert cache.get("kernel", "b") is None


def test_a_cache_that_is_off_keeps_nothing() -> None:
    NO_CACHE.put("kernel", "a", b"object code")
    assert NO_CACHE.get("kernel", "a") is None
    assert NO_CACHE.clear() == (0, 0)


def test_the_environment_names_the_folder(tmp_path: Path) -> None:
    environ = {"MQNET_BUILD_CACHE": str(tmp_path / "named"), "XDG_CACHE_HOME": str(tmp_path)}
    user_cache(environ).put("kernel", "a", b"x")
    assert BuildCache(tmp_path / "named").get("kernel", "a") == b"x"
    del environ["MQNET_BUILD_CACHE"]
    user_cache(environ).put("kernel", "a", b"y")
    assert BuildCache(tmp_path / "mqnet-tvm/builds").get("kernel", "a") == b"y"
    assert user_cache({**environ, "MQNET_BUILD_CACHE": "off"}).get("kernel", "a") is None


@given(ingredients, ingredients)
def test_other_ingredients_have_another_key(one: list, other: list) -> None:
    def as_bytes(parts: list) -> list:
        return [part.encode() if isinstance(part, str) else part for part in parts]

    assert (key_of(*one) == key_of(*other)) == (as_bytes(one) == as_bytes(other))


def test_the_code_is_an_ingredient() -> None:
    folders = "compile/quantize", "targets"
    assert content_of(folders) == content_of(folders)
    assert content_of(folders) != content_of(("compile/quantize",))


# Small entries lie in the database, large ones in files of their own.
@pytest.mark.parametrize("size", [100, 100_000])
def test_a_damaged_entry_is_not_given(tmp_path: Path, size: int) -> None:
    cache, data = BuildCache(tmp_path / "cache"), bytes(range(100)) * (size // 100)
    cache.put("kernel", "a", data)
    damaged = 0
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file() and data[:100] in (content := path.read_bytes()):
            path.write_bytes(content.replace(data[:100], bytes(100)))
            damaged += 1
    assert damaged
    assert BuildCache(tmp_path / "cache").get("kernel", "a") in (None, data)


def test_a_cut_or_missing_file_is_no_entry(tmp_path: Path) -> None:
    for change in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:1000])):
        cache = BuildCache(tmp_path / "cache")
        cache.put("kernel", "a", bytes(100_000))
        (path,) = (tmp_path / "cache").rglob("*.val")
        change(path)
        assert BuildCache(tmp_path / "cache").get("kernel", "a") is None
        cache.clear()


def test_a_damaged_database_is_said_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    BuildCache(tmp_path / "cache").put("kernel", "a", b"x" * 100)
    for path in (tmp_path / "cache").glob("cache.db*"):
        path.write_bytes(b"no database" * 500)
    cache = BuildCache(tmp_path / "cache")
    assert cache.get("kernel", "a") is None
    assert "is not used" in caplog.text
    cache.put("kernel", "a", b"x")
    assert len(caplog.records) == 1
    with pytest.raises(OutputError, match=r"cannot be cleared .*delete the folder"):
        BuildCache(tmp_path / "cache").clear()


def test_a_folder_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = BuildCache(tmp_path / "file/cache")
    cache.put("kernel", "a", b"x")
    assert cache.get("kernel", "a") is None
    assert "is not used" in caplog.text


def test_it_keeps_to_its_size(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path / "cache", most_bytes=2 << 20)
    for number in range(100):
        cache.put("kernel", str(number), bytes(100_000))
        assert cache.get("kernel", "0") is not None, "what is used stays"
    found = [number for number in range(100) if cache.get("kernel", str(number)) is not None]
    assert 0 in found and 99 in found and len(found) < 30
    entries, size = cache.clear()
    assert entries == len(found) and size > 1 << 20
    assert cache.get("kernel", "0") is None


_WRITER = """
import sys
from pathlib import Path
from compile.support.build_cache import BuildCache
cache = BuildCache(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    cache.put("kernel", str(number % 7), bytes([number % 7]) * 200_000)
    found = cache.get("kernel", str(number % 5))
    assert found is None or found == bytes([number % 5]) * 200_000
"""


def write(folder: Path, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", _WRITER, str(folder), str(count)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_several_processes_at_once(tmp_path: Path) -> None:
    processes = [write(tmp_path / "cache", 40) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    cache = BuildCache(tmp_path / "cache")
    for number in range(7):
        assert cache.get("kernel", str(number)) == bytes([number]) * 200_000


def test_a_process_that_is_killed_leaves_whole_entries(tmp_path: Path) -> None:
    for delay in (0.0, 0.02, 0.05):
        with write(tmp_path / "cache", 10_000) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        cache = BuildCache(tmp_path / "cache")
        for number in range(7):
            assert cache.get("kernel", str(number)) in (None, bytes([number]) * 200_000)
        cache.put("kernel", "0", bytes(200_000))
        assert cache.get("kernel", "0") == bytes(200_000)
