"""Plots of a standard test report: DET on logarithmic axes with its band, FMR matrix of groups, and the zoo plot."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from visavis.evaluation.plots import ACCENT, MATED, MUTED, NONMATED
from visavis.metrics import ErrorCurve
from visavis.metrics.bootstrap import ResampledCurves
from visavis.metrics.concentration import PersonErrors
from visavis.metrics.subgroups import GroupErrors, Subgroups

__all__ = ["plot_fmr_matrix", "plot_log_det", "plot_zoo"]

_BAND_POINTS = 80


def plot_log_det(curve: ErrorCurve, resampled: ResampledCurves, ax: Axes | None = None) -> Axes:
    """Draw the false non-match rate against the false match rate on logarithmic axes, as NIST does.

    Args:
        curve: The curve.
        resampled: The curves of resampled people, for the 95 % band. Left of the smallest false match rate that they show, the
            curve is dotted and without band.
        ax: Where to draw; None: new axes.
    """
    ax, smallest_fmr = ax or _axes(), resampled.smallest_fmr
    left = max(1e-7, min(smallest_fmr, 1 / max(2, curve.nonmated)) / 2)
    lowest = 0.5 / max(2, curve.mated)
    fmr = np.geomspace(smallest_fmr, 1, _BAND_POINTS)
    low, high = resampled.band(fmr)
    ax.fill_between(fmr, np.maximum(low, lowest), np.maximum(high, lowest), color=MATED, alpha=0.2, linewidth=0, label="95 % band")
    shown = curve.fmr >= smallest_fmr
    for part, style, name in ((shown, "-", "shown by these people"), (~shown, ":", "extrapolated")):
        inside = part & (curve.fmr > 0) & (curve.fmr < 1)
        if inside.any():
            ax.plot(curve.fmr[inside], np.maximum(curve.fnmr[inside], lowest), style, color=MATED, label=name)
    ax.axvline(smallest_fmr, color=MUTED, linewidth=0.8, linestyle="--", label=f"smallest FMR shown: {smallest_fmr:.1g}")
    ax.set(xscale="log", yscale="log", xlim=(left, 1), ylim=(lowest, 1.1))
    ax.set(xlabel="false match rate", ylabel="false non-match rate", title="DET, logarithmic axes")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=8, loc="lower left")
    return ax


def plot_fmr_matrix(groups: Subgroups, ax: Axes | None = None) -> Axes:
    """Draw the false match rate of people of each group with those of each other; too few people are marked.

    Args:
        groups: The errors of the groups.
        ax: Where to draw; None: new axes.
    """
    names = [group.first for group in groups.groups if group.first == group.second]
    ax = ax or _axes(side=max(4.2, 1.1 * len(names) + 1.6))
    cells = {(row.first, row.second): row for row in groups.groups}
    cells |= {(second, first): row for (first, second), row in cells.items()}
    rates = np.array([[cells[one, other].fmr.value for other in names] for one in names])
    positive = rates[np.isfinite(rates) & (rates > 0)]
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    image = np.ma.masked_invalid(np.where(rates > 0, rates, np.nan))
    ax.imshow(image, cmap="YlOrRd", norm=LogNorm(low / 1.5, max(1.5 * high, 3 * low)))
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            ax.text(column, row, _cell(cells[one, other]), ha="center", va="center", fontsize=7.5, color=ACCENT)
    places: Any = range(len(names))
    ax.set_xticks(places, names, rotation=30 if len(names) > 4 else 0, ha="right" if len(names) > 4 else "center")
    ax.set_yticks(places, names)
    ax.set_title(f"False match rate by {groups.attribute}, threshold {groups.threshold:.3f}")
    return ax


def plot_zoo(people: PersonErrors, ax: Axes | None = None) -> Axes:
    """Draw each person's mean non-mated score against the mean mated score, with quartiles (Yager and Dunstone, 2010).

    Args:
        people: Scores and errors of each person.
        ax: Where to draw; None: new axes.
    """
    ax = ax or _axes()
    ax.scatter(people.mean_mated, people.mean_nonmated, s=14, color=MUTED, alpha=0.6, linewidths=0, label="a person")
    for errors, colour, size, name in (
        (people.false_matches, NONMATED, 26, "the tenth in most false matches (wolves, lambs)"),
        (people.false_nonmatches, MATED, 60, "the tenth with most false non-matches (goats)"),
    ):
        most = np.argsort(-errors, kind="stable")[: max(1, round(len(errors) / 10))]
        most = most[errors[most] > 0]
        x, y = people.mean_mated[most], people.mean_nonmated[most]
        ax.scatter(x, y, s=size, facecolors="none", edgecolors=colour, label=name)
    mated, nonmated = people.quartiles
    for x, y in zip(mated, nonmated, strict=True):
        ax.axvline(x, color=MUTED, linewidth=0.6, linestyle=":")
        ax.axhline(y, color=MUTED, linewidth=0.6, linestyle=":")
    corners = {"chameleons": (0.99, 0.99), "worms": (0.01, 0.99), "doves": (0.99, 0.01), "phantoms": (0.01, 0.01)}
    for name, (right, up) in corners.items():
        sides: dict[str, Any] = {"ha": "right" if right > 0.5 else "left", "va": "top" if up > 0.5 else "bottom"}
        ax.text(right, up, name, transform=ax.transAxes, fontsize=8, color=ACCENT, **sides)
    ax.set(xlabel="mean mated score of a person", ylabel="mean non-mated score of a person", title="Zoo plot")
    ax.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return ax


def _cell(errors: GroupErrors) -> str:
    if not errors.fmr.trials:
        return "no pairs"
    low, high = errors.fmr.interval
    few = "" if errors.enough_fmr else "\ntoo few people"
    return f"{100 * errors.fmr.value:.2g} %\n{100 * low:.2g} to {100 * high:.2g} %{few}"


def _axes(side: float = 4.4) -> Axes:
    return Figure(figsize=(max(6.2, 1.2 * side), side), layout="constrained").subplots()
