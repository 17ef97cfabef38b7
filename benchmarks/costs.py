"""The cost of a million photos, and the growth of each stage: figures of docs/scale.md, computed from the results."""

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["cost_lines", "growth_lines"]

Figures = dict[str, Any]

CORE_HOUR = 0.04  # US dollars: an approximate price of a virtual core; replace it by yours
GIGABYTE_MONTH = 0.023  # US dollars: an approximate price of object storage
DIMENSIONS = 128
STAGES = {
    "store": "store generated faces",
    "train": "train, one epoch",
    "embed": "embed",
    "evaluate": "evaluate on sampled pairs",
    "gallery": "gallery: enrol, open, search",
    "all-pairs": "all pairs",
}


def cost_lines(bulk: Figures) -> Iterator[str]:
    """Yield the table of costs for a million and for a hundred million photos."""
    yield f"Measured on {bulk['machine']['processor']}, {bulk['date']} (`{bulk['command']}`). Assumed prices:"
    yield f"{CORE_HOUR} US dollars per core-hour, {GIGABYTE_MONTH} per gigabyte and month."
    yield ""
    yield "| input | CPU time per photo | a million photos | cost | a hundred million | cost |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for kind in ("whole photos", "prepared faces"):
        seconds = bulk[kind]["cpu_seconds_a_photo"]
        hours = seconds * 1e6 / 3600
        yield (
            f"| {kind} | {1000 * seconds:,.1f} ms | {hours:,.1f} core-hours | {_dollars(hours * CORE_HOUR)} "
            f"| {100 * hours:,.0f} core-hours | {_dollars(100 * hours * CORE_HOUR)} |"
        )
    yield ""
    size = bulk["bytes_a_row"]
    table, matrix = size * 1e8 / 1e9, DIMENSIONS * 4 * 1e8 / 1e9
    yield f"A row of the table takes {size:,.0f} bytes: {size * 1e6 / 1e9:,.2f} GB for a million photos,"
    yield f"{table:,.0f} GB for a hundred million ({_dollars(table * GIGABYTE_MONTH)} per month)."
    yield f"The embeddings alone are {matrix:,.0f} GB as float32."
    whole, prepared = (bulk[kind]["peak_megabytes"] for kind in ("whole photos", "prepared faces"))
    yield f"A process needs {whole:,.0f} MB for whole photos and {prepared:,.0f} MB for prepared faces."
    longer, cores = bulk["wall_seconds"]["ray_times_longer"]["median"], bulk["machine"]["cores"]
    yield f"For {bulk['photos']:,} photos on the {cores} cores of this machine, Ray took {longer:.1f} times as long as local"
    yield "processes, start-up included."


def growth_lines(growth: Figures) -> Iterator[str]:
    """Yield the table of CPU time and memory of each stage by number of faces."""
    sizes = growth["sizes"]
    yield "CPU time and peak memory of each stage, without pages of mapped files"
    yield f"(`{growth['command']}`, {growth['date']}):"
    yield ""
    yield "| stage | " + " | ".join(f"{row['faces']:,} faces" for row in sizes) + " | time grows as |"
    yield "| --- |" + " --- |" * (len(sizes) + 1)
    for stage, name in STAGES.items():
        measured = [(row["faces"], row[stage]) for row in sizes if stage in row]
        cells = [f"{each['cpu_seconds']:,.1f} s, {each['peak_megabytes']:,.0f} MB" for _, each in measured]
        cells += ["not measured"] * (len(sizes) - len(measured))
        yield f"| {name} | " + " | ".join(cells) + f" | {_power(measured)} |"
    yield ""
    yield "The exponent is that between the last two sizes, start-up included. For all pairs it approaches 2."


def _power(measured: list[tuple[int, Figures]]) -> str:
    """Format the exponent of growth between the last two sizes."""
    if len(measured) < 2:
        return ""
    (few, before), (many, after) = measured[-2:]
    return f"n^{math.log(after['cpu_seconds'] / before['cpu_seconds']) / math.log(many / few):.2f}"


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"
