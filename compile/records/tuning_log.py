"""A target's tuning log: its session file and its database of records, as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compile.records.log_places import find_logs
from compile.records.records import Database, read_database, write_database
from compile.records.session_file import SESSION, SessionFile, read_session, write_session
from compile.support.errors import TargetError


@dataclass
class TuningLog:
    """What is known of a target's kernels on one device.

    Attributes:
        folder: of the log's files.
        session: what was tuned, where and when.
        database: what was measured.
    """

    folder: Path
    session: SessionFile
    database: Database

    @classmethod
    def read(cls, folder: Path) -> TuningLog:
        """Read the log in ``folder``.

        Raises:
            TargetError: there is none, or a file of it is damaged.
        """
        session = read_session(folder)
        if session is None:
            raise TargetError(f"{folder} holds no {SESSION}: name what compile/tune.py has written")
        return cls(folder, session, read_database(folder))

    def measured(self, key: str) -> dict[str, float]:
        """Seconds of each configuration of the kernel ``key`` that is known, the last ones."""
        return self.session.settled.get(key, {}) | self.database.measured(key)

    def write_session(self) -> None:
        """Replace session.json.

        Raises:
            OutputError: it cannot be written; the older one is still there.
        """
        write_session(self.folder, self.session)

    def write(self) -> None:
        """Replace all files.

        Raises:
            OutputError: one cannot be written; it and those behind it are as they were.
        """
        # First: what is in both counts as measured.
        self.write_session()
        write_database(self.folder, self.database)


def read_logs(logs: Path | None) -> list[TuningLog]:
    """Read each log in the folder ``logs`` or, for None, in the default places, by name.

    Raises:
        TargetError: a damaged log.
    """
    return [TuningLog.read(folder) for folder in find_logs(logs)]
