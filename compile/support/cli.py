"""What the command lines share: errors as one sentence, options, and where output goes.

Machine-readable output goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

import tyro
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from compile.support.errors import MqnetError

Options = TypeVar("Options")

#: For people: progress, tables, errors.
stderr = Console(stderr=True)

_USER_ERROR, _INTERRUPTED = 2, 130


def run_command(options_type: type[Options], command: Callable[[Options], None]) -> None:
    """Parse the command line into ``options_type``, run ``command`` and exit.

    Exit codes: 0; 2 for a mistake of the user, said in one sentence without a traceback; 130 after
    Ctrl-C. Anything else is our bug and keeps its traceback.
    """
    try:
        command(tyro.cli(options_type, config=(tyro.conf.FlagCreatePairsOff,)))
    except MqnetError as error:
        text = f"[bold red]error:[/] {escape(str(error))}"
        stderr.print(text, soft_wrap=True, highlight=False)
        sys.exit(_USER_ERROR)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our stdout has stopped; that is no error of this program.
        sys.stdout = None
        sys.exit(0)


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
