"""The page of benchmarks, its chart and the figures of other pages, made from `results/*.json` and nothing else.

    python benchmarks/page.py

Writes `docs/benchmarks.md`, `docs/pictures/benchmarks.svg` and what stands between marks in README and docs, by the templates of
the folder `figures`. A test fails where they are not what the results give.
"""

import json
import math
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costs import cost_lines, growth_lines
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from visavis.encoders import load_encoder

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
MARKED = re.compile(r"(?P<mark><!-- figures (?P<name>\w+): .*?-->\n).*?(?P<end><!-- end of figures -->)", re.DOTALL)
Figures = dict[str, Any]

INTRODUCTION = """# Side by side

Made by `python benchmarks/page.py` from `benchmarks/results/*.json`; `make bench` measures all of it anew and makes this page.
Each ratio is taken in one run, in turns, so that what slows the machine slows both sides; it is the median of the rounds, with the
least and the most behind it. More than 1: ours is faster, or takes less. Less than 1: it is the other way round.

![How many times faster, or smaller, ours is](pictures/benchmarks.svg)

"""
AFTER = """
What each script does, and what it needs, stands at its head. Two machines, or one at two times, are not compared: where scripts ran
on different days, only the ratios within a row mean anything.

"""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What was measured.
        ours: Our figure, with its unit.
        peer: Who it is compared with.
        theirs: The peer's figure.
        times: How many times better ours is: median, least and most.
        script: The benchmark's name.
    """

    what: str
    ours: str
    peer: str
    theirs: str
    times: dict[str, float]
    script: str


def training_rows(figures: Figures) -> Iterator[Row]:
    """Steps, memory and time to the same error, against pytorch-metric-learning."""
    peer = "pytorch-metric-learning"
    theirs = figures["throughput"][peer]["photos_per_second"]["median"]
    for name, told in figures["throughput"].items():
        if name != peer:
            ours = told["photos_per_second"]["median"]
            times = told["times_peer"]
            yield Row(f"training, photos a second ({name})", f"{ours:,.0f}", peer, f"{theirs:,.0f}", times, "training")
            memory, own = figures["peak_megabytes"][peer], figures["peak_megabytes"][name]
            what = f"training, peak memory ({name})"
            yield Row(what, f"{own:,.0f} MB", peer, f"{memory:,.0f} MB", alone(memory / own), "training")
            if reached := figures["times_peer_to_same_eer"][name]:
                splits = f"{len(figures['splits'])} split{'s' if len(figures['splits']) > 1 else ''}"
                yield Row(f"training, time to the same validation EER ({name})", splits, peer, "", reached, "training")


def throughput_rows(figures: Figures) -> Iterator[Row]:
    """Against two towers."""
    ours, theirs = figures["throughput"]["ours"], figures["throughput"]["two towers"]
    times = alone(figures["ratios"]["pairs_per_second"])
    pairs = [f"{told['pairs_per_second']:,.0f}" for told in (ours, theirs)]
    yield Row("training, pairs a second", pairs[0], "two towers, as in the brief", pairs[1], times, "throughput")
    reached = figures["ratios"]["time_to_same_validation_eer"]
    times = {"median": reached["median"], "least": min(reached["all"]), "most": max(reached["all"])}
    yield Row(
        "training, time to the same validation EER",
        f"{reached['splits']} splits",
        "two towers, as in the brief",
        "",
        times,
        "throughput",
    )


def encoding_rows(figures: Figures) -> Iterator[Row]:
    """A face encoded, against each other network."""
    for run in figures["runs"]:
        own = run["networks"]["visavis"]
        cores = "1 thread" if run["threads"] == 1 else f"{run['threads']} threads"
        what = f"encoding, {cores}, batch of {run['batch']}"
        part = own["part_of_matrix_product"]["median"]
        ours = f"{own['milliseconds_a_face']['median']:.2f} ms, {part:.0%} of a matrix product's speed"
        for name, told in run["networks"].items():
            if name != "visavis":
                theirs = f"{told['milliseconds_a_face']['median']:.2f} ms"
                if "part_of_matrix_product" in told:
                    theirs += f", {told['part_of_matrix_product']['median']:.0%}"
                yield Row(what, ours, name, theirs, told["times_ours"], "encoding")


def faces_rows(figures: Figures) -> Iterator[Row]:
    """Faces found in photos, against the code that the weights come with, and against dlib."""
    told = figures["compared"]

    def shown(name: str) -> str:
        return f"{told['milliseconds_a_photo'][name]['median']:.0f} ms, {told['found'][name]} found"

    for name, times in told["times_faster"].items():
        yield Row(f"finding the face in {told['photos']} photos of LFW", shown("visavis"), name, shown(name), times, "faces")


def decision_rows(figures: Figures) -> Iterator[Row]:
    """Two photos decided, against face_recognition."""
    peer = "face_recognition"
    ours, theirs = figures["decided"]["ours"], figures["decided"][peer]
    longer = figures["times_longer_than_face_recognition"]
    times = {"median": 1 / longer["median"], "least": 1 / longer["most"], "most": 1 / longer["least"]}
    pairs = f"{figures['pairs']:,} pairs of LFW"
    milliseconds = [f"{told['milliseconds_a_pair']['median']:,.0f} ms" for told in (ours, theirs)]
    yield Row(f"two photos to a decision ({pairs})", milliseconds[0], peer, milliseconds[1], times, "decision")
    for what, unit, found in (
        ("start to first decision", "s", [figures["seconds"][name]["until_first_decision"] for name in ("ours", peer)]),
        ("import", "s", [figures["seconds"][name]["import"] for name in ("ours", peer)]),
        ("two photos, peak memory", "MB", [figures["peak_megabytes"][name] for name in ("ours", peer)]),
    ):
        shown = [f"{value:,.2f} {unit}" if unit == "s" else f"{value:,.0f} {unit}" for value in found]
        yield Row(what, shown[0], peer, shown[1], alone(found[1] / found[0]), "decision")
    for what, name in (
        ("accuracy", "accuracy"),
        ("false match rate", "false_match_rate"),
        ("false non-match rate", "false_non_match_rate"),
        ("equal error rate, whatever the threshold", "eer"),
    ):
        shown = [f"{told[name]:.1%}" for told in (ours, theirs)]
        yield Row(f"the same decisions, {what}", shown[0], peer, shown[1], {}, "decision")


def allpairs_rows(figures: Figures) -> Iterator[Row]:
    """All pairs of so many photos, against scikit-learn."""
    for size in figures["sizes"]:
        names = ("ours", "scikit-learn")
        shown = [f"{size['seconds'][name]['median']:.2f} s, {size['peak_megabytes'][name]:,.0f} MB" for name in names]
        what = f"error rates of all pairs of {size['photos']:,} photos"
        yield Row(what, shown[0], "scikit-learn's `roc_curve`", shown[1], size["times_faster"], "allpairs")


def gallery_rows(figures: Figures) -> Iterator[Row]:
    """A search of so many references, against faiss, against one product with the whole matrix, and against a loop in Python."""
    for count, told in figures["references"].items():
        median = {name: times["median"] for name, times in told["milliseconds"].items()}
        what = f"exact search of {int(count):,} references"
        ours = f"{median['visavis']:,.1f} ms, {told['part_of_reading_speed']['median']:.0%} of reading them"
        for name, times in told["times_faster"].items():
            yield Row(what, ours, name, f"{median[name]:,.1f} ms", times, "gallery")


def gallery_milvus_rows(figures: Figures) -> Iterator[Row]:
    """A search of a gallery in a file, against the same references in Milvus Lite."""
    ours = figures["p50_ms"]["file"]
    for name in ("Milvus FLAT", "Milvus HNSW, ef=256"):
        theirs, found = figures["p50_ms"][name], figures["recall_at_1"][name]
        what = f"search of {figures['references']:,} references in a file"
        peer = name.replace("Milvus", "Milvus Lite,")
        yield Row(what, f"{ours:,.1f} ms", peer, f"{theirs:,.1f} ms, finds {found:.0%}", alone(theirs / ours), "gallery_milvus")


SECTIONS: dict[str, Callable[[Figures], Iterator[Row]]] = {
    "training": training_rows,
    "throughput": throughput_rows,
    "encoding": encoding_rows,
    "faces": faces_rows,
    "decision": decision_rows,
    "allpairs": allpairs_rows,
    "gallery": gallery_rows,
    "gallery_milvus": gallery_milvus_rows,
}


def alone(value: float) -> dict[str, float]:
    """A ratio that was taken once."""
    return {"median": value, "least": value, "most": value}


def read_results() -> dict[str, Figures]:
    """What the benchmarks wrote."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def rows_of(results: dict[str, Figures]) -> list[Row]:
    """Every comparison that there are results of."""
    return [row for name, make in SECTIONS.items() if name in results for row in make(results[name])]


def page(results: dict[str, Figures]) -> str:
    """The page in Markdown."""
    lines = ["| what | ours | beside | theirs | times better (least .. most) |", "| --- | --- | --- | --- | --- |"]
    for row in rows_of(results):
        lines.append(f"| {row.what} | {row.ours} | {row.peer} | {row.theirs} | {_told(row.times)} |")
    lines += [AFTER.rstrip("\n"), "", "| script | command | date | machine |", "| --- | --- | --- | --- |"]
    for name in SECTIONS:
        if name in results:
            told = results[name]
            machine = f"{told['machine']['processor']}, {told['machine']['cores']} cores"
            lines.append(f"| {name} | `{told['command']}` | {told['date']} | {machine} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def _told(times: dict[str, float]) -> str:
    if not times:
        return ""
    if times["least"] == times["most"]:
        return _short(times["median"])
    return f"{_short(times['median'])} ({_short(times['least'])} .. {_short(times['most'])})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def chart(rows: list[Row]) -> str:
    """Bars from 1 to how many times better, on a logarithmic scale, as SVG."""
    shown = [row for row in rows if row.times]
    left, width, high = 580, 380, 20
    low, top = 0.1, max(10.0, *(row.times["median"] for row in shown))
    height = high * len(shown) + 40

    def place(value: float) -> float:
        part = math.log(min(max(value, low), top) / low) / math.log(top / low)
        return round(left + width * part, 1)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{height}" font-family="sans-serif">']
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for number, row in enumerate(shown):
        y, median = 10 + high * number, row.times["median"]
        start, end = sorted((place(1), place(median)))
        colour = "#2a7f62" if median >= 1 else "#c8553d"
        label = f"{row.what}, beside {row.peer}".replace("`", "")
        parts.append(f'<text x="{left - 10}" y="{y + 13}" font-size="11" text-anchor="end">{label}</text>')
        parts.append(f'<rect x="{start}" y="{y + 3}" width="{max(1.0, round(end - start, 1))}" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{place(max(1.0, median)) + 5}" y="{y + 13}" font-size="11">{_short(median)}</text>')
    parts.append(f'<line x1="{place(1)}" x2="{place(1)}" y1="5" y2="{height - 25}" stroke="black"/>')
    parts.append(
        f'<text x="{place(1)}" y="{height - 8}" font-size="11" text-anchor="middle">1: the same; right: ours is better</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def templates() -> Environment:
    """What stands between the marks, called as the marks are."""
    made = Environment(loader=FileSystemLoader(Path(__file__).parent / "figures"), undefined=StrictUndefined)
    made.globals.update(cost_lines=cost_lines, growth_lines=growth_lines)
    made.filters.update(
        percent=lambda part, digits=1: f"{100 * part:.{digits}f} %",
        accuracy=lambda told: f"{100 * told['accuracy']:.1f} ± {100 * told['standard_error']:.1f} %",
        thousands=lambda count: f"{count:,.0f}",
        duration=lambda seconds: f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.{0 if seconds >= 10 else 1}f} s",
        median=statistics.median,
        total=lambda counts: sum(counts.values()),
    )
    return made


def with_figures(text: str, results: dict[str, Figures]) -> str:
    """A page with new figures between its marks."""
    known: Figures = {name.replace("-", "_"): told for name, told in results.items()}
    known["card"] = load_encoder("pretrained").card
    made = templates()

    def figures(found: re.Match[str]) -> str:
        told = made.get_template(f"{found['name']}.md").render(known).strip()
        return f"{found['mark']}\n{told}\n\n{found['end']}"

    return MARKED.sub(figures, text)


def pages() -> dict[Path, str]:
    """Every file that is made from the results, as it should be."""
    results = read_results()
    made = {
        ROOT / "docs" / "benchmarks.md": page(results),
        ROOT / "docs" / "pictures" / "benchmarks.svg": chart(rows_of(results)),
    }
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        if MARKED.search(path.read_text()):
            made[path] = with_figures(path.read_text(), results)
    return made


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        print(path)
