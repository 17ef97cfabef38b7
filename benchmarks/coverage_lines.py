"""The tables of the coverage benchmark for the docs."""

from collections.abc import Iterator
from typing import Any

__all__ = ["coverage_lines"]

Figures = dict[str, Any]

MEASURES = {
    "fmr": "FMR",
    "fnmr": "FNMR",
    "eer": "EER",
    "roc_auc": "ROC AUC",
    "tar_at_fmr_1e-2": "TAR at FMR 1 %",
    "tar_at_fmr_1e-3": "TAR at FMR 0.1 %",
    "accuracy": "accuracy",
    "cllr": "Cllr",
}
_KINDS = ("visavis", "Wilson on pairs", "plain bootstrap", "Bayesian bootstrap")


def coverage_lines(figures: Figures) -> Iterator[str]:
    """Yield the grid of coverages, the widths, and what guarantees and comparisons do."""
    grid = _grid(figures["cells"])
    draws = sorted({cell["draws"] for cell in figures["cells"].values()})
    yield "Share of samples whose 95 % interval holds the truth, the lowest of an ordinary, a good and a nearly error-free encoder"
    yield f"({' or '.join(map(str, draws))} samples per encoder; `{figures['command']}`). A dash: extrapolated, no rate is claimed."
    yield ""
    yield "| people | photos | population | " + " | ".join(MEASURES.values()) + " |"
    yield "| --- | --- | --- |" + " --- |" * len(MEASURES)
    for (people, photos, kind), cells in grid.items():
        yield f"| {people} | {photos} | {kind} | " + " | ".join(_lowest(cells, name) for name in MEASURES) + " |"
    yield ""
    yield "Median width of the intervals of FMR and FNMR, good encoder, four photos each, homogeneous people:"
    yield ""
    yield "| people | " + " | ".join(f"{name}, {kind}" for name in ("FMR", "FNMR") for kind in _KINDS) + " |"
    yield "| --- |" + " --- |" * (2 * len(_KINDS))
    for (people, photos, kind), cells in grid.items():
        if (photos, kind) == ("balanced", "homogeneous"):
            widths = cells["good"]["widths"]
            yield f"| {people} | " + " | ".join(f"{100 * widths[m][k]:.2g} %" for m in ("fmr", "fnmr") for k in _KINDS) + " |"
    yield ""
    yield "What else the simulation counts, over all cells with as many people:"
    yield ""
    columns = ("guaranteed thresholds above target", "equal models called different", "better model found", "random quality helps")
    yield "| people | " + " | ".join(columns) + " |"
    yield "| --- | --- | --- | --- | --- |"
    for people in dict.fromkeys(key[0] for key in grid):
        cells = [cell for key, own in grid.items() if key[0] == people for cell in own.values()]
        given = [row for cell in cells for row in cell["exceeded"].values()]
        others = [_share([cell[name] for cell in cells]) for name in ("called_different", "better_found", "random_quality_helps")]
        yield f"| {people} | {_share(given)} | " + " | ".join(others) + " |"


def _grid(cells: Figures) -> dict[tuple[str, str, str], dict[str, Figures]]:
    """Group the cells of the grid by all but the encoder."""
    grid: dict[tuple[str, str, str], dict[str, Figures]] = {}
    for name, cell in cells.items():
        parts = name.replace(" people", "").split(", ")
        if len(parts) == 4:
            people, photos, kind, encoder = parts
            grid.setdefault((people, photos, kind), {})[encoder] = cell
    return grid


def _lowest(cells: dict[str, Figures], measure: str) -> str:
    rows = [cell["covered"][measure] for cell in cells.values() if measure in cell["covered"]]
    return f"{100 * min(row['count'] / row['trials'] for row in rows):.0f} %" if rows else "-"


def _share(rows: list[Figures]) -> str:
    count, trials = (sum(row[name] for row in rows) for name in ("count", "trials"))
    return f"{count:,} of {trials:,} ({100 * count / trials:.1f} %)" if trials else "none given"
