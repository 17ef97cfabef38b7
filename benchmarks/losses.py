"""Every loss on AT&T, LFW's own photos and signatures, three seeds each: EER of unseen people with intervals, and the time it took.

    python benchmarks/losses.py [--data att ...] [--loss arcface ...] [--seeds 3] [--att-steps 600] [--lfw-steps 1000]
                                [--signature-steps 400] [--mixed-precision] [--out losses]

From random weights, with the hyperparameters that `config_for` chooses for the data, the same for every loss. A seed draws the
people of training, validation and test (70, 15 and 15 %), the weights and the batches; every loss gets the same people. AT&T: all
pairs of 6 people. LFW: all pairs of about 860 people, the centre of the deep-funneled photos, at 64 x 64, at most ten photos of a
person: one has 530, which are nearly all mated pairs of the side that he falls into. Signatures: all pairs of 23 of the 150
synthetic signers of `examples/signatures.py`, not mirrored, and changed mildly. The table has the mean over the seeds, the smallest
and the largest, the difference to supervised contrastive on the same people and seeds, and the CPU seconds of training. The
interval of each run is the bootstrap over its test people.

Each run is written to `runs/losses/DATA-LOSS-SEED-DIGEST.json` as soon as it ends, the digest of its hyperparameters, and is not
repeated: the command can be interrupted and started again. Writes `results/losses.json`, or `losses-part.json` with `--data` or
`--loss`. On 2 cores 1 minute for each of 27 runs on AT&T and on signatures, 3 on LFW with `--mixed-precision`, which applies to LFW
alone, on a processor that computes in bfloat16.

Ablation of margins and scale, on generated faces of 64 people, 120 steps with the `classic` network, one seed, validation EER of 16
people: supervised contrastive 19.9 %; ArcFace with margin 0.5 and scale 64 41 %, 0.5 and 16 31 %, 0.2 and 16 31 %, 0.2 and 10 21 %;
CosFace with 0.1 and 12 27 %; AdaFace with 0.4 and 64 41 %, with 0.1 and 12 27 %; proxy-anchor with scale 32 38 %, with 12 36 %.
Initial centres five times as short changed nothing (ArcFace with 0.5 and 16: 33 %). On LFW, 500 steps, one seed, validation EER of
some 860 people: supervised contrastive 17.4 %; ArcFace with 0.2 and 24 25.9 %, with 0.2 and 10 23.4 %, the latter over the people
of the batch alone 25.2 %, and with batches of 56 people with two photos each 22.7 %; softmax without a margin, scale 16, 25.2 %;
proxy-anchor with scale 32 37.6 %, with 12 over the people of the batch alone 31.2 %; AdaFace with 0.4 and 64 30 % after 1,000
steps. So `config_for` takes milder margins below 100,000 photos.
"""

import argparse
import json
import runpy
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
from record import LFW, PHOTOS, RUNS, short_digest, write_result

from visavis.data import FaceDataset, Split, read_archive, split_people
from visavis.data.lfw import LFW_CROP
from visavis.evaluation import evaluate_all_pairs
from visavis.files import atomic_write
from visavis.models import embed, embedding_of
from visavis.training.augmentation import Augmentation
from visavis.training.configuration import LossName, TrainingConfig, config_for
from visavis.training.trainer import train

MOST_PHOTOS = 10  # of a person of LFW
BASELINE = "supervised-contrastive"
FOLDER = RUNS / "losses"
SIGNATURES = Path(__file__).parents[1] / "examples" / "signatures.py"


MILD = Augmentation(rotation=5, scale=0.1, shift=0.05, contrast=0.3, gamma=1.3, side_light=0, cutout=0)
SETTINGS: dict[str, dict[str, Any]] = {"att": {}, "lfw": {}, "signatures": {"augmentation": MILD, "flip": False}}


def read_faces(name: str) -> FaceDataset:
    """Return the photos of a data set."""
    if name == "att":
        return read_archive(PHOTOS / "att_faces.tar", size=(64, 64), gray=True)
    if name == "signatures":
        return runpy.run_path(str(SIGNATURES))["signatures"](150, 8)
    faces = read_archive(LFW, size=(64, 64), crop=LFW_CROP)
    order = np.argsort(faces.labels, kind="stable")
    within = np.arange(len(order)) - np.searchsorted(faces.labels[order], faces.labels[order])
    return faces.select(np.sort(order[within < MOST_PHOTOS]))


def measure(split: Split, config: TrainingConfig) -> dict[str, Any]:
    """Train, and return the EER of the test people with its interval, and the CPU seconds."""
    start = time.process_time()  # other jobs on the machine hardly change it
    run = train(split, config)
    seconds = time.process_time() - start
    embeddings = embed(embedding_of(run.siamese), split.test.faces, flip=config.flip)
    evaluation = evaluate_all_pairs(embeddings, split.test.labels)
    return {
        "eer": evaluation.eer,
        "interval": list(evaluation.intervals["eer"]),
        "validation_eer": run.validation_eer,
        "people": len(split.test.people),
        "seconds": seconds,
        "steps": config.optimization.steps,
    }


def measured(data: str, split: Split, config: TrainingConfig) -> dict[str, Any]:
    """Measure a loss with its hyperparameters, or read an earlier run with the same."""
    path = FOLDER / f"{data}-{config.loss}-{config.seed}-{short_digest(config.to_json())}.json"
    if not path.is_file():
        row = measure(split, config)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(row))
    return json.loads(path.read_text())


def summarise(rows: dict[str, dict[int, dict[str, Any]]]) -> dict[str, Any]:
    """Return one line of the table for each loss: over its seeds, and against the baseline where both were run."""
    table = {}
    for loss, own in rows.items():
        eers = [row["eer"] for row in own.values()]
        base = rows.get(BASELINE, {})
        differences = [own[seed]["eer"] - base[seed]["eer"] for seed in own if seed in base]
        table[loss] = {
            "seeds": len(own),
            "eer": {"mean": float(np.mean(eers)), "smallest": min(eers), "largest": max(eers)},
            "difference_to_baseline": {"mean": float(np.mean(differences)), "each": differences} if differences else None,
            "seconds": float(np.mean([row["seconds"] for row in own.values()])),
            "runs": {str(seed): row for seed, row in own.items()},
        }
    return table


def as_text(name: str, table: dict[str, Any]) -> str:
    """Return a table for the terminal, the lowest EER first."""
    lines = [f"{name}: EER, mean (smallest .. largest of the seeds); interval of each seed; CPU seconds"]
    for loss, row in sorted(table.items(), key=lambda item: item[1]["eer"]["mean"]):
        eer = row["eer"]
        intervals = ", ".join("{:.2%} .. {:.2%}".format(*run["interval"]) for run in row["runs"].values())
        means = f"{eer['mean']:.2%} ({eer['smallest']:.2%} .. {eer['largest']:.2%})"
        lines.append(f"  {loss:24}{means:30}{intervals}; {row['seconds']:.0f} s")
    return "\n".join(lines)


def main() -> None:
    """Run what has not been run, and write the table."""
    names = get_args(LossName)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", choices=list(SETTINGS), help="may be given several times; default: all")
    parser.add_argument("--loss", action="append", choices=names, help="may be given several times; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--att-steps", type=int, default=600)
    parser.add_argument("--lfw-steps", type=int, default=1000)
    parser.add_argument("--signature-steps", type=int, default=400)
    parser.add_argument(
        "--mixed-precision", action="store_true", help="on LFW, where its networks are large enough to gain from it"
    )
    parser.add_argument("--out", help="name of the file in results/")
    options = parser.parse_args()
    steps = {"att": options.att_steps, "lfw": options.lfw_steps, "signatures": options.signature_steps}
    settings = {**SETTINGS, "lfw": {"mixed_precision": options.mixed_precision}}
    FOLDER.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Any] = {}
    for data in options.data or steps:
        faces = read_faces(data)
        rows: dict[str, dict[int, dict[str, Any]]] = {loss: {} for loss in options.loss or names}
        for seed in range(options.seeds):
            split = split_people(faces, seed=seed)
            for loss, own in rows.items():
                config = config_for(split.train, loss=loss, steps=steps[data], seed=seed, **settings[data])
                own[seed] = measured(data, split, config)
                print(data, loss, seed, own[seed], flush=True)
        tables[data] = summarise(rows)
        print(as_text(data, tables[data]))
    out = options.out or ("losses-part" if options.data or options.loss else "losses")
    write_result(out, {"baseline": BASELINE, **tables})


if __name__ == "__main__":
    main()
