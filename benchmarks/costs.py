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


def album_growth_lines(result: Figures) -> Iterator[str]:
    """Yield the table of CPU time and memory of `find` and `sort` by number of photos, projected to ten million."""
    sizes, most = result["growth"], 10_000_000
    yield "CPU time and memory of `find` (30 known people) and `sort` with a table of synthetic embeddings, a face in each photo"
    yield f"(`{result['command']}`, {result['date']}):"
    yield ""
    yield (
        "| command | " + " | ".join(f"{row['photos']:,} photos" for row in sizes) + f" | grows as | at {most:,} photos, projected |"
    )
    yield "| --- |" + " --- |" * (len(sizes) + 2)
    for command, power in (("find", 1), ("sort", 2)):
        measured = [(row["photos"], row[command]) for row in sizes if command in row]
        cells = [f"{each['cpu_seconds']:,.1f} s, {each['peak_megabytes']:,.0f} MB" for _, each in measured]
        cells += ["not measured"] * (len(sizes) - len(measured))
        yield f"| `{command}` | " + " | ".join(cells) + f" | {_power(measured)} | {_projected(measured, most, power)} |"
    yield ""
    yield "Grows as: between the last two sizes, start-up included; `sort` approaches n^2. Projected from these sizes: `find` with"
    yield "the time that each further photo took, `sort` with its square, memory with the bytes of each further photo."


def _projected(measured: list[tuple[int, Figures]], most: int, power: int) -> str:
    """Format hours and gigabytes at a size that was not measured; time grows with a power of the size, memory with the size."""
    if len(measured) < 2:
        return ""
    (few, before), (many, after) = measured[-2:]
    share = (most**power - many**power) / (many**power - few**power)
    seconds = after["cpu_seconds"] + share * (after["cpu_seconds"] - before["cpu_seconds"])
    slope = (after["peak_megabytes"] - before["peak_megabytes"]) / (many - few)
    return f"{seconds / 3600:,.1f} hours, {(after['peak_megabytes'] + slope * (most - many)) / 1000:,.0f} GB"


def _power(measured: list[tuple[int, Figures]]) -> str:
    """Format the exponent of growth between the last two sizes."""
    if len(measured) < 2:
        return ""
    (few, before), (many, after) = measured[-2:]
    return f"n^{math.log(after['cpu_seconds'] / before['cpu_seconds']) / math.log(many / few):.2f}"


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"
