"""Do thresholds, intervals and probabilities hold for other people than those they were fitted on?

    python benchmarks/faces.py && python benchmarks/decisions.py [--encoder dlib]

An encoder trained on neither LFW nor AT&T embeds both. Thresholds for a false match rate are chosen on the people of five folds of
View 2 and tested on those of the other five, all pairs, for ten random choices of folds; likewise on halves of AT&T's people. The
measured rate should lie in the interval that was predicted. Probabilities fitted on one half are tested on the View 2 pairs of the
other. Score normalisation is tested on View 2 with a cohort from the other half. Finally, the time and memory of the full report
on all pairs of LFW, from cached embeddings. Writes `results/decisions.json`; embeddings are cached in `runs/`. About 15 minutes on
2 cores, and half an hour more for the embeddings.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import PHOTOS, RUNS, write_result

from visavis.data import FaceDataset, PairProtocol, read_lfw_pairs
from visavis.encoders import Encoder, embed_faces, load_encoder, load_faces
from visavis.errors import DataError
from visavis.evaluation import Claims, evaluate_all_pairs, evaluate_folds, pair_scores
from visavis.evaluation.evaluate import EvaluationOptions, evaluate_model
from visavis.metrics import Rate, all_pairs_curve, error_curve
from visavis.metrics.calibration import fit_calibration
from visavis.metrics.normalisation import normalised_scores
from visavis.metrics.operating_points import threshold_for_fmr
from visavis.metrics.reliability import measure_reliability

Embeddings = npt.NDArray[np.float32]


class Cached:
    """An encoder that returns stored embeddings of one data set, in its order."""

    def __init__(self, encoder: Encoder, embeddings: Embeddings) -> None:
        """Store card and embeddings."""
        self.card, self._embeddings, self._given = encoder.card, embeddings, 0

    def raw(self, faces: npt.NDArray[Any]) -> Embeddings:
        """Return the next embeddings."""
        start, self._given = self._given, self._given + len(faces)
        return self._embeddings[start : self._given]


def embedded(name: str, encoder: Encoder, data: str) -> tuple[FaceDataset, Embeddings]:
    """Return faces and their embeddings, computed once."""
    faces = load_faces(encoder.card, str(RUNS / f"{data}-faces"))
    kept = RUNS / f"embeddings-{Path(name).stem}-{data}.npy"
    if not kept.is_file():
        np.save(kept, embed_faces(encoder, faces, progress=True))
    return faces, np.load(kept)


def rate_at(embeddings: Embeddings, labels: npt.NDArray[np.int64], score: float) -> Rate:
    """Return the false match rate at a threshold, with its interval."""
    return evaluate_all_pairs(embeddings, labels, Claims(threshold=score)).rates()["fmr"]


def carried_over(
    embeddings: Embeddings, labels: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_], targets: tuple[float, ...]
) -> list[dict[str, Any]]:
    """Choose thresholds on some photos and test them on the others."""
    rows = []
    for target in targets:
        try:
            rule = threshold_for_fmr(embeddings[chosen], labels[chosen], target)
        except DataError as error:
            rows.append({"target": target, "refused": str(error)})
            continue
        given = rate_at(embeddings[chosen], labels[chosen], rule.score)
        reached = rate_at(embeddings[~chosen], labels[~chosen], rule.score)
        low, high = given.interval
        meet = reached.interval[0] <= high and low <= reached.interval[1]
        rows.append(
            {
                "target": target,
                "given": given.value,
                "interval": [low, high],
                "reached": reached.value,
                "reached_interval": list(reached.interval),
                "inside": low <= reached.value <= high,
                "intervals_meet": meet,
            }
        )
    return rows


def lfw(faces: FaceDataset, embeddings: Embeddings, protocol: PairProtocol) -> dict[str, Any]:
    """Measure thresholds, probabilities and normalised scores for ten random choices of five folds."""
    labels, folds = faces.labels, protocol.folds
    assert folds is not None
    figures: dict[str, Any] = {"thresholds": [], "ece": {"logistic": [], "isotonic": []}, "view2_accuracy": {}}
    scores = pair_scores(embeddings, protocol.pairs)
    normalised = {"S-norm": np.zeros(len(scores)), "AS-norm": np.zeros(len(scores))}
    for seed in range(10):
        half = np.random.default_rng(seed).permutation(10)[:5]
        own = np.isin(folds, half)
        chosen = np.isin(labels, labels[protocol.pairs[own]])
        others = np.isin(labels, labels[protocol.pairs[~own]]) & ~chosen
        both = chosen | others
        figures["thresholds"] += carried_over(embeddings[both], labels[both], chosen[both], (1e-2, 1e-3))
        tested = error_curve(scores[~own], protocol.labels[~own])
        for method in ("logistic", "isotonic"):
            calibration = fit_calibration(all_pairs_curve(embeddings[chosen], labels[chosen]), method)
            figures["ece"][method].append(measure_reliability(tested, calibration).ece)
        print(figures["thresholds"][-2:], {method: values[-1] for method, values in figures["ece"].items()}, flush=True)
    for half in (np.arange(5), np.arange(5, 10)):
        own = np.isin(folds, half)
        cohort = embeddings[~np.isin(labels, labels[protocol.pairs[own]])]
        first, second = embeddings[protocol.pairs[own]].transpose(1, 0, 2)
        normalised["S-norm"][own] = normalised_scores(first, second, cohort)
        normalised["AS-norm"][own] = normalised_scores(first, second, cohort, nearest=300)
    for name, values in {"cosine": scores, **normalised}.items():
        result = evaluate_folds(values, protocol.labels, folds)
        figures["view2_accuracy"][name] = {"accuracy": result.accuracy, "standard_error": result.standard_error}
    return figures


def att(faces: FaceDataset, embeddings: Embeddings) -> list[dict[str, Any]]:
    """Measure thresholds for ten random halves of the people."""
    rows = []
    for seed in range(10):
        people = np.random.default_rng(seed).permutation(40)[:20]
        rows += carried_over(embeddings, faces.labels, np.isin(faces.labels, people), (1e-1, 1e-2, 1e-3))
    return rows


def shares(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count by target how often the measured rate was within the predicted interval."""
    found = {}
    for target in sorted({row["target"] for row in rows}, reverse=True):
        matching = [row for row in rows if row["target"] == target]
        measured = [row for row in matching if "refused" not in row]
        counts = {name: sum(row[name] for row in measured) for name in ("inside", "intervals_meet")}
        found[f"{target:g}"] = {"draws": len(matching), "refused": len(matching) - len(measured), **counts}
    return found


def report(encoder: Encoder, embeddings: Embeddings) -> dict[str, float]:
    """Measure the full report on all pairs of LFW."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        evaluate_model(
            Cached(encoder, embeddings),
            str(RUNS / "lfw-faces"),
            options=EvaluationOptions(enrol=1),
            people="all",
            out=folder,
            overwrite=True,
        )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="dlib")
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    faces, embeddings = embedded(options.encoder, encoder, "lfw")
    timed = report(encoder, embeddings)
    print(timed, flush=True)
    figures: dict[str, Any] = {"encoder": options.encoder, "report_of_lfw": timed}
    figures["lfw"] = lfw(faces, embeddings, read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces))
    figures["att"] = att(*embedded(options.encoder, encoder, "att"))
    figures["summary"] = {"lfw": shares(figures["lfw"]["thresholds"]), "att": shares(figures["att"])}
    print(figures["summary"], figures["lfw"]["view2_accuracy"])
    write_result("decisions", figures)


if __name__ == "__main__":
    main()
