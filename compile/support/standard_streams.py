"""Standard output and standard error as a command needs them: they never stop its work.

A reader that has gone (``| head``), a full disk and a closed stream are found out at any print, in
the middle of a photograph or of a tuning session. The work goes on to its end, and the exit code
says that something is missing.

Imports nothing but the standard library: a board runs it (`device/serve.py`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_CANNOT_WRITE = 2
# As a shell reports a program that SIGPIPE has ended.
_READER_GONE = 141
# Of the libraries that draw help texts and tables.
_PLAINER = str.maketrans({"\u2022": "*", "\u2026": "..."})


class SteadyStream:
    """A text stream that takes whatever is written: what the file or the pipe behind it does not
    take is dropped, and so is all that follows.

    Characters that its encoding lacks become others, as a bullet an asterisk, or else escapes, such
    as ``\\u20ac``.

    Attributes:
        error: why something was dropped; None where nothing was.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._is_closed = stream is None
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        """Whatever else a stream has: its encoding, its descriptor, whether it is a terminal."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text``, or drop it; its length."""
        if self._is_closed:
            self.error = OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            self._stream.write(_encodable(text, self._stream.encoding))
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Pass on what is buffered, or drop it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def loss(self) -> tuple[int, str]:
        """What a command says whose work is done and whose output is not all there: its exit code,
        and a sentence, "" where whoever reads a pipe has stopped. (0, "") where all is there."""
        self.flush()
        if self.error is None:
            return 0, ""
        if isinstance(self.error, BrokenPipeError):
            return _READER_GONE, ""
        reason = (self.error.strerror or str(self.error)).lower()
        return _CANNOT_WRITE, (
            f"stdout cannot be written ({reason}): what was to be printed is missing, all else is "
            "done; print to a file or a pipe that takes it"
        )

    def _drop(self, error: OSError) -> None:
        self.error = self.error or error
        # What is buffered has to go somewhere, or the interpreter complains of it at its end.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _encodable(text: str, encoding: str | None) -> str:
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = text.translate(_PLAINER)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return text


@contextlib.contextmanager
def steady_streams() -> Iterator[SteadyStream]:
    """Make ``sys.stdout`` and ``sys.stderr`` steady; yields the first."""
    for descriptor in range(3):
        # A file that is opened later would take the number, and get what libraries print.
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    out, err = map(SteadyStream, before)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def native_stderr_to(file: int) -> Iterator[None]:
    """What is written to the process's stderr meanwhile, also by C++, goes to the open ``file``, a
    descriptor."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """What C++ writes to stderr meanwhile is dropped, while Python's own lines still come."""
    python = sys.stderr
    with (
        os.fdopen(os.dup(2), "w", buffering=1) as stream,
        open(os.devnull, "w") as nowhere,
        native_stderr_to(nowhere.fileno()),
    ):
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = python
