"""What builds have made before, by the content of all that went into it.

An entry's key is the SHA-256 of its ingredients, so an entry is never out of date: whatever changes
has another key. Several processes may use the cache at once. It keeps to a size by dropping what
was not used for longest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import diskcache

from compile.support.cache_folder import cache_folder
from compile.support.errors import OutputError

#: Names the folder; "off" builds everything anew.
FOLDER_VARIABLE = "MQNET_BUILD_CACHE"

#: The most that the cache takes on disk, in bytes.
MOST_BYTES = 4 << 30

#: The largest of its entries: what is larger would drive out too much else.
_LARGEST_ENTRY = MOST_BYTES // 8

# Longer than any entry takes to be written; then the build goes on without the cache.
_LOCK_SECONDS = 10.0

_REPOSITORY = Path(__file__).parents[2]
_SHA256_BYTES = 32

# Code, tables, records, weights, and the photographs that calibrate.
_CODE = (".py", ".c", ".h", ".ld", ".jinja")
_INGREDIENTS = frozenset({*_CODE, ".toml", ".json", ".safetensors", ".jpg", ".png"})

log = logging.getLogger(__name__)


class BuildCache:
    """Bytes by key, on disk.

    A cache that cannot be read or written (a full disk, another user's folder, a damaged file) is
    said once and then does without: it never fails a build, and never gives what it was not given.

    Args:
        folder: where it is; made when something is first stored. None: nothing is ever found.
        most_bytes: what it may take on disk.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._opened: diskcache.Cache | None = None

    @property
    def is_on(self) -> bool:
        """Whether anything can be found in it or kept."""
        return self._folder is not None

    def get(self, kind: str, key: str) -> bytes | None:
        """Find the entry of ``kind`` with this ``key``; None where there is none."""
        if self._folder is None or not self._folder.is_dir():
            return None
        try:
            found = self._cache().get(f"{kind}-{key}")
        except (OSError, sqlite3.Error, diskcache.Timeout, EOFError, ValueError) as error:
            self._give_up(error)
            return None
        if not isinstance(found, bytes):
            return None
        checksum, data = found[:_SHA256_BYTES], found[_SHA256_BYTES:]
        if hashlib.sha256(data).digest() != checksum:
            log.warning("an entry of %s is damaged: it is made anew", self._folder)
            return None
        return data

    def put(self, kind: str, key: str, data: bytes) -> None:
        """Store ``data`` as the entry of ``kind`` with this ``key``, whole or not at all."""
        if self._folder is None or len(data) > _LARGEST_ENTRY:
            return
        try:
            self._cache().set(f"{kind}-{key}", hashlib.sha256(data).digest() + data)
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            self._give_up(error)

    def clear(self) -> tuple[int, int]:
        """Delete all entries; how many there were, and the bytes that they took on disk.

        Raises:
            OutputError: it is damaged, in use or another user's.
        """
        if self._folder is None or not self._folder.is_dir():
            return 0, 0
        try:
            opened = self._cache()
            size = opened.volume()
            return opened.clear(), size
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            raise OutputError(
                f"the build cache {self._folder} cannot be cleared ({error}): delete the folder"
            ) from None

    def _cache(self) -> diskcache.Cache:
        if self._opened is None:
            self._opened = diskcache.Cache(
                str(self._folder),
                timeout=_LOCK_SECONDS,
                size_limit=self._most_bytes,
                eviction_policy="least-recently-used",
            )
        return self._opened

    def _give_up(self, error: Exception) -> None:
        log.warning("the build cache %s is not used: %s", self._folder, error)
        self._folder = None


#: Nothing is found in it, and nothing is kept.
NO_CACHE = BuildCache(None)


def user_cache(environ: Mapping[str, str]) -> BuildCache:
    """Open the cache that ``$MQNET_BUILD_CACHE`` names, else the user's own."""
    named = environ.get(FOLDER_VARIABLE)
    if named == "off":
        return NO_CACHE
    return BuildCache(Path(named) if named else cache_folder(environ) / "builds")


def key_of(*ingredients: str | bytes | None) -> str:
    """Compute the key of what is made of exactly these ``ingredients``, in this order."""
    digest = hashlib.sha256()
    for ingredient in ingredients:
        # The length, and None apart from "", so that no two lists have the same bytes.
        data = ingredient.encode() if isinstance(ingredient, str) else ingredient
        digest.update(b"none;" if data is None else f"{len(data)};".encode())
        digest.update(data or b"")
    return digest.hexdigest()


@cache
def content_of(folders: tuple[str, ...]) -> str:
    """Compute the checksum of the project's own sources and data in ``folders``, which are relative
    to the repository: a change of the compiler is a change of what it makes."""
    return key_of(*_contents(folders))


def _contents(folders: Iterable[str]) -> Iterable[str | bytes]:
    for folder in folders:
        for path in sorted((_REPOSITORY / folder).rglob("*")):
            name = path.relative_to(_REPOSITORY)
            # Views for training, which no build looks at, are more than all the rest.
            if path.suffix in _INGREDIENTS and "held_out" not in name.parts:
                yield os.fspath(name)
                yield path.read_bytes()
