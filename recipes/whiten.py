"""The bundled encoder: SFace, a last layer computed in closed form from LFW's labels, operating points, and a card.

    python recipes/whiten.py --lfw runs/lfw-faces --pairs lfw-pairs.txt --wild runs/wild-faces [--try] [--out encoder.onnx]

`--lfw` and `--wild` are what `visavis prepare` wrote for LFW (`--face centre --fallback centre`) and for photos of people in the
wild, in folders with a number for each person. Of LFW the people of View 2's folds 1 and 2 serve for nothing, nine tenths of the
others with two photos or more for the layer, all others for validation. Of the people in the wild those below 5000 help to
choose, none to compute. The layer centres the embeddings and makes their covariance within people more alike in all directions
(Hatch, Kajarekar and Stolcke, 2006); every person weighs the same. `--try` prints what a grid of settings does on both
populations and writes nothing.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from start import load_start, session_of, sface_path
from tqdm import tqdm

from visavis import __version__
from visavis.data import FaceDataset, load_dataset, read_lfw_pairs
from visavis.encoders import PRETRAINED_FILE
from visavis.encoders.card import Card, DataSide
from visavis.encoders.card_calibration import calibrated_on
from visavis.encoders.mobilenet import mobilenet_graph
from visavis.encoders.onnx import CARD_KEY
from visavis.errors import DataError
from visavis.faces import CANONICAL_CROP
from visavis.files import atomic_write
from visavis.metrics import all_pairs_curve, equal_error_rate, score_all_pairs, tar_at_fmr, unit_rows
from visavis.metrics.operating_points import OperatingPoint, Population, choose_operating_point
from visavis.models.mobilenet import LAST

__all__ = ["CHOOSING", "VALIDATION", "WILD", "Sides", "closed_form", "sides_of_lfw", "with_operating_points"]

Floats = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

LEFT_OUT = (0, 1)  # folds of View 2
CHOOSING = 5000  # people in the wild with lower numbers help to choose, the others are for reporting
SHRINKAGE, CENTRING = 0.85, 1.2
FMRS, SMALL_FMRS = (1e-2, 1e-3), (1e-4, 1e-5)  # guaranteed; estimated where the people are too few to guarantee it
VALIDATION, WILD = "validation people of LFW", "people in the wild (CelebA)"
_BATCH = 8


@dataclass(frozen=True)
class Sides:
    """Who of LFW serves for what: indices of photos."""

    train: Indices
    validation: Indices
    test: Indices


def sides_of_lfw(faces: FaceDataset, pairs: Path) -> Sides:
    """Divide LFW's photos by person: see the module's docstring."""
    protocol = read_lfw_pairs(pairs, faces)
    test = np.isin(faces.labels, faces.labels[protocol.pairs[np.isin(protocol.folds, LEFT_OUT)]])
    several = np.setdiff1d(np.flatnonzero(faces.photos_per_person > 1), faces.labels[test])
    people = np.random.default_rng(0).permutation(several)
    train = np.isin(faces.labels, people[: round(0.9 * len(people))])
    return Sides(*(np.flatnonzero(side) for side in (train, ~train & ~test, test)))


def closed_form(rows: Floats, labels: Indices, *, shrinkage: float, centring: float) -> tuple[Floats, Floats]:
    """Compute the last layer.

    Args:
        rows: `(n, d)` embeddings as the network makes them, not of unit length, of people with two photos or more.
        labels: `(n,)`, equal for photos of one person.
        shrinkage: 1: the embeddings are only centred; 0: their covariance within people becomes the identity.
        centring: How many times their mean is subtracted.

    Returns:
        The map `(d, d)` and the offset `(d,)`, to be used as ``rows @ map + offset``.
    """
    numbers = np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(numbers)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, numbers, rows.astype(np.float64))
    means /= counts[:, None]
    apart = rows - means[numbers]
    covariance = (apart / (counts[numbers] - 1)[:, None]).T @ apart / len(counts)
    variances, axes = np.linalg.eigh(covariance)
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.mean()
    whitening = axes / np.sqrt(shrunk) @ axes.T
    return whitening, -centring * means.mean(axis=0) @ whitening


def embedded(weights: dict[str, Any], faces: npt.NDArray[np.uint8]) -> Floats:
    """Return what goes into the last layer for faces `(n, 112, 112, 3)`."""
    session = session_of(mobilenet_graph(weights, features=True), threads=0)
    parts = (faces[start : start + _BATCH].astype(np.float32) for start in tqdm(range(0, len(faces), _BATCH), unit_scale=_BATCH))
    return np.concatenate([session.run(None, {"photos": part})[0] for part in parts])


@dataclass(frozen=True)
class Measured:
    """All embeddings before the last layer, and whose they are."""

    lfw: FaceDataset
    rows: Floats
    sides: Sides
    wild_rows: Floats
    wild_labels: Indices

    def layer(self, shrinkage: float, centring: float) -> tuple[Floats, Floats]:
        """The last layer for these settings."""
        train = self.sides.train
        return closed_form(self.rows[train], self.lfw.labels[train], shrinkage=shrinkage, centring=centring)

    def people(self, layer: tuple[Floats, Floats]) -> dict[str, tuple[npt.NDArray[np.float32], Indices]]:
        """Embeddings and labels of both populations that help to choose."""
        validation = self.sides.validation
        matrix, offset = layer
        found = {VALIDATION: (self.rows[validation], self.lfw.labels[validation]), WILD: (self.wild_rows, self.wild_labels)}
        return {name: (unit_rows((rows @ matrix + offset).astype(np.float32)), labels) for name, (rows, labels) in found.items()}


def measure(lfw: Path, pairs: Path, wild: Path) -> Measured:
    """Run SFace over LFW and over the people in the wild who help to choose."""
    faces, others = (load_dataset(data).cut(CANONICAL_CROP) for data in (lfw, wild))
    chosen = np.flatnonzero([int(others.people[label]) < CHOOSING for label in others.labels])
    weights = load_start(sface_path())
    rows, wild_rows = embedded(weights, faces.faces), embedded(weights, others.gather(chosen))
    return Measured(faces, rows, sides_of_lfw(faces, pairs), wild_rows, others.labels[chosen])


def grid(measured: Measured) -> Iterator[str]:
    """What settings do on both populations, as the rows of a table."""
    yield "| shrinkage | centring | " + " | ".join(f"{name}: EER, TAR@1e-3, TAR@1e-4" for name in (VALIDATION, WILD)) + " |"
    yield "| --- | --- | --- | --- |"
    for shrinkage in (1.0, 0.85, 0.7, 0.5, 0.3):
        for centring in (0.0, 1.0, 1.2, 1.4):
            curves = [all_pairs_curve(*found) for found in measured.people(measured.layer(shrinkage, centring)).values()]
            cells = [
                f"{equal_error_rate(curve)[0]:.2%}, {tar_at_fmr(curve, 1e-3).value:.4f}, {tar_at_fmr(curve, 1e-4).value:.4f}"
                for curve in curves
            ]
            yield f"| {shrinkage} | {centring} | {' | '.join(cells)} |"


def card_of(measured: Measured, layer: tuple[Floats, Floats]) -> Card:
    """Return the card: operating points and calibration from both populations, names of LFW's people alone."""
    lfw = measured.lfw
    used = {name: lfw.select(indices) for name, indices in vars(measured.sides).items()}
    card = Card(
        CANONICAL_CROP,
        data="SFace (OpenCV Zoo); last layer from LFW",
        sides={name: DataSide(side.people, len(side), side.digest()) for name, side in used.items()},
        training={"network": "mobilenet", "embedding_size": len(layer[1]), "shrinkage": SHRINKAGE, "centring": CENTRING},
        versions={"visavis": __version__},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join(["python", *sys.argv]),
        licence="Apache-2.0 (weights of SFace, OpenCV Zoo); see NOTICE.txt beside the file",
    )
    return with_operating_points(card, measured.people(layer))


def with_operating_points(card: Card, people: dict[str, tuple[npt.NDArray[np.float32], Indices]]) -> Card:
    """Return a card with operating points, calibration and histogram from embeddings and labels of populations by name."""
    populations = [Population(name, score_all_pairs(*found)) for name, found in people.items()]
    card = calibrated_on(card, populations, FMRS)
    return replace(card, operating_points=(*card.operating_points, *(_small_point(populations, fmr) for fmr in SMALL_FMRS)))


def _small_point(populations: list[Population], fmr: float) -> OperatingPoint:
    try:
        return choose_operating_point(populations, fmr)
    except DataError:
        return choose_operating_point(populations, fmr, chosen_as="estimated")


def write(layer: tuple[Floats, Floats], card: Card, out: Path) -> None:
    """Write the file."""
    matrix, offset = (values.astype(np.float32) for values in layer)
    weights = {**load_start(sface_path()), f"product_{LAST}": matrix.T, f"offset_{LAST}": offset}
    with atomic_write(out) as temporary:
        onnx.save(mobilenet_graph(weights, metadata={CARD_KEY: json.dumps(card.to_json())}), temporary)


def main() -> None:
    """Measure, compute, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--wild", type=Path, required=True)
    parser.add_argument("--try", dest="only_try", action="store_true", help="print a table of settings and write nothing")
    parser.add_argument("--out", type=Path, default=PRETRAINED_FILE)
    options = parser.parse_args()
    measured = measure(options.lfw, options.pairs, options.wild)
    if options.only_try:
        for line in grid(measured):
            print(line, flush=True)
        return
    layer = measured.layer(SHRINKAGE, CENTRING)
    card = card_of(measured, layer)
    write(layer, card, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB\n{card}")


if __name__ == "__main__":
    main()
