"""Plots of faces and of metrics. Each function draws on the axes that it is given, or on new ones, and returns axes or figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visavis.files import atomic_write
from visavis.metrics import ErrorCurve, equal_error_rate
from visavis.metrics.bootstrap import ResampledCurves
from visavis.metrics.quality import DiscardCurve
from visavis.metrics.reliability import Reliability
from visavis.wording import counted

__all__ = [
    "MATED",
    "NONMATED",
    "plot_det",
    "plot_history",
    "plot_montage",
    "plot_pairs",
    "plot_reliability",
    "plot_discard",
    "plot_roc",
    "plot_scores",
    "save_figure",
    "show_image",
    "test_visualize",
    "visualize",
]

MATED, NONMATED, ACCENT, MUTED = "#0072b2", "#d55e00", "#222222", "#8a8a8a"
_BAND_POINTS = 80
_DET_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4)
_QUANTILE = np.vectorize(NormalDist().inv_cdf, otypes=[float])


def visualize(image_pairs: npt.NDArray[Any], labels: npt.ArrayLike, n: int = 5) -> Figure:
    """Show the first pairs of the same person and the first of different people.

    In a notebook the figure shows itself; elsewhere save it with `visualize(...).savefig("pairs.png")`.

    Args:
        image_pairs: `(m, 2, h, w)` or `(m, 2, h, w, c)`, as `generate_image_pairs` gives them: uint8, or float in [0, 1].
        labels: `(m,)`, 1 for the same person and 0 for different people.
        n: How many pairs of each kind, at most.

    Raises:
        ValueError: If the shapes do not fit or `n` is not positive.
    """
    labels = np.asarray(labels).ravel()
    if image_pairs.ndim not in (4, 5) or image_pairs.shape[1] != 2 or len(image_pairs) != len(labels) or n < 1:
        raise ValueError(
            "image_pairs must be (m, 2, h, w) or (m, 2, h, w, c), with m labels, and n positive, "
            f"got shape {image_pairs.shape}, {counted(len(labels), 'label')} and n={n}"
        )
    kinds = [(1, "same person", MATED), (0, "different people", NONMATED)]
    columns = max(1, min(n, max(int(np.sum(labels == kind)) for kind, _, _ in kinds)))
    figure = Figure(figsize=(1.9 * columns, 2.7), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    for row, (kind, name, colour) in zip(axes, kinds, strict=True):
        chosen = np.flatnonzero(labels == kind)[:columns]
        for place, ax in enumerate(row):
            ax.set_axis_off()
            if place < len(chosen):
                show_image(ax, np.concatenate(list(image_pairs[chosen[place]]), axis=1))
                ax.set_title(name, color=colour, fontsize=10)
    return figure


def test_visualize(images: npt.NDArray[Any], n: int = 5) -> Figure:
    """Show the first test photos.

    Args:
        images: `(m, h, w)` or `(m, h, w, c)`: uint8, or float in [0, 1].
        n: How many, at most.

    Raises:
        ValueError: If the shape does not fit or `n` is not positive.
    """
    if images.ndim not in (3, 4) or len(images) == 0 or n < 1:
        raise ValueError(f"images must be (m, h, w) or (m, h, w, c), not empty, and n positive, got shape {images.shape} and n={n}")
    shown = min(n, len(images))
    figure = Figure(figsize=(1.6 * shown, 2.0), layout="constrained")
    for place, ax in enumerate(figure.subplots(1, shown, squeeze=False)[0]):
        show_image(ax, images[place])
        ax.set_title(f"test photo {place}", fontsize=9)
    return figure


test_visualize.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it


def plot_history(history: Sequence[Mapping[str, float]], ax: Axes | None = None) -> Axes:
    """Draw loss and validation EER against the step.

    Args:
        history: Rows with `step`, `loss` and `validation_eer`, as `TrainingRun.history`.
        ax: Where to draw; None: new axes.
    """
    ax = ax or _axes()
    steps = [row["step"] for row in history]
    ax.plot(steps, [row["loss"] for row in history], color=MUTED, marker=".", label="training loss (left)")
    ax.set(xlabel="step", ylabel="training loss", title="Training", ylim=(0, None))
    right = ax.twinx()
    right.plot(steps, [100 * row["validation_eer"] for row in history], color=MATED, marker="o", label="validation EER (right)")
    right.set(ylabel="validation EER, %", ylim=(0, None))
    lines = [*ax.get_lines(), *right.get_lines()]
    labels = [str(line.get_label()) for line in lines]
    ax.legend(lines, labels, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))  # below, clear of the curves
    return ax


def plot_roc(curve: ErrorCurve, ax: Axes | None = None, *, resampled: ResampledCurves | None = None) -> Axes:
    """Draw the true accept rate against the false match rate, which is on a logarithmic axis.

    Args:
        curve: The curve.
        ax: Where to draw; None: new axes.
        resampled: The curves of resampled people, for the 95 % band. False match rates that they cannot show are shaded.
    """
    ax = ax or _axes()
    lowest = max(1 / max(1, curve.nonmated), 1e-6)
    if resampled is not None:
        fmr = np.geomspace(lowest, 1, _BAND_POINTS)
        low, high = resampled.band(fmr)
        ax.fill_between(fmr * 100, (1 - high) * 100, (1 - low) * 100, color=MATED, alpha=0.2, linewidth=0)
        if resampled.smallest_fmr > lowest:
            _shade_extrapolated(ax, lowest * 100, resampled.smallest_fmr * 100)
    fmr, tar = np.append(0, curve.fmr), np.append(0, 1 - curve.fnmr)
    ax.step(np.maximum(fmr, lowest) * 100, tar * 100, where="post", color=MATED)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set(xlim=(lowest * 100, 100), ylim=(0, 101), xlabel="false match rate, %", ylabel="true accept rate, %", title="ROC")
    ax.grid(alpha=0.25)
    return ax


def plot_det(curve: ErrorCurve, ax: Axes | None = None, *, resampled: ResampledCurves | None = None) -> Axes:
    """Draw the false non-match rate against the false match rate on normal-deviate axes (Martin et al. 1997), with the EER.

    Args:
        curve: The curve.
        ax: Where to draw; None: new axes.
        resampled: The curves of resampled people, for the 95 % band. False match rates that they cannot show are shaded.
    """
    ax = ax or _axes()
    limits = (float(_QUANTILE(0.00005)), float(_QUANTILE(0.6)))
    if resampled is not None:
        fmr = np.geomspace(max(0.00005, 1 / max(2, curve.nonmated)), 0.6, _BAND_POINTS)
        low, high = (np.clip(side, 1e-6, 1 - 1e-6) for side in resampled.band(fmr))
        ax.fill_between(_QUANTILE(fmr), _QUANTILE(low), _QUANTILE(high), color=MATED, alpha=0.2, linewidth=0)
        if resampled.smallest_fmr > 0.00005:
            _shade_extrapolated(ax, limits[0], float(_QUANTILE(min(resampled.smallest_fmr, 0.6))))
    inside = (curve.fmr > 0) & (curve.fmr < 1) & (curve.fnmr > 0) & (curve.fnmr < 1)
    ax.plot(_QUANTILE(curve.fmr[inside]), _QUANTILE(curve.fnmr[inside]), color=MATED)
    eer, _ = equal_error_rate(curve)
    if 0 < eer < 1:
        ax.plot(*[_QUANTILE([eer])] * 2, "o", color=NONMATED)
        ax.annotate(f"EER {eer:.2%}", (float(_QUANTILE(eer)),) * 2, xytext=(8, 6), textcoords="offset points")
    places, names = _QUANTILE(_DET_TICKS), [f"{100 * tick:g}" for tick in _DET_TICKS]
    ax.set_xticks(places, names)
    ax.set_yticks(places, names)
    ax.set(xlim=limits, ylim=limits, xlabel="false match rate, %", ylabel="false non-match rate, %", title="DET")
    ax.plot(limits, limits, color=MUTED, linewidth=0.6, linestyle=":")
    ax.grid(alpha=0.25)
    return ax


def _shade_extrapolated(ax: Axes, low: float, high: float) -> None:
    ax.axvspan(low, high, color=MUTED, alpha=0.15, linewidth=0, label="extrapolated")
    ax.legend(frameon=False, loc="lower right")


def plot_scores(curve: ErrorCurve, threshold: float, ax: Axes | None = None) -> Axes:
    """Draw the histograms of mated and non-mated scores, each as shares of its own pairs, and the threshold."""
    ax = ax or _axes()
    low, high = float(curve.thresholds[-1]), float(curve.thresholds[0])
    edges = np.linspace(low, max(high, low + 1e-6), 81)
    for counts, colour, name in (
        (curve.accepted_mated, MATED, f"mated ({counted(curve.mated, 'pair')})"),
        (curve.accepted_nonmated, NONMATED, f"non-mated ({counted(curve.nonmated, 'pair')})"),
    ):
        heights, _ = np.histogram(curve.thresholds, edges, weights=np.diff(counts, prepend=0))
        ax.stairs(heights / max(1, heights.sum()), edges, fill=True, color=colour, alpha=0.55, label=name)
    ax.axvline(threshold, color=ACCENT, linestyle="--", label=f"threshold {threshold:.3f}")
    ax.set(xlabel="comparison score (cosine)", ylabel="share of pairs", title="Scores")
    ax.legend(frameon=False)
    return ax


def plot_reliability(reliability: Reliability, ax: Axes | None = None) -> Axes:
    """Draw the share of mated pairs against the predicted probability; larger points have more pairs."""
    ax = ax or _axes()
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    ax.plot(reliability.predicted, reliability.observed, color=MATED)
    ax.scatter(reliability.predicted, reliability.observed, s=12 + 300 * reliability.weight, color=MATED, alpha=0.7)
    ax.set(
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        xlabel="predicted probability",
        ylabel="share of mated pairs",
        title=f"Probabilities at prior {reliability.prior:g}: calibration error {reliability.ece:.3f}",
    )
    ax.grid(alpha=0.25)
    return ax


def plot_discard(curves: Sequence[DiscardCurve], ax: Axes | None = None) -> Axes:
    """Draw error versus discard: the false non-match rate of the photos left, by the share rejected."""
    ax = ax or _axes()
    for curve in curves:
        ax.plot(
            [100 * share for share in curve.rejected], [100 * rate.value for rate in curve.fnmr], marker=".", label=curve.measure
        )
    ax.set(xlabel="photos rejected, %", ylabel="false non-match rate, %", title="Error versus discard", ylim=(0, None))
    ax.legend(frameon=False)
    ax.grid(alpha=0.25)
    return ax


def plot_pairs(
    pairs: npt.NDArray[np.uint8], scores: npt.NDArray[np.floating[Any]], titles: Sequence[str], columns: int = 6
) -> Figure:
    """Show pairs of photos with their scores.

    Args:
        pairs: `(m, 2, h, w, c)` uint8.
        scores: `(m,)`.
        titles: One for each pair.
        columns: Pairs in a row.
    """
    named = [f"{title}: {score:.2f}" for title, score in zip(titles, scores, strict=True)]
    return plot_montage([np.concatenate(list(pair), axis=1) for pair in pairs], named, columns)


def plot_montage(images: Sequence[npt.NDArray[np.uint8]], titles: Sequence[str], columns: int = 6) -> Figure:
    """Show images in rows, each with its title.

    Args:
        images: `(h, w, c)` uint8 each, at least one.
        titles: One for each.
        columns: Images in a row, at most.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.0 * columns, 1.45 * rows), layout="constrained")
    for place, ax in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        ax.set_axis_off()
        if place < len(images):
            show_image(ax, images[place])
            ax.set_title(titles[place], fontsize=8)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG, atomically and readable by its owner only; return its path."""
    with atomic_write(path, private=True) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return path


def _axes() -> Axes:
    return Figure(figsize=(6, 4.2), layout="constrained").subplots()


def show_image(ax: Axes, image: npt.NDArray[Any]) -> None:
    """Draw an image `(h, w)` or `(h, w, c)`: uint8, or float in [0, 1]."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    top = 255 if image.dtype == np.uint8 or image.max(initial=0) > 1 else 1
    ax.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=top, interpolation="bicubic", resample=True)
    ax.set_axis_off()
