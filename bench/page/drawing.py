"""How charts are drawn: vector pictures, as files of their own and inside the page.

Inside the page their colours follow its theme, light or dark, and their texts are the page's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

INK, QUIET, LINES, PAPER = "#1c2128", "#66707c", "#d8dde3", "#ffffff"
OURS, OTHERS, ALERT = "#d4610a", "#3f74b5", "#b3261e"
# The page's own names for the same.
_VARIABLES = {
    **{INK: "--ink", QUIET: "--quiet", LINES: "--lines", PAPER: "--paper"},
    **{OURS: "--ours", OTHERS: "--others", ALERT: "--alert"},
}
# Inches: half the width of a page of A4, and all of a phone's.
WIDTH = 4.3
_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.edgecolor", "grid.color", "legend.edgecolor"), LINES),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), PAPER),
    **{"font.size": 8.5, "axes.titlesize": 9.5, "axes.titleweight": "bold"},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True},
    **{"axes.titlelocation": "left", "legend.frameon": False, "ytick.major.size": 0},
    # Texts stay texts: they can be found, read aloud and copied.
    **{"svg.fonttype": "none", "svg.hashsalt": "mqnet", "font.sans-serif": ["DejaVu Sans"]},
}
_SMALL_RATIO, _MIDDLE_RATIO = 30, 400


@contextmanager
def chart_style() -> Iterator[None]:
    """In it, figures are made and drawn as the page has them."""
    with matplotlib.rc_context(_STYLE):
        yield


def new_chart(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return a figure of this many inches, with one panel."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def svg_of(figure: Figure) -> str:
    """Draw ``figure``: the content of an SVG file, the same each time."""
    content = io.StringIO()
    # Without facts about the drawing, which are addresses of vocabularies and the time.
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(content, format="svg", metadata=nothing)
    return content.getvalue()


def png_of(figure: Figure) -> bytes:
    """Draw ``figure``: the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, dpi=110)
    return content.getvalue()


def in_page(svg: str, title: str, name: str) -> str:
    """The picture of an SVG file as an element of the page, in the colours of its theme.

    Args:
        svg: from :func:`svg_of`.
        title: for who cannot see it.
        name: of its own in the page: what it refers to is found by it.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r' (?:xmlns(?::xlink)?|version)="[^"]*"', "", element)
    # Its size is the page's matter; the proportions are in the view box.
    element = re.sub(r' (?:width|height)="[\d.]+pt"', "", element, count=2)
    # Most names nothing refers to; those of marks and clips are the same in pictures alike.
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', element))
    element = re.sub(
        r' id="([^"]*)"',
        lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "",
        element,
    )
    element = re.sub(r'(href="|url\()#', rf"\1#{name}-", element)
    for color, variable in _VARIABLES.items():
        element = element.replace(color, f"var({variable})")
    return element.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1).strip()


def plain_numbers(axis: Axis) -> None:
    """Of a logarithmic axis: 20 and 50, not powers of ten, and as few as have room."""
    axis.set_major_locator(_FewNumbers())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


class _FewNumbers(LogLocator):
    """The wider the range, the fewer numbers in each decade."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        ratio = vmax / vmin
        subs = (1, 2, 5) if ratio < _SMALL_RATIO else (1, 3) if ratio < _MIDDLE_RATIO else (1,)
        self.set_params(subs=subs)
        return [tick for tick in super().tick_values(vmin, vmax) if vmin <= tick <= vmax]
