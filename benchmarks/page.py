"""The benchmarks page, its chart, and the figures in README and docs, generated from `results/*.json`.

    python benchmarks/page.py

Writes `docs/benchmarks.md`, `docs/pictures/benchmarks.svg`, and the text between the figure marks in README and docs, from the
templates in `figures`. A test fails if they are out of date. Takes two seconds.
"""

import html
import json
import math
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from costs import album_growth_lines, cost_lines, growth_lines
from coverage_lines import coverage_lines, guarantee_lines
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from visavis.encoders import load_encoder

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
MARKED = re.compile(r"(?P<mark><!-- figures (?P<name>\w+): .*?-->\n).*?(?P<end><!-- end of figures -->)", re.DOTALL)
Figures = dict[str, Any]

INTRODUCTION = """# Benchmarks

visavis beside other libraries, on the same machine and data. A ratio above 1 means that visavis is faster or needs less memory;
below 1, the other library does.

![Ratios of visavis to other libraries](pictures/benchmarks.svg)

Both sides of a ratio are measured in one run, alternating, so that a slow moment of the machine affects both. The table shows the
median of the rounds, with minimum and maximum in brackets.

"""
AFTER = """
Compare figures within a row only: rows may come from different days. The docstring of each script says what it needs and how
long it takes. `make bench` runs all of them, and `python benchmarks/page.py` generates this page from `benchmarks/results`.

"""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: The measured quantity.
        ours: Our figure, with its unit.
        peer: The other library.
        theirs: Its figure.
        times: The ratio in our favour: median, minimum and maximum, or empty.
        script: The name of the benchmark.
    """

    what: str
    ours: str
    peer: str
    theirs: str
    times: dict[str, float]
    script: str


def step_rows(figures: Figures, *, where: str = "") -> Iterator[Row]:
    """Yield training speed and memory, against pytorch-metric-learning."""
    peer = "pytorch-metric-learning"
    theirs, memory = figures["throughput"][peer]["photos_per_second"]["median"], figures["peak_megabytes"][peer]
    for name, measured in figures["throughput"].items():
        if name != peer:
            ours, own = measured["photos_per_second"]["median"], figures["peak_megabytes"][name]
            what = f"training{where}, photos per second ({name})"
            yield Row(what, f"{ours:,.0f}", peer, f"{theirs:,.0f}", measured["times_peer"], "training")
            what = f"training{where}, peak memory ({name})"
            yield Row(what, f"{own:,.0f} MB", peer, f"{memory:,.0f} MB", alone(memory / own), "training")


def training_rows(figures: Figures) -> Iterator[Row]:
    """Yield those, and the time to the same error."""
    yield from step_rows(figures)
    splits = f"{figures['splits']} splits, 95 % interval"
    for name, reached in figures["times_peer_to_same_eer"].items():
        if name.startswith("ours"):
            what = f"training, time to the same validation EER ({name})"
            yield Row(what, splits, "pytorch-metric-learning", "", reached, "training")


def throughput_rows(figures: Figures) -> Iterator[Row]:
    """Yield training speed against two towers."""
    ours, theirs = figures["throughput"]["ours"], figures["throughput"]["two towers"]
    times = alone(figures["ratios"]["pairs_per_second"])
    pairs = [f"{side['pairs_per_second']:,.0f}" for side in (ours, theirs)]
    yield Row("training, pairs per second", pairs[0], "two towers fed with pairs", pairs[1], times, "throughput")
    reached = figures["ratios"]["time_to_same_validation_eer"]
    times = {"median": reached["median"], "least": min(reached["all"]), "most": max(reached["all"])}
    yield Row(
        "training, time to the same validation EER",
        f"{reached['splits']} splits",
        "two towers fed with pairs",
        "",
        times,
        "throughput",
    )


def encoding_rows(figures: Figures) -> Iterator[Row]:
    """Yield the time to embed a face, against other networks."""
    for run in figures["runs"]:
        own = run["networks"]["visavis"]
        cores = "1 thread" if run["threads"] == 1 else f"{run['threads']} threads"
        what = f"encoding, {cores}, batch of {run['batch']}"
        share = own["part_of_matrix_product"]["median"]
        ours = f"{own['milliseconds_a_face']['median']:.2f} ms, {share:.0%} of a matrix product's speed"
        for name, measured in run["networks"].items():
            if name != "visavis":
                theirs = f"{measured['milliseconds_a_face']['median']:.2f} ms"
                if "part_of_matrix_product" in measured:
                    theirs += f", {measured['part_of_matrix_product']['median']:.0%}"
                yield Row(what, ours, name, theirs, measured["times_ours"], "encoding")


def faces_rows(figures: Figures) -> Iterator[Row]:
    """Yield the time to detect faces, against the package of the detector's weights and against dlib."""
    compared = figures["compared"]

    def shown(name: str) -> str:
        return f"{compared['milliseconds_a_photo'][name]['median']:.0f} ms, {compared['found'][name]} detected"

    for name, times in compared["times_faster"].items():
        yield Row(f"face detection in {compared['photos']} photos of LFW", shown("visavis"), name, shown(name), times, "faces")


def decision_rows(figures: Figures) -> Iterator[Row]:
    """Yield the time and accuracy of decisions on two photos, against face_recognition."""
    peer = "face_recognition"
    ours, theirs = figures["decided"]["ours"], figures["decided"][peer]
    longer = figures["times_longer_than_face_recognition"]
    times = {"median": 1 / longer["median"], "least": 1 / longer["most"], "most": 1 / longer["least"]}
    pairs = f"{figures['pairs']:,} pairs of LFW"
    milliseconds = [f"{side['milliseconds_a_pair']['median']:,.0f} ms" for side in (ours, theirs)]
    yield Row(f"two photos to a decision ({pairs})", milliseconds[0], peer, milliseconds[1], times, "decision")
    for what, unit, measured in (
        ("start to first decision", "s", [figures["seconds"][name]["until_first_decision"] for name in ("ours", peer)]),
        ("import", "s", [figures["seconds"][name]["import"] for name in ("ours", peer)]),
        ("two photos, peak memory", "MB", [figures["peak_megabytes"][name] for name in ("ours", peer)]),
    ):
        shown = [f"{value:,.2f} {unit}" if unit == "s" else f"{value:,.0f} {unit}" for value in measured]
        yield Row(what, shown[0], peer, shown[1], alone(measured[1] / measured[0]), "decision")
    for what, name in (
        ("accuracy", "accuracy"),
        ("false match rate", "false_match_rate"),
        ("false non-match rate", "false_non_match_rate"),
        ("EER", "eer"),
    ):
        shown = [f"{side[name]:.1%}" for side in (ours, theirs)]
        yield Row(f"the same decisions, {what}", shown[0], peer, shown[1], {}, "decision")


def allpairs_rows(figures: Figures) -> Iterator[Row]:
    """Yield the time for error rates over all pairs, against scikit-learn."""
    for size in figures["sizes"]:
        names = ("ours", "scikit-learn")
        shown = [f"{size['seconds'][name]['median']:.2f} s, {size['peak_megabytes'][name]:,.0f} MB" for name in names]
        what = f"error rates of all pairs of {size['photos']:,} photos"
        yield Row(what, shown[0], "scikit-learn's `roc_curve`", shown[1], size["times_faster"], "allpairs")


def gallery_rows(figures: Figures) -> Iterator[Row]:
    """Yield the time of an exact search, against faiss, a matrix product and a Python loop."""
    for count, measured in figures["references"].items():
        median = {name: times["median"] for name, times in measured["milliseconds"].items()}
        what = f"exact search of {int(count):,} references"
        ours = f"{median['visavis']:,.1f} ms, {measured['part_of_reading_speed']['median']:.0%} of memory speed"
        for name, times in measured["times_faster"].items():
            yield Row(what, ours, name, f"{median[name]:,.1f} ms", times, "gallery")


def gallery_milvus_rows(figures: Figures) -> Iterator[Row]:
    """Yield the time of a search in a gallery file, against Milvus Lite."""
    ours = figures["p50_ms"]["file"]
    for name in ("Milvus FLAT", "Milvus HNSW, ef=256"):
        theirs, recall = figures["p50_ms"][name], figures["recall_at_1"][name]
        what = f"search of {figures['references']:,} references in a file"
        peer = name.replace("Milvus", "Milvus Lite,")
        yield Row(what, f"{ours:,.1f} ms", peer, f"{theirs:,.1f} ms, recall {recall:.0%}", alone(theirs / ours), "gallery_milvus")


SECTIONS: dict[str, Callable[[Figures], Iterator[Row]]] = {
    "training": training_rows,
    "training-avx2": partial(step_rows, where=" without AVX-512"),
    "training-torch": partial(step_rows, where=" on PyTorch alone, without AVX-512"),
    "throughput": throughput_rows,
    "encoding": encoding_rows,
    "faces": faces_rows,
    "decision": decision_rows,
    "allpairs": allpairs_rows,
    "gallery": gallery_rows,
    "gallery_milvus": gallery_milvus_rows,
}


def alone(value: float) -> dict[str, float]:
    """Return the ratio of a single measurement."""
    return {"median": value, "least": value, "most": value}


def read_results() -> dict[str, Figures]:
    """Read all result files, by benchmark."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def rows_of(results: dict[str, Figures]) -> list[Row]:
    """List every comparison for which there are results."""
    return [row for name, make in SECTIONS.items() if name in results for row in make(results[name])]


def page(results: dict[str, Figures]) -> str:
    """Return the page in Markdown."""
    lines = ["| what | visavis | other library | its figure | ratio (min .. max) |", "| --- | --- | --- | --- | --- |"]
    for row in rows_of(results):
        lines.append(f"| {row.what} | {row.ours} | {row.peer} | {row.theirs} | {_ratio(row.times)} |")
    lines += [AFTER.rstrip("\n"), "", "| script | command | date | machine |", "| --- | --- | --- | --- |"]
    for name in SECTIONS:
        if name in results:
            result = results[name]
            machine = f"{result['machine']['processor']}, {result['machine']['cores']} cores"
            lines.append(f"| {name} | `{result['command']}` | {result['date']} | {machine} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def _ratio(times: dict[str, float]) -> str:
    if not times:
        return ""
    if times["least"] == times["most"]:
        return _short(times["median"])
    return f"{_short(times['median'])} ({_short(times['least'])} .. {_short(times['most'])})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def chart(rows: list[Row]) -> str:
    """Draw the ratios as bars from 1, on a logarithmic scale, as SVG."""
    shown = [row for row in rows if row.times]
    left, width, high = 580, 380, 20
    low, top = 0.1, max(10.0, *(row.times["median"] for row in shown))
    height = high * len(shown) + 40

    def place(value: float) -> float:
        fraction = math.log(min(max(value, low), top) / low) / math.log(top / low)
        return round(left + width * fraction, 1)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{height}" font-family="sans-serif">']
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for number, row in enumerate(shown):
        y, median = 10 + high * number, row.times["median"]
        start, end = sorted((place(1), place(median)))
        colour = "#2a7f62" if median >= 1 else "#c8553d"
        label = f"{row.what}, against {row.peer}".replace("`", "")
        parts.append(f'<text x="{left - 10}" y="{y + 13}" font-size="11" text-anchor="end">{label}</text>')
        parts.append(f'<rect x="{start}" y="{y + 3}" width="{max(1.0, round(end - start, 1))}" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{place(max(1.0, median)) + 5}" y="{y + 13}" font-size="11">{_short(median)}</text>')
    parts.append(f'<line x1="{place(1)}" x2="{place(1)}" y1="5" y2="{height - 25}" stroke="black"/>')
    parts.append(
        f'<text x="{place(1)}" y="{height - 8}" font-size="11" text-anchor="middle">1: equal; right: visavis is better</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def code_span(text: str) -> str:
    """Return a text as code for a table cell, so that none of its characters is markup."""
    if "|" in text:  # a pipe cannot be escaped in a code span the same way for GitHub and for Python-Markdown
        return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def templates() -> Environment:
    """Return the templates of the figures, named as in the marks."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "figures"), undefined=StrictUndefined)
    environment.globals.update(
        cost_lines=cost_lines,
        growth_lines=growth_lines,
        album_growth_lines=album_growth_lines,
        coverage_lines=coverage_lines,
        guarantee_lines=guarantee_lines,
    )
    environment.filters.update(
        code=code_span,
        percent=lambda fraction, digits=1: f"{100 * fraction:.{digits}f} %",
        percent_short=lambda fraction: f"{100 * fraction:.2g} %",
        capitalize_first=lambda text: text[:1].upper() + text[1:],
        accuracy=lambda result, digits=1: f"{100 * result['accuracy']:.{digits}f} ± {100 * result['standard_error']:.{digits}f} %",
        thousands=lambda count: f"{count:,.0f}",
        duration=lambda seconds: f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.{0 if seconds >= 10 else 1}f} s",
        median=statistics.median,
        total=lambda counts: sum(counts.values()),
    )
    return environment


def with_figures(text: str, results: dict[str, Figures]) -> str:
    """Return a page with the current figures between its marks."""
    variables: Figures = {name.replace("-", "_"): result for name, result in results.items()}
    variables["card"] = load_encoder("pretrained").card
    environment = templates()

    def figures(mark: re.Match[str]) -> str:
        text = environment.get_template(f"{mark['name']}.md").render(variables).strip()
        return f"{mark['mark']}\n{text}\n\n{mark['end']}"

    return MARKED.sub(figures, text)


def pages() -> dict[Path, str]:
    """Return the generated files with their up-to-date texts."""
    results = read_results()
    generated = {
        ROOT / "docs" / "benchmarks.md": page(results),
        ROOT / "docs" / "pictures" / "benchmarks.svg": chart(rows_of(results)),
    }
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        if MARKED.search(path.read_text()):
            generated[path] = with_figures(path.read_text(), results)
    return generated


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        print(path)
