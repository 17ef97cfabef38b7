"""LFW View 2: each fold is tested by a network that was not trained on its people, from random weights and LFW's photos alone.

    python benchmarks/faces.py && python benchmarks/lfw.py [--faces aligned] [--network NAME] [--loss NAME] [--steps 2500]
                                                          [--mixed-precision] [--folds 0,1,2, ...] [--out lfw-FACES]

Five networks cover the ten folds. Network k leaves out the people of two folds at once, which is stricter than the protocol. A
further 5 % of its people are validation people for checkpoint selection. The threshold of each fold is the one with the best
accuracy on the nine other folds. Runs go to `runs/lfw-FACES-DIGEST-FOLDS`, with the digest of the hyperparameters, and are resumed;
finished scores are kept there. Also measured: scores normalised by the training people (AS-norm, 50 nearest); and whether the
running statistics of batch normalisation are those of the averaged weights: they are computed again from 20 batches of training
photos, and the validation EER with them. Writes `results/lfw-FACES.json`. About 40 minutes with `--mixed-precision` on 2 cores;
without AVX-512 two hours on PyTorch.

`--faces aligned` uses the faces that `benchmarks/faces.py` detected and aligned (and the centre of a photo without a detected
face); `--faces centre` crops the centre of every photo.

Ablations on 589 validation people, none of folds 1 and 2, EER over all pairs: 64 pixels 13.3 %, 80 pixels 13.2 %, a crop 1.3 times
as wide 14.9 %, shifted and zoomed copies of each photo 13.8 %, the mean score of two networks 12.9 %, composites in two fifths of
each batch 13.8 %. The training loss keeps falling while these stay the same: more steps do not help; more people would.
On aligned faces 1,000 steps are too few: 16.0 % on the 245 validation people of the first network, 12.5 % after 2,500. On some
860 other validation people, centre crops, 1,000 steps end at 13.2 %. There the running variances of batch normalisation are 0.91
to 1.10 times those computed again with the averaged weights, and the EER with the latter is 13.15 %; after 250 steps it is 22.0 %
and 20.3 %. So at the end of training they cause no errors. Losses over classes do worse than those over pairs, see `losses.py`.

On aligned faces, 736 validation people outside folds 1 and 2, JAX on one H200, cosines of embeddings averaged with the mirrored
photo's: 8.5 % after 2,000 of 2,400 steps, and still falling. Batches of 320 photos instead of 128: 9.3 % after 900 of 1,100 steps,
9.7 % before averaging, where 128 photos a step reach 9.0 % after fewer photos in all; weight decay 0.1 instead of 0.02 the same.
After 750 of 2,500 steps: `compact` 11.9 % (another seed 10.3 %), temperature 0.05 10.9 %, weight decay 0.2 11.1 %, composites
11.1 %, `deep` 12.8 %, `deeper` 12.8 %, the strong augmentation of `config_for` 14.9 %. None gains more than the seeds differ.
"""

import argparse
import json
import time
from pathlib import Path
from typing import get_args

import keras
import numpy as np
from record import LFW, PHOTOS, RUNS, short_digest, write_result

from visavis.data import FaceDataset, PairProtocol, Split, lfw_folds, load_dataset, read_lfw, read_lfw_pairs, split_people
from visavis.evaluation import evaluate_folds
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.metrics.normalisation import normalised_scores
from visavis.models import NetworkName, embed, embedding_of
from visavis.training.batches import Batches
from visavis.training.configuration import LossName, TrainingConfig, config_for
from visavis.training.run_options import RunOptions
from visavis.training.trainer import train

SIDE = 64
FOLDS_AT_ONCE = 2
NEAREST = 50  # chosen on validation people
STATISTICS_BATCHES = 20
SCORES = ("network", "normalised")


def lfw_faces(kind: str, side: int) -> FaceDataset:
    """Read all photos of LFW, aligned or cropped at the centre."""
    if kind == "centre":
        return read_lfw(LFW, size=(side, side))
    return load_dataset(RUNS / "lfw-faces", size=(side, side))


def validation_eer(network: keras.Model, split: Split) -> float:
    """Return the EER of all pairs of the validation people."""
    return float(equal_error_rate(all_pairs_curve(embed(network, split.validation.faces), split.validation.labels))[0])


def variance_of(layer: keras.layers.BatchNormalization) -> np.ndarray:
    """Return a copy of the running variances `(c,)`."""
    return np.array(keras.ops.convert_to_numpy(layer.moving_variance))


def recomputed_statistics(network: keras.Model, split: Split, config: TrainingConfig) -> dict[str, float]:
    """Compute the statistics of batch normalisation again from training photos, and compare; the network stays as it is."""
    weights = network.get_weights()
    normalisations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    running, momenta = [variance_of(layer) for layer in normalisations], [layer.momentum for layer in normalisations]
    batches = Batches(split.train, config.batch, config.augmentation, seed=config.seed + 1)
    for number in range(STATISTICS_BATCHES):
        for layer in normalisations:
            layer.momentum = number / (number + 1)  # so that the moving averages are the means over the batches
        network(batches[number][0].astype(np.float32), training=True)
    ratios = np.concatenate([was / variance_of(layer) for was, layer in zip(running, normalisations, strict=True)])
    recomputed = validation_eer(network, split)
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
    network.set_weights(weights)
    return {
        "smallest_variance_ratio": float(ratios.min()),
        "median_variance_ratio": float(np.median(ratios)),
        "largest_variance_ratio": float(ratios.max()),
        "validation_eer": validation_eer(network, split),
        "validation_eer_recomputed": recomputed,
    }


def scores_without(faces: FaceDataset, protocol: PairProtocol, folds: list[int], config: TrainingConfig, out: Path) -> np.ndarray:
    """Score the pairs of these folds, `(2, m)`, with a network not trained on their people; cached on disk."""
    finished = out / "scores.npy"
    tested = np.isin(protocol.folds, folds)
    if not finished.is_file():
        start = time.perf_counter()
        seen, _ = lfw_folds(faces, protocol, folds)
        split = split_people(seen, fractions=(0.95, 0.05, 0), seed=0)
        resumed = (out / "checkpoint.npz").is_file()
        run = train(split, config, out=out, options=RunOptions(resume=resumed))
        pairs = protocol.pairs[tested]
        photos, indices = np.unique(pairs, return_inverse=True)
        network = embedding_of(run.siamese)
        first, second = embed(network, faces.gather(photos), flip=config.flip)[indices.reshape(pairs.shape).T]
        cosines = np.sum(first * second, axis=1)
        cohort = embed(network, split.train.faces, flip=config.flip)
        facts = {
            "folds": folds,
            "training_people": len(split.train.people),
            "training_photos": len(split.train),
            "validation_people": len(split.validation.people),
            "validation_eer": run.validation_eer,
            "best_step": run.best_step,
            "statistics": recomputed_statistics(network, split, config),
            "resumed": resumed,  # then `seconds` counts from the resumption
            "seconds": round(time.perf_counter() - start),
        }
        if not (out / "facts.json").is_file():
            (out / "facts.json").write_text(json.dumps(facts, indent=1))
        np.save(finished, [cosines, normalised_scores(first, second, cohort, nearest=NEAREST)])
    return np.load(finished)


def main() -> None:
    """Train or resume, and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", choices=["aligned", "centre"], default="aligned")
    parser.add_argument("--network", choices=get_args(NetworkName), default="compact")
    parser.add_argument("--loss", choices=get_args(LossName), default="supervised-contrastive")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--mixed-precision", action="store_true", help="faster on a processor with AVX-512 for 16 bits")
    parser.add_argument("--folds", default="0,1,2,3,4,5,6,7,8,9", help="the folds, counted from 0")
    parser.add_argument("--out", help="name of the file in results/")
    options = parser.parse_args()
    wanted = {int(fold) for fold in options.folds.split(",")}
    faces = lfw_faces(options.faces, SIDE)
    protocol = read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces)
    config = config_for(
        faces, network=options.network, loss=options.loss, steps=options.steps, mixed_precision=options.mixed_precision
    )
    scores = np.full((len(SCORES), len(protocol.labels)), np.nan)
    networks = []
    for first in range(0, 10, FOLDS_AT_ONCE):
        folds = list(range(first, first + FOLDS_AT_ONCE))
        if wanted & set(folds):
            out = RUNS / f"lfw-{options.faces}-{short_digest(config.to_json())}-{'-'.join(map(str, folds))}"
            scores[:, np.isin(protocol.folds, folds)] = scores_without(faces, protocol, folds, config, out)
            networks.append(json.loads((out / "facts.json").read_text()))
    tested = np.isfinite(scores[0])
    figures = {}
    for name, row in zip(SCORES, scores, strict=True):
        result = evaluate_folds(row[tested], protocol.labels[tested], protocol.folds[tested])
        print(name, result, sep=":\n")
        figures[name] = result.to_json()
    write_result(
        options.out or f"lfw-{options.faces}",
        {**figures.pop("network"), **figures, "networks": networks, "config": config.to_json()},
    )


if __name__ == "__main__":
    main()
