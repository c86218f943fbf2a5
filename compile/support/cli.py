"""What the command lines share: errors as one sentence, options, and where output goes.

Machine-readable output goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from compile.support.errors import MqnetError
from compile.support.interruption import (
    check_interrupted,
    end_without_python,
    ending_signals,
    received,
    said_of,
)
from compile.support.quick_start import collect_rarely, end_at_once
from compile.support.standard_streams import steady_streams

Options = TypeVar("Options")

#: Of the option ``out`` of a command, and of ``output``: -o names it in every command, and the
#: other word does, too.
OUT, OUTPUT = (tyro.conf.arg(aliases=["-o", other]) for other in ("--output", "--out"))

#: For people: progress, tables, errors.
stderr = Console(stderr=True)

_USER_ERROR = 2


def run_command(options_type: type[Options], command: Callable[[Options], None]) -> None:
    """Parse the command line into ``options_type``, run ``command`` and exit.

    Exit codes: 0; 2 for a mistake of the user, said in one sentence without a traceback; 128 and
    the number of the signal (130 for Ctrl-C) where one has ended it. Anything else is our bug and
    keeps its traceback. Where stdout does not take what is printed, the work is done all the same;
    then the code is 2, with a sentence, or 141 where the reader of a pipe has stopped.
    """
    collect_rarely()
    with ending_signals(), steady_streams() as out:
        code = _run(options_type, command)
        if code == 0:
            code, sentence = out.loss()
            if sentence:
                say_error(sentence)
    end_without_python()
    if options_type.__module__ == "__main__" or os.path.basename(sys.argv[0]).startswith("mqnet-"):
        end_at_once(code)
    if code:
        sys.exit(code)


def _run(options_type: type[Options], command: Callable[[Options], None]) -> int:
    try:
        _check_arguments(sys.argv[1:])
        command(tyro.cli(options_type, config=(tyro.conf.FlagCreatePairsOff,)))
        check_interrupted()
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) or received() is not None:
            number = received() or signal.SIGINT
            stderr.print(said_of(number))
            return 128 + number
        if isinstance(error, MqnetError):
            say_error(str(error))
            return _USER_ERROR
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            # Of any question that is asked of a path.
            say_error(f"{error.filename} is too long a name: give a shorter one")
            return _USER_ERROR
        if isinstance(error, FileNotFoundError) and not _has_working_directory():
            say_error("the working directory has been removed: change to another one")
            return _USER_ERROR
        raise
    except SystemExit as end:  # Of the options: --help, or one that is unknown.
        if not isinstance(end.code, int):
            raise
        return end.code
    return 0


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raise where an argument is empty, as of a variable of the shell that is not set: a path would
    be taken for the working directory."""
    for place, argument in enumerate(arguments, start=1):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            what = f"the value of {argument[:-1]}" if argument else f"argument {place}"
            raise MqnetError(f"{what} is empty: give a name, or leave it out")


def say_error(sentence: str) -> None:
    """Print what went wrong to stderr."""
    stderr.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True, highlight=False)


def set_up_logging(verbose: bool) -> None:
    """Log to stderr: warnings, or with ``verbose`` also why each rewrite did not fire."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=stderr, show_path=False, show_time=False)],
    )
    logging.getLogger("compile").setLevel(logging.INFO if verbose else logging.WARNING)
    if not verbose:
        # torch and torchao announce deprecations of their own internals at import.
        warnings.filterwarnings("ignore", module="torch")
        logging.getLogger("torch").setLevel(logging.ERROR)
