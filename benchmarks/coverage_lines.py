"""The tables of the coverage benchmark for the docs."""

from collections.abc import Iterator
from typing import Any

__all__ = ["coverage_lines", "guarantee_lines"]

Figures = dict[str, Any]

PEOPLE, PHOTOS, KINDS = (10, 30, 100, 300), ("balanced", "Pareto"), ("homogeneous", "wolves")
ENCODERS = ("ordinary", "good", "zero-error")
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
    yield "Share of samples whose 95 % interval holds the truth, the lowest of an ordinary, a good and a nearly error-free encoder"
    yield f"(`{figures['command']}`). A dash: extrapolated, no rate is claimed. The last two columns: how often the prediction"
    yield "intervals of FMR and FNMR hold the rates of another sample."
    yield ""
    yield "| people | photos | population | samples | " + " | ".join(MEASURES.values()) + " | FMR predicted | FNMR predicted |"
    yield "| --- | --- | --- | --- |" + " --- |" * (len(MEASURES) + 2)
    for (people, photos, kind), cells in grid.items():
        shares = [_lowest(cells, "covered", name) for name in MEASURES]
        shares += [_lowest(cells, "predicted", name) for name in ("fmr", "fnmr")]
        samples = min(cell["draws"] for cell in cells.values())
        yield f"| {people} | {photos} | {kind} | {samples} | " + " | ".join(shares) + " |"
    yield ""
    failed = [f"{name}: {measure}" for name, cell in figures["cells"].items() for measure in cell["failures"]]
    yield f"Cells whose coverage is below 92 % (exact 99.9 % bound): {', '.join(failed) or 'none'}.{_missing(grid)}"
    yield ""
    if real := [cell["covered"].values() for name, cell in figures["cells"].items() if " people of " in name]:
        shares = [row["count"] / row["trials"] for rows in real for row in rows]
        yield "Samples of 10 to 300 people of LFW and of people in the wild, by the bundled encoder (`--real`): at least"
        yield f"{100 * min(shares):.1f} %."
        yield ""
    yield "Median width of the intervals of FMR and FNMR, good encoder, four photos each, homogeneous people:"
    yield ""
    yield "| people | " + " | ".join(f"{name}, {kind}" for name in ("FMR", "FNMR") for kind in _KINDS) + " |"
    yield "| --- |" + " --- |" * (2 * len(_KINDS))
    for (people, photos, kind), cells in grid.items():
        if (photos, kind) == ("balanced", "homogeneous") and "good" in cells:
            widths = cells["good"]["widths"]
            yield (
                f"| {people} | "
                + " | ".join(f"{100 * round(widths[m][k], 5):.2g} %" for m in ("fmr", "fnmr") for k in _KINDS)
                + " |"
            )
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


def guarantee_lines(figures: Figures) -> Iterator[str]:
    """Yield what becomes of people as many as advised, and of thresholds at the limit of refusal."""
    yield f"Guaranteed thresholds (`{figures['command']}`): people as many as a refusal advises, and at the limit of refusal."
    yield ""
    yield "| target FMR | photos | population | advised people | samples accepted | above target | above target at the limit |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, cell in figures["cells"].items():
        target, photos, kind = name.removeprefix("FMR ").split(", ")
        shares = [_share([row]) for row in (cell["accepted"], cell["exceeded"], cell["limit"]["exceeded"])]
        yield f"| {100 * float(target):g} % | {photos} | {kind} | {cell['advised']['median']:,.0f} | " + " | ".join(shares) + " |"


def _missing(grid: dict[tuple[str, str, str], dict[str, Figures]]) -> str:
    """Name the cells of the whole grid that have not been computed."""
    whole = [(str(people), photos, kind) for people in PEOPLE for kind in KINDS for photos in PHOTOS]
    missing = [key for key in whole if len(grid.get(key, {})) < len(ENCODERS)]
    people = [number for number in map(str, PEOPLE) if all(key in missing for key in whole if key[0] == number)]
    others = [", ".join((f"{key[0]} people", *key[1:])) for key in missing if key[0] not in people]
    texts = [f"all of {', '.join(people)} people"] if people else []
    return f" Not computed yet: {'; '.join(texts + others)}." if missing else ""


def _grid(cells: Figures) -> dict[tuple[str, str, str], dict[str, Figures]]:
    """Group the cells of the grid by all but the encoder."""
    grid: dict[tuple[str, str, str], dict[str, Figures]] = {}
    for name, cell in cells.items():
        parts = name.replace(" people", "").split(", ")
        if len(parts) == 4:
            people, photos, kind, encoder = parts
            grid.setdefault((people, photos, kind), {})[encoder] = cell
    return grid


def _lowest(cells: dict[str, Figures], kind: str, measure: str) -> str:
    rows = [cell[kind][measure] for cell in cells.values() if measure in cell[kind]]
    return f"{100 * min(row['count'] / row['trials'] for row in rows):.1f} %" if rows else "-"


def _share(rows: list[Figures]) -> str:
    count, trials = (sum(row[name] for row in rows) for name in ("count", "trials"))
    return f"{count:,} of {trials:,} ({100 * count / trials:.1f} %)" if trials else "none given"
