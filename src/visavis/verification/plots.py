"""Plots of compared photos: a pair, an anchor with many, and occlusion maps."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from visavis.evaluation.plots import ACCENT, MATED, MUTED, NONMATED, show_image
from visavis.images import Limits, read_image
from visavis.verification.verdicts import Verdict
from visavis.verification.verifier import AcquiredPhoto

__all__ = ["plot_comparison", "plot_explanation", "plot_verdict"]

_TITLE = 80  # characters of a line that fit into the figures


def plot_comparison(
    anchor: Path | npt.NDArray[Any],
    ranked: Sequence[tuple[Path | npt.NDArray[Any], Verdict]],
    *,
    limits: Limits | None = None,
) -> Figure:
    """Show an anchor and the photos it was compared with, in their order, each with its verdict.

    Args:
        anchor: A path or an array `(h, w)` or `(h, w, c)`.
        ranked: The photos, likewise, and their verdicts.
        limits: Largest file and picture that are decoded; None: `Limits()`.
    """
    columns = min(6, 1 + len(ranked))
    rows = -(-(1 + len(ranked)) // columns)
    figure = Figure(figsize=(2.0 * columns, 2.6 * rows), layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    show_image(axes[0], _pixels(anchor, limits))
    axes[0].set_title("anchor", fontsize=10, fontweight="bold")
    for ax, (photo, verdict) in zip(axes[1:], ranked, strict=False):
        show_image(ax, _pixels(photo, limits))
        name = photo.name if isinstance(photo, Path) else ""
        colour = MATED if verdict.same else NONMATED
        figures = f"score {verdict.score:.2f}, threshold {verdict.threshold:.2f}"
        ax.set_title(f"{name}\n{verdict.answer}\n{figures}", fontsize=9, color=colour)
    return figure


def plot_verdict(photos: tuple[AcquiredPhoto, AcquiredPhoto], verdict: Verdict, *, names: tuple[str, str] = ("", "")) -> Figure:
    """Show two photos with the faces that were found, what the model compared, and the score against the threshold.

    Args:
        photos: What `Verifier.acquire` gave.
        verdict: The answer for them.
        names: What to write above the photos.
    """
    colour = MATED if verdict.same else NONMATED
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(3, 1.6, 1.6, 3), height_ratios=(6, 1))
    for photo, name, whole, cut in zip(photos, names, (0, 3), (1, 2), strict=True):
        ax = figure.add_subplot(grid[0, whole])
        show_image(ax, photo.photo)
        ax.set_title(name, fontsize=10)
        warnings = "\n".join(textwrap.fill(text, 34) for text in photo.found.warnings)
        ax.text(0.5, -0.04, warnings, transform=ax.transAxes, ha="center", va="top", fontsize=8, color=NONMATED)
        if photo.aligned is not None:
            ax.plot(*np.vstack([photo.aligned.outline, photo.aligned.outline[:1]]).T, color=colour, linewidth=1.5)
            if photo.aligned.face is not None:
                ax.plot(*photo.aligned.face.landmarks.T, ".", color=colour, markersize=4)
        crop = figure.add_subplot(grid[0, cut])
        show_image(crop, photo.pixels)
        crop.set_title("compared", fontsize=8, color=MUTED)
    ax = figure.add_subplot(grid[1, :])
    ax.barh(0, verdict.score, color=colour, height=0.5)
    ax.axvline(verdict.threshold, color=ACCENT, linestyle="--", linewidth=1.2)
    label = f"threshold {verdict.threshold:.3f}"
    place = (verdict.threshold, 0.4)
    ax.annotate(label, place, xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8, annotation_clip=False)
    ax.set(xlim=(min(0.0, verdict.score), 1), ylim=(-0.4, 0.4), yticks=[], xlabel="comparison score (cosine)")
    figure.suptitle(textwrap.fill(verdict.describe(), _TITLE), color=colour, fontweight="bold")
    return figure


def plot_explanation(
    photos: tuple[AcquiredPhoto, AcquiredPhoto], maps: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], verdict: Verdict
) -> Figure:
    """Show two faces with their occlusion maps: regions that raise the score (blue) and lower it (orange).

    Args:
        photos: What `Verifier.acquire` gave.
        maps: For each `(h, w)`, by how much the score falls if a region is occluded.
        verdict: The answer for them.
    """
    figure = Figure(figsize=(9.2, 2.8), layout="compressed")
    axes = figure.subplots(1, 4)
    most = max(float(np.abs(maps).max()), 1e-6)
    colours = LinearSegmentedColormap.from_list("apart-alike", [NONMATED, "#ffffff", MATED])
    for photo, weights, plain, coloured, which in zip(photos, maps, (0, 2), (1, 3), ("first", "second"), strict=True):
        show_image(axes[plain], photo.pixels)
        axes[plain].set_title(f"{which} face", fontsize=10)
        show_image(axes[coloured], photo.pixels.mean(axis=2).astype(np.uint8))
        drawn = axes[coloured].imshow(weights, cmap=colours, vmin=-most, vmax=most, alpha=0.6)
        axes[coloured].set_title("occlusion map", fontsize=10)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, label="fall of the score if occluded")
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(textwrap.fill(verdict.describe(), _TITLE), color=MATED if verdict.same else NONMATED, fontweight="bold")
    return figure


def _pixels(photo: Path | npt.NDArray[Any], limits: Limits | None) -> npt.NDArray[Any]:
    return photo if isinstance(photo, np.ndarray) else read_image(photo, limits=limits)
