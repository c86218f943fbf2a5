"""Charts as they are in the page: one picture, in the page's colours, whose names do not meet."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest
from command_line import REPOSITORY
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.page import figures
from bench.page.drawing import INK, OURS, chart_style, in_page, new_chart, plain_numbers, svg_of
from bench.session.run_file import read_run

# The most rows that a size has had.
RUN = read_run(REPOSITORY / "bench/reports/zen5-2-cores/run.json")
LARGE = RUN.measured()[RUN.measured()["size"] == "768x1280"]


def texts_of(figure: Figure) -> list[Text]:
    """All that are drawn: those of ticks outside of the view are not."""
    hidden = set()
    for axis in (axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        hidden |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    hidden |= {one for panel in figure.axes if not panel.axison for one in panel.findobj(Text)}
    shown = {one for panel in figure.axes for one in panel.texts}
    found = (one for one in figure.findobj(Text) if one not in hidden - shown)
    return [one for one in found if one.get_visible() and one.get_text().strip()]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.fastest(LARGE[LARGE["threads"] == 1], 12),
        lambda: figures.latency(LARGE),
        lambda: figures.accuracy(LARGE),
        lambda: figures.memory(LARGE),
        lambda: figures.scaling(RUN),
    ],
    ids=["fastest", "latency", "accuracy", "memory", "scaling"],
)
def test_no_two_texts_meet_and_none_is_cut_off(draw):
    with chart_style():
        figure = draw()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        boxes = {one: one.get_window_extent(renderer) for one in texts_of(figure)}
    whole = figure.bbox
    assert len(boxes) > 10
    for text, box in boxes.items():
        assert box.x0 >= whole.x0 - 1 and box.x1 <= whole.x1 + 1, text.get_text()
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        inside = min(first.x1, second.x1) - max(first.x0, second.x0)
        below = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert inside <= 1 or below <= 1, (one.get_text(), other.get_text())


def test_a_picture_in_the_page_has_its_theme_and_names_of_its_own():
    def draw() -> str:
        figure, panel = new_chart(2)
        panel.plot([1, 2], [3, 4], "o", color=OURS)
        panel.scatter([1, 2], [1, 2], 20, [INK, OURS])
        panel.set_title("<title>")
        return svg_of(figure)

    with chart_style():
        svg = draw()
        assert svg == draw()
    ElementTree.fromstring(svg)
    assert OURS in svg and INK in svg and "<title>" not in svg
    element = in_page(svg, 'a "title"', "one")
    assert "var(--ours)" in element and "var(--ink)" in element
    assert not re.findall("#[0-9a-f]{6}|http|metadata|<[?!]", element)
    assert 'aria-label="a &#34;title&#34;"' in element
    names = set(re.findall(r'id="([^"]+)"', element))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', element))
    assert len(used) > 3 and used == names and all(name.startswith("one-") for name in names)


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [(2, 30, ["2", "5", "10", "20"]), (2, 300, ["3", "10", "30", "100", "300"]),
     (2, 20000, ["10", "100", "1000", "10000"])],
)  # fmt: skip
def test_the_wider_an_axis_the_fewer_numbers(low: float, high: float, numbers: list[str]):
    figure, panel = new_chart(2)
    panel.set(xscale="log", xlim=(low, high))
    plain_numbers(panel.xaxis)
    figure.draw_without_rendering()
    assert [one.get_text() for one in panel.get_xticklabels()] == numbers
