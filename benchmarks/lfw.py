"""LFW View 2, every fold tested by a network that never saw its people, from random weights and LFW's photos alone.

    python benchmarks/faces.py && python benchmarks/lfw.py [--faces aligned] [--steps 3000] [--mixed-precision] [--folds 0,1,2, ...]

The ten folds are tested by five networks. Network k leaves out the people of two folds' pairs at once, so it learns from fewer
people than the protocol allows; a further 5 % of the people that it may see are its validation people, who choose its weights. The
threshold of each fold is the one of best accuracy on the nine other folds. Runs go to `runs/lfw-FACES-K` and are resumed where they
stopped; the scores of a finished network are kept there. Besides the cosine, the score that is normalised by the network's own
training people is measured (AS-norm, the 50 most alike). Writes `results/lfw-FACES.json`.

`--faces aligned` takes the faces that `benchmarks/faces.py` found and aligned (the photo without a face is in no pair of View 2);
`--faces centre` cuts all photos around the centre.

Tried on 589 validation people, none of folds 1 and 2, equal error rate of all their pairs: 64 pixels 13.3 %, 80 pixels 13.2 %, a
crop 1.3 times as wide 14.9 %, shifted and zoomed copies of each photo 13.8 %, the first two networks together 12.9 %. The loss on
training people falls on while this stands still: more work does not help, more people would.

Last figures: see the README; the last run of each kind is in `results/`.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from record import LFW, PHOTOS, RUNS, write_result

from visavis.configuration import TrainingConfig, config_for
from visavis.datasets import FaceDataset, PairProtocol, lfw_folds, load_dataset, read_lfw, read_lfw_pairs, split_people
from visavis.evaluation import evaluate_folds, normalised_scores
from visavis.models import embed, embedding_of
from visavis.training import train

SIDE = 64
FOLDS_AT_ONCE = 2
NEAREST = 50  # chosen on validation people


def lfw_faces(kind: str) -> FaceDataset:
    """All photos of LFW, aligned or cut around the centre."""
    if kind == "centre":
        return read_lfw(LFW, size=(SIDE, SIDE))
    return load_dataset(RUNS / "lfw-faces", size=(SIDE, SIDE))


def scores_without(faces: FaceDataset, protocol: PairProtocol, folds: list[int], config: TrainingConfig, out: Path) -> np.ndarray:
    """Scores `(2, m)` of these folds' pairs, plain and normalised, by a network that never saw their people; kept on disk."""
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
        embeddings = embed(network, faces.gather(photos), flip=config.flip)
        cohort = embed(network, split.train.faces, flip=config.flip)
        first, second = embeddings[places.reshape(pairs.shape).T]
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
        (out / "facts.json").write_text(json.dumps(facts, indent=1))
        np.save(finished, [np.sum(first * second, axis=1), normalised_scores(first, second, cohort, nearest=NEAREST)])
    return np.load(finished)


def main() -> None:
    """Train, or go on training, and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", choices=["aligned", "centre"], default="aligned")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--mixed-precision", action="store_true", help="faster where the processor has AVX-512 for 16 bits")
    parser.add_argument("--folds", default="0,1,2,3,4,5,6,7,8,9", help="which folds, numbered from 0")
    options = parser.parse_args()
    wanted = {int(fold) for fold in options.folds.split(",")}
    faces = lfw_faces(options.faces)
    protocol = read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces)
    config = config_for(faces, steps=options.steps, mixed_precision=options.mixed_precision)
    scores = np.full((2, len(protocol.labels)), np.nan)
    networks = []
    for first in range(0, 10, FOLDS_AT_ONCE):
        folds = list(range(first, first + FOLDS_AT_ONCE))
        if wanted & set(folds):
            out = RUNS / f"lfw-{options.faces}-{'-'.join(map(str, folds))}"
            scores[:, np.isin(protocol.folds, folds)] = scores_without(faces, protocol, folds, config, out)
            networks.append(json.loads((out / "facts.json").read_text()))
    tested = np.isfinite(scores[0])
    plain, normalised = (evaluate_folds(row[tested], protocol.labels[tested], protocol.folds[tested]) for row in scores)
    print(plain, normalised, sep="\nWith normalised scores:\n")
    precision = " --mixed-precision" if options.mixed_precision else ""
    write_result(
        f"lfw-{options.faces}",
        {**plain.to_json(), "normalised": normalised.to_json(), "networks": networks, "config": config.to_json()},
        command=f"python benchmarks/lfw.py --faces {options.faces} --steps {options.steps}{precision} --folds {options.folds}",
    )


if __name__ == "__main__":
    main()
