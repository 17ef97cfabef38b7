"""What a million photos cost, worked out from what was measured, and how each stage grows: the figures of docs/scale.md."""

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["cost_lines", "growth_lines"]

Figures = dict[str, Any]

CORE_HOUR = 0.04  # US dollars; what a virtual core of a general-purpose machine is rented for, roughly: put in your own
GIGABYTE_MONTH = 0.023  # likewise, of an object store
DIMENSIONS = 128
STAGES = {
    "store": "store, faces generated",
    "train": "train, one epoch",
    "embed": "embed",
    "evaluate": "evaluate, pairs drawn",
    "gallery": "gallery: all enrolled, opened, searched",
    "all-pairs": "all pairs",
}


def cost_lines(bulk: Figures) -> Iterator[str]:
    """Of a million photos, and of a hundred million."""
    yield f"Measured on {bulk['machine']['processor']}, {bulk['date']} (`{bulk['command']}`);"
    yield f"a core-hour at {CORE_HOUR} US dollars, a gigabyte a month at {GIGABYTE_MONTH}."
    yield ""
    yield "| from | CPU time a photo | a million photos | cost | a hundred million | cost |"
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
    yield f"{table:,.0f} GB for a hundred million ({_dollars(table * GIGABYTE_MONTH)} a month)."
    yield f"Their embeddings alone are {matrix:,.0f} GB as float32."
    whole, prepared = (bulk[kind]["peak_megabytes"] for kind in ("whole photos", "prepared faces"))
    yield f"A process takes {whole:,.0f} MB on whole photos and {prepared:,.0f} MB on faces."
    longer, cores = bulk["wall_seconds"]["ray_times_longer"]["median"], bulk["machine"]["cores"]
    yield f"On the {cores} cores of this machine Ray took {longer:.1f} times as long as processes for {bulk['photos']:,} photos,"
    yield "its start included."


def growth_lines(growth: Figures) -> Iterator[str]:
    """Seconds, and memory, of each stage against the number of faces."""
    sizes = growth["sizes"]
    yield f"How it grows (`{growth['command']}`, {growth['date']}):"
    yield "CPU seconds and peak memory of each stage, without pages of mapped files."
    yield ""
    yield "| stage | " + " | ".join(f"{row['faces']:,} faces" for row in sizes) + " | time grows as |"
    yield "| --- |" + " --- |" * (len(sizes) + 1)
    for stage, name in STAGES.items():
        told = [(row["faces"], row[stage]) for row in sizes if stage in row]
        cells = [f"{each['cpu_seconds']:,.1f} s, {each['peak_megabytes']:,.0f} MB" for _, each in told]
        cells += ["not done"] * (len(sizes) - len(told))
        yield f"| {name} | " + " | ".join(cells) + f" | {_power(told)} |"
    yield ""
    yield "The power is that of the last two sizes, start included; that of all pairs comes to 2."


def _power(told: list[tuple[int, Figures]]) -> str:
    """The power of the number of faces that the time grew by in the end."""
    if len(told) < 2:
        return ""
    (few, before), (many, after) = told[-2:]
    return f"n^{math.log(after['cpu_seconds'] / before['cpu_seconds']) / math.log(many / few):.2f}"


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"
