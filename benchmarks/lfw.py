"""LFW View 2, every fold tested by a network that never saw its people, from random weights and LFW's photos alone.

    python benchmarks/faces.py && python benchmarks/lfw.py [--faces aligned] [--steps 3000] [--mixed-precision] [--folds 0,1,2, ...]

The ten folds are tested by five networks. Network k leaves out the people of two folds' pairs at once, so it learns from fewer
people than the protocol allows; a further 5 % of the people that it may see are its validation people, who choose its weights. The
threshold of each fold is the one of best accuracy on the nine other folds. Runs go to `runs/lfw-FACES-K` and are resumed where they
stopped; the scores of a finished network are kept there. Besides the cosine, these are measured, none of which learns from other
photos than the network: the score normalised by the training people (AS-norm, the 50 most alike); local binary patterns compared
by joint Bayes, fitted on the training people (`patterns.py`); and the sum of cosine and patterns, each first brought to mean 0 and
deviation 1 over all pairs of the network's validation people. Writes `results/lfw-FACES.json`.

`--faces aligned` takes the faces that `benchmarks/faces.py` found and aligned (and the centre of the photo in which it found none);
`--faces centre` cuts all photos around the centre.

Tried on 589 validation people, none of folds 1 and 2, equal error rate of all their pairs: 64 pixels 13.3 %, 80 pixels 13.2 %, a
crop 1.3 times as wide 14.9 %, shifted and zoomed copies of each photo 13.8 %, the first two networks together 12.9 %, composites of
people of several photos in two fifths of each batch 13.8 %. The loss on training people falls on while this stands still: more work
does not help, more people would. Patterns and joint Bayes: 10.4 %, without colour 11.7 %, histograms of gradients in their place
13.5 %; the sum of these patterns and the last network 10.0 %.

Last figures: 2026-11-25, all folds, 2,500 steps: network 89.5 %, normalised 88.7 %, patterns 90.4 %, network and patterns 91.7 %;
the last run of each kind is in `results/`.
"""

import argparse
import json
import time
from functools import cache
from pathlib import Path

import numpy as np
from patterns import JointBayes, patterns
from record import LFW, PHOTOS, RUNS, write_result

from visavis.data import FaceDataset, PairProtocol, Split, lfw_folds, load_dataset, read_lfw, read_lfw_pairs, split_people
from visavis.evaluation import evaluate_folds
from visavis.metrics.normalisation import normalised_scores
from visavis.models import embed, embedding_of
from visavis.training.configuration import TrainingConfig, config_for
from visavis.training.trainer import train

SIDE, SIDE_OF_PATTERNS = 64, 112
FOLDS_AT_ONCE = 2
NEAREST = 50  # chosen on validation people
SCORES = ("network", "normalised", "patterns", "network and patterns")


def lfw_faces(kind: str, side: int) -> FaceDataset:
    """All photos of LFW, aligned or cut around the centre."""
    if kind == "centre":
        return read_lfw(LFW, size=(side, side))
    return load_dataset(RUNS / "lfw-faces", size=(side, side))


@cache
def lfw_patterns(kind: str) -> np.ndarray:
    """The patterns of all photos, in the same order; a minute's work, done where a network is not scored yet."""
    return patterns(lfw_faces(kind, SIDE_OF_PATTERNS).faces)


def pattern_scores(described: np.ndarray, faces: FaceDataset, split: Split, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of pairs of photos, and of all pairs of the validation people, by joint Bayes of the training people."""
    number = {source: row for row, source in enumerate(faces.sources)}
    learned, held_out = (described[[number[source] for source in side.sources]] for side in (split.train, split.validation))
    bayes = JointBayes.fit(learned.astype(np.float32), split.train.labels)
    rows = bayes.reduced(held_out.astype(np.float32))
    first, second = np.triu_indices(len(rows), 1)
    tested = (bayes.reduced(described[column].astype(np.float32)) for column in pairs.T)
    return bayes.scores(*tested), bayes.scores(rows[first], rows[second])


def scores_without(
    faces: FaceDataset, kind: str, protocol: PairProtocol, folds: list[int], config: TrainingConfig, out: Path
) -> np.ndarray:
    """Scores of these folds' pairs, `(4, m)`, by what never saw their people; kept on disk."""
    finished = out / "scores.npy"
    tested = np.isin(protocol.folds, folds)
    if not finished.is_file():
        start = time.perf_counter()
        seen, _ = lfw_folds(faces, protocol, folds)
        split = split_people(seen, fractions=(0.95, 0.05, 0), seed=0)
        resumed = (out / "checkpoint.npz").is_file()
        run = train(split, config, out=out, resume=resumed)
        pairs = protocol.pairs[tested]
        photos, places = np.unique(pairs, return_inverse=True)
        network = embedding_of(run.siamese)
        first, second = embed(network, faces.gather(photos), flip=config.flip)[places.reshape(pairs.shape).T]
        cosines = np.sum(first * second, axis=1)
        cohort = embed(network, split.train.faces, flip=config.flip)
        held_out = embed(network, split.validation.faces, flip=config.flip)
        one, other = np.triu_indices(len(held_out), 1)
        held_out_cosines = np.sum(held_out[one] * held_out[other], axis=1)
        alike, held_out_alike = pattern_scores(lfw_patterns(kind), faces, split, pairs)
        together = standard(cosines, held_out_cosines) + standard(alike, held_out_alike)
        facts = {
            "folds": folds,
            "training_people": len(split.train.people),
            "training_photos": len(split.train),
            "validation_people": len(split.validation.people),
            "validation_eer": run.validation_eer,
            "best_step": run.best_step,
            "resumed": resumed,  # then the seconds are those since
            "seconds": round(time.perf_counter() - start),
        }
        if not (out / "facts.json").is_file():
            (out / "facts.json").write_text(json.dumps(facts, indent=1))
        np.save(finished, [cosines, normalised_scores(first, second, cohort, nearest=NEAREST), alike, together])
    return np.load(finished)


def standard(scores: np.ndarray, of_validation: np.ndarray) -> np.ndarray:
    """Bring scores to the scale on which those of the validation people have mean 0 and deviation 1."""
    return (scores - of_validation.mean()) / of_validation.std()


def main() -> None:
    """Train, or go on training, and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", choices=["aligned", "centre"], default="aligned")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--mixed-precision", action="store_true", help="faster where the processor has AVX-512 for 16 bits")
    parser.add_argument("--folds", default="0,1,2,3,4,5,6,7,8,9", help="which folds, numbered from 0")
    options = parser.parse_args()
    wanted = {int(fold) for fold in options.folds.split(",")}
    faces = lfw_faces(options.faces, SIDE)
    protocol = read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces)
    config = config_for(faces, steps=options.steps, mixed_precision=options.mixed_precision)
    scores = np.full((len(SCORES), len(protocol.labels)), np.nan)
    networks = []
    for first in range(0, 10, FOLDS_AT_ONCE):
        folds = list(range(first, first + FOLDS_AT_ONCE))
        if wanted & set(folds):
            out = RUNS / f"lfw-{options.faces}-{'-'.join(map(str, folds))}"
            scores[:, np.isin(protocol.folds, folds)] = scores_without(faces, options.faces, protocol, folds, config, out)
            networks.append(json.loads((out / "facts.json").read_text()))
    tested = np.isfinite(scores[0])
    figures = {}
    for name, row in zip(SCORES, scores, strict=True):
        told = evaluate_folds(row[tested], protocol.labels[tested], protocol.folds[tested])
        print(name, told, sep=":\n")
        figures[name] = told.to_json()
    precision = " --mixed-precision" if options.mixed_precision else ""
    write_result(
        f"lfw-{options.faces}",
        {**figures.pop("network"), **figures, "networks": networks, "config": config.to_json()},
        command=f"python benchmarks/lfw.py --faces {options.faces} --steps {options.steps}{precision} --folds {options.folds}",
    )


if __name__ == "__main__":
    main()
