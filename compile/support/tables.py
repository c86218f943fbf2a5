"""Tables that fit where they are printed, and in which no name is ever cut or broken.

On a terminal a table is as wide as that, its texts broken between words. Where its longest words do
not fit even so, it has no frame and the terminal breaks its lines. In a pipe or a file every row is
one line, as wide as it gets.
"""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table

_WIDEST = 100_000
# Of a cell: a space on each side, and the frame's line.
_AROUND, _AROUND_UNFRAMED = 3, 2


def print_table(table: Table, console: Console | None = None) -> None:
    """Print ``table`` with its title above and its caption below to ``console``; to stdout unless
    given."""
    console = console or Console()
    title, caption = table.title, table.caption
    table.title = table.caption = None
    width = fit_table(table, console)
    # Lines of their own, since a path in a title would be broken to the width of the table.
    if title:
        console.print(title, style="bold", soft_wrap=True, highlight=False)
    Console(
        file=console.file,
        width=max(width, 1),
        force_terminal=console.is_terminal,
        color_system="auto" if console.is_terminal else None,
    ).print(table)
    if caption:
        console.print(caption, style="dim", soft_wrap=True, highlight=False)


def fit_table(table: Table, console: Console) -> int:
    """Set the widths of the columns of ``table`` for ``console``; the width of the whole."""
    sizes = [_size(column, console) for column in table.columns]
    around = _AROUND * len(sizes) + 1
    least = sum(size.minimum for size in sizes)
    if console.is_terminal and least + around > console.width:
        table.box, table.pad_edge = None, False
        around = _AROUND_UNFRAMED * len(sizes)
    most = sum(size.maximum for size in sizes)
    room = console.width - around if console.is_terminal else most
    # What is left beside the longest words goes to those that want more, in equal shares.
    spare, wanted = max(0, min(room, most) - least), most - least
    for column, size in zip(table.columns, sizes, strict=True):
        share = spare * (size.maximum - size.minimum) // wanted if wanted else 0
        column.width = size.minimum + share
        column.overflow = "fold"
    return around + sum(column.width or 0 for column in table.columns)


def _size(column: Column, console: Console) -> Measurement:
    """How wide the longest word of ``column`` is, and the longest text."""
    options = console.options.update(width=_WIDEST)
    cells: list[RenderableType] = [column.header, *column.cells]
    found = [Measurement.get(console, options, cell) for cell in cells]
    return Measurement(max(one.minimum for one in found), max(one.maximum for one in found))
