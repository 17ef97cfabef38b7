"""What a quality gate for enrolment refuses, and which errors it saves.

    python benchmarks/quality_gate.py

Each limit of the level `basic` alone, and both levels as a whole. Limits were chosen on people in the wild in the folders below
05000: references beyond a limit have about twice the false non-match rate of all photos or more, and each limit alone refuses at
most 3 % of photos. They are reported on the other people in the wild, on LFW's people of folds 1 and 2 and of folds 3 to 10. Every
mated pair counts twice, since each of its photos is the reference of the other; the threshold is the bundled encoder's default
one, intervals are over people.

Needs `../shared/data` and the folders `runs/wild-faces` and `runs/lfw-faces`, which are written if they are missing. Writes
`results/quality_gate.json`. Three minutes on one core with these folders; without them, half an hour more.
"""

import argparse
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from record import LFW, PHOTOS, RUNS, write_result

from visavis.data import FaceDataset, load_dataset, read_pairs
from visavis.data.preparation import prepare_photos
from visavis.encoders import embed_faces, load_encoder
from visavis.evaluation.gate import evaluate_gates, known_quality
from visavis.faces import FaceQuality, QualityLimits
from visavis.metrics import score_all_pairs
from visavis.metrics.quality import evaluate_gate

FIRST_REPORTED = 5000
OFF = QualityLimits(eye_distance=0, sharpness=0, nose_offset=1e9, score=0, alone=False)
PAIRS_OF_FOLD = 600


def prepared(name: str) -> FaceDataset:
    """Load a prepared data set; prepare it if it is missing."""
    folder = RUNS / f"{name}-faces"
    if not (folder / "faces.npy").is_file():
        prepare_photos({"lfw": LFW, "wild": PHOTOS / "wild-dev.tar"}[name], folder)
    return load_dataset(str(folder))


def reported_of_lfw(faces: FaceDataset) -> npt.NDArray[np.bool_]:
    """Return which faces are of people in folds 1 and 2."""
    protocol = read_pairs(PHOTOS / "lfw-pairs.txt", faces)
    photos = protocol.pairs[: 2 * PAIRS_OF_FOLD].ravel()
    return np.isin(faces.labels, faces.labels[photos])


def cost(scores: Any, quality: list[FaceQuality], limits: QualityLimits, threshold: float, *, name: str) -> dict[str, Any]:
    """Return what limits refuse, and the false non-match rate of references that they refuse."""
    passed = np.array([limits.defect(one) is None for one in quality])
    gate = evaluate_gate(scores, passed, threshold=threshold, gate=name)
    of_refused = evaluate_gate(scores, ~passed, threshold=threshold, gate=name)
    return {**gate.to_json(), "of_refused": of_refused.after.to_json()}


def measure(faces: FaceDataset, quality: list[FaceQuality], encoder: Any) -> dict[str, Any]:
    """Measure each limit alone, and the levels."""
    threshold = encoder.card.threshold.score
    scores = score_all_pairs(embed_faces(encoder, faces), faces.labels, thresholds=[threshold])
    basic = QualityLimits()
    alone = {
        field.name: cost(scores, quality, replace(OFF, **{field.name: getattr(basic, field.name)}), threshold, name=field.name)
        for field in fields(QualityLimits)
    }
    levels = {gate.gate: gate.to_json() for gate in evaluate_gates(scores, quality, threshold)}
    return {"photos": len(faces), "people": len(faces.people), "limits": alone, "levels": levels}


def main() -> None:
    """Measure and write the result."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    encoder = load_encoder()
    populations: dict[str, Any] = {}
    for name in ("wild", "lfw"):
        faces = prepared(name)
        quality = known_quality(str(RUNS / f"{name}-faces"), faces)
        assert quality is not None
        if name == "wild":
            reported = np.array([int(faces.people[label]) >= FIRST_REPORTED for label in faces.labels])
            names = {True: "people in the wild", False: "people in the wild, choosing"}
        else:
            reported = reported_of_lfw(faces)
            names = {True: "LFW, folds 1 and 2", False: "LFW, folds 3 to 10"}
        for late in (False, True):
            photos = np.flatnonzero(reported == late)
            populations[names[late]] = measure(faces.select(photos), [quality[photo] for photo in photos], encoder)
            for level in populations[names[late]]["levels"].values():
                print(names[late], level["finding"])
    limits = {field.name: getattr(QualityLimits(), field.name) for field in fields(QualityLimits)}
    write_result("quality_gate", {"limits": limits, "populations": populations})


if __name__ == "__main__":
    main()
