"""Writes a report: one page that needs nothing beside it, and its parts as CSV and SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from bench.engines.registry import is_ours
from bench.page import figures
from bench.page.accuracy_table import accuracy_table, details_table, error_shares
from bench.page.call_facts import call_facts
from bench.page.compare_runs import compare_runs
from bench.page.coverage_table import coverage_table, float_table
from bench.page.drawing import ALERT, chart_style, in_page, svg_of
from bench.page.first_page import (
    first_figures,
    first_place,
    headlines,
    label_of,
    ranked_rows,
    rows_at,
    what_was_measured,
    where_it_was_measured,
)
from bench.page.kernel_table import kind_table, layer_table
from bench.page.plan_chart import plan_chart, plan_facts
from bench.page.roofline import multiplies, roofline
from bench.page.size_tables import SizeTables, common_flags, size_tables
from bench.profiling.kernels_file import KernelsFile
from bench.session.run_file import RunFile
from compile.artefact.manifest import Manifest
from compile.artefact.model_graph import graph_json
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import MqnetError
from compile.support.frame import frame_size
from device.client.layers.layer_report import LayerReport

_HERE = Path(__file__).parent
_PAGE, _ROWS, _LAYERS = "report.html", "latency.csv", "kernels.csv"
_ACCURACY, _DETAILS, _GRAPH = "accuracy.csv", "accuracy-details.csv", "graph.json"
_SHARES = "Where the squared error of the outputs to float32 is made"
# Of one size, in its section.
_SIZE_CHARTS = {
    "latency": ("Latency", figures.latency),
    "accuracy": ("Accuracy", figures.accuracy),
    "memory": ("Memory of activations", figures.memory),
}
_FASTEST = 12


class Picture(NamedTuple):
    """A chart in the page."""

    title: str
    element: Markup
    is_wide: bool = True


class Section(NamedTuple):
    """A part of the page that can be gone to."""

    name: str
    title: str


class SizeSection(NamedTuple):
    """What the page says of one size."""

    name: str
    pictures: list[Picture]
    tables: SizeTables


def report_files() -> list[str]:
    """Names of the files that a report may have, but for the charts, which are no command's
    input."""
    return [_PAGE, _ROWS, _LAYERS, _ACCURACY, _DETAILS, _GRAPH]


def write_report(
    run: RunFile,
    baseline: RunFile | None,
    folder: Path,
    kernels: KernelsFile | None = None,
    layers: LayerReport | None = None,
    build: Manifest | None = None,
) -> Path:
    """Write ``report.html``, ``latency.csv`` and an SVG per chart, of ``kernels`` also
    ``kernels.csv`` and the roofline, of ``layers`` ``accuracy.csv``, its details and the shares of
    the error, and of a ``build`` its memory plan and ``graph.json``, with what ``kernels`` and
    ``layers`` know of its calls; returns the page's path.

    Raises:
        MqnetError: the baseline cannot be compared, the kernels are another machine's, they or the
            layers another build's, or the folder cannot be written.
    """
    comparison = None if baseline is None else compare_runs(baseline, run)
    if kernels is not None:
        _check_machine(run, kernels)
    files = {_ROWS: run.table().to_csv(index=False).encode()}
    if build is not None:
        files[_GRAPH] = graph_json(build, call_facts(build, kernels, layers)).encode()
    with chart_style():
        page = _page(run, comparison, kernels, layers, build, files)
    # Drawing takes the time, and Ctrl-C then leaves no half of a report.
    make_folder(folder)
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_atomically(folder / _PAGE, page.encode())
    return folder / _PAGE


class _Charts:
    """Draws the charts of a page, and keeps each as a file.

    Attributes:
        files: content by name.
    """

    def __init__(self, label: str, files: dict[str, bytes]) -> None:
        self._label = label
        self.files = files

    def add(self, name: str, title: str, figure: Figure, is_wide: bool = True) -> Picture:
        """``figure`` in the page, and as the file ``name``.svg."""
        if self._label:
            # Charts are passed on without their page.
            figure.suptitle(self._label, color=ALERT, fontsize="medium")
        svg = svg_of(figure)
        self.files[f"{name}.svg"] = svg.encode()
        return Picture(title, Markup(in_page(svg, title, name)), is_wide)


def _page(
    run: RunFile,
    comparison: pd.DataFrame | None,
    kernels: KernelsFile | None,
    layers: LayerReport | None,
    build: Manifest | None,
    files: dict[str, bytes],
) -> str:
    """The text of the page; what stands beside it is added to ``files``."""
    charts = _Charts(label_of(run), files)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string((_HERE / "page.html.jinja").read_text())
    coverage, scaling = coverage_table(run.rows), figures.scaling(run)
    sizes = [_size_section(run, size, charts) for size in run.measured()["size"].unique()]
    content = {
        "comparison": None if comparison is None else _as_text(comparison),
        "sizes": sizes,
        "scaling": None if scaling is None else charts.add("scaling", "Mixed networks", scaling),
        "coverage": coverage,
        "plan": None if build is None else _plan_section(build, charts),
        "kernels": None if kernels is None else _kernels_section(kernels, charts),
        "accuracy": None if layers is None else _accuracy_section(layers, charts),
    }
    return template.render(
        **content,
        title=f"{run.network}: latency of one frame",
        style=Markup((_HERE / "page.css").read_text()),
        label=label_of(run),
        measured=what_was_measured(run),
        where=where_it_was_measured(run.environment),
        figures=first_figures(run),
        first_chart=_first_chart(run, charts),
        headlines=headlines(run),
        flagged=sum(bool(row.flags) for row in run.rows),
        count=len(run.rows),
        common=common_flags(run),
        contents=_contents(content),
        floats=float_table(run.rows),
        environment=run.environment,
        is_ours=is_ours,
    )


def _contents(content: dict[str, Any]) -> list[Section]:
    """The sections that the page has, in its order."""
    sections = [Section(f"size-{one.name}", one.name) for one in content["sizes"]]
    titles = {
        "scaling": ("scaling", "Time per pixel"),
        "coverage": ("integers", "What is computed in integers"),
        "plan": ("plan", "The memory plan"),
        "kernels": ("kernels", "Where the time goes"),
        "accuracy": ("accuracy", "Where the accuracy goes"),
    }
    for name, title in titles.items():
        one = content[name]
        if one is not None and (not isinstance(one, pd.DataFrame) or len(one)):
            sections.append(Section(*title))
    if content["comparison"] is not None:
        sections.insert(0, Section("baseline", "Against the baseline run"))
    return [*sections, Section("words", "Words, and where it was measured")]


def _first_chart(run: RunFile, charts: _Charts) -> Picture | None:
    """The fastest networks, where times rank something; else accuracy, which needs no device."""
    ranked = ranked_rows(run)
    if not ranked.empty:
        place = first_place(ranked)
        rows = rows_at(ranked, place)
        most = min(len(rows), _FASTEST)
        which = (
            f"The {most} fastest of {len(rows)} networks" if most < len(rows) else "All networks"
        )
        return charts.add(
            "first", f"{which}, {place} (orange: this project)", figures.fastest(rows, most)
        )
    rows = run.measured()
    place = first_place(rows)
    figure = figures.accuracy(rows_at(rows, place))
    return None if figure is None else charts.add("first", f"Accuracy, {place.size}", figure)


def _size_section(run: RunFile, size: str, charts: _Charts) -> SizeSection:
    rows = run.measured()
    rows = rows[rows["size"] == size]
    pictures = [
        charts.add(f"{name}-{size}", title, figure, is_wide=False)
        for name, (title, draw) in _SIZE_CHARTS.items()
        if (figure := draw(rows)) is not None
    ]
    return SizeSection(size, pictures, size_tables(run, size))


def _check_machine(run: RunFile, kernels: KernelsFile) -> None:
    timed, session = kernels.environment["cpu"], run.cpu
    if timed != session:
        raise MqnetError(
            f"the kernels were timed on {timed!r} and the session on {session!r}: time both on "
            "one machine"
        )


def _plan_section(build: Manifest, charts: _Charts) -> dict[str, object]:
    title = "Tensors in memory, over the kernel calls of a frame"
    return {
        "build": build,
        "size": "x".join(map(str, frame_size(build.inputs[0].shape, build.inputs[0].layout))),
        "facts": plan_facts(build),
        "chart": charts.add("plan", title, plan_chart(build)),
    }


def _kernels_section(kernels: KernelsFile, charts: _Charts) -> dict[str, object]:
    layers = layer_table(kernels)
    charts.files[_LAYERS] = layers.to_csv(index=False).encode()
    return {
        "network": kernels.network,
        "milliseconds": f"{kernels.seconds * 1e3:.1f}",
        "commit": kernels.environment["commit"],
        "roofline": charts.add("roofline", "Roofline", roofline(kernels))
        if multiplies(kernels.calls)
        else None,
        "layers": layers,
        "kinds": kind_table(kernels),
    }


def _accuracy_section(report: LayerReport, charts: _Charts) -> dict[str, object]:
    table, details = accuracy_table(report), details_table(report)
    charts.files[_ACCURACY] = table.to_csv(index=False).encode()
    charts.files[_DETAILS] = details.to_csv(index=False).encode()
    return {
        "scheme": report.scheme,
        "machine": report.machine,
        "shares": charts.add("error-shares", _SHARES, error_shares(report)),
        "table": table,
        "details": details,
    }


def _as_text(comparison: pd.DataFrame) -> pd.DataFrame:
    """The comparison as it is read."""
    texts = comparison.astype({name: object for name in ("old ratio", "new ratio", "change")})
    for name, form in (("old ratio", "{:.2f}"), ("new ratio", "{:.2f}"), ("change", "{:+.1%}")):
        texts[name] = comparison[name].map(form.format)
    return texts
