"""AT&T, 8 folds of 5 unseen people, all pairs, from random weights.

    python benchmarks/att.py [--loss contrastive --loss supervised-contrastive] [--folds 8] [--steps 600]

Each fold tests on 5 people, validates on 5 others, and trains on the remaining 30, 300 photos in all. Baselines on the same folds:
raw pixels, and a PCA whitening fitted on the 35 people. Writes `results/att.json`. About 30 minutes on 2 cores, half of that
with AVX-512.

Ablations on the validation people of six splits, contrastive loss, EER as the mean of the last four validations: batches of 16
people without composites, 800 steps 9.7 %, 2,000 steps worse on five of six splits; 16 people and 8 composites, 600 steps 8.6 %;
8 and 16 8.0 %; 4 and 20 on four of the splits 6.7 %, against 7.3 % for 8 and 16.

Checkpoint selection, on five people held out of the 35, four splits and both losses (25 training people): the last weights 2.6 %,
the best on the validation people 3.1 %. So `train` selects an earlier step only if it is better by a standard error.
"""

import argparse
import time
from typing import Any

import numpy as np
from record import PHOTOS, write_result
from sklearn.decomposition import PCA

from visavis.data import FaceDataset, kfold_people, read_archive, split_people
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.models import embed, embedding_of
from visavis.training.configuration import config_for
from visavis.training.trainer import train


def eer_of(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the EER over all pairs by the cosine of these features."""
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    return equal_error_rate(all_pairs_curve(rows.astype(np.float32), labels))[0]


def flat(faces: FaceDataset) -> np.ndarray:
    """Return the photos as rows, each standardised."""
    rows = faces.faces.reshape(len(faces), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / rows.std(axis=1, keepdims=True)


def baselines(seen: FaceDataset, test: FaceDataset) -> dict[str, float]:
    """Return the EER of the baselines without a network."""
    pca = PCA(100, whiten=True, random_state=0).fit(flat(seen))
    return {
        "raw pixels": eer_of(flat(test), test.labels),
        "PCA whitening": eer_of(pca.transform(flat(test)), test.labels),
    }


def trained(seen: FaceDataset, test: FaceDataset, fold: int, **settings: Any) -> tuple[float, float]:
    """Train, and return the EER of the test people and the seconds of training."""
    start = time.perf_counter()
    split = split_people(seen, fractions=(30 / 35, 5 / 35, 0), seed=fold)
    run = train(split, config_for(split.train, seed=fold, **settings))
    seconds = time.perf_counter() - start
    return eer_of(embed(embedding_of(run.siamese), test.faces, flip=run.config.flip), test.labels), seconds


def main() -> None:
    """Measure every loss on every fold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loss", action="append", help="may be given several times")
    parser.add_argument("--folds", type=int, default=8, help="how many of the 8 folds")
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    losses = options.loss or ["contrastive", "supervised-contrastive"]
    faces = read_archive(PHOTOS / "att_faces.tar", size=(64, 64), gray=True)
    rows = []
    for fold, (seen, test) in enumerate(kfold_people(faces, folds=8, seed=0)):
        if fold == options.folds:
            break
        row = {"fold": fold, "people": list(test.people), "eer": baselines(seen, test), "seconds": {}}
        for loss in losses:
            row["eer"][loss], row["seconds"][loss] = trained(seen, test, fold, loss=loss, steps=options.steps)
        print(row, flush=True)
        rows.append(row)
    mean = {name: float(np.mean([row["eer"][name] for row in rows])) for name in rows[0]["eer"]}
    slowest = {loss: max(row["seconds"][loss] for row in rows) for loss in losses}
    print(mean, slowest)
    write_result("att", {"mean_eer": mean, "slowest_fold_seconds": slowest, "folds": rows})


if __name__ == "__main__":
    main()
