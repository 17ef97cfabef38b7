"""Fine-tuning on 100 people of LFW: is the result worse than the start on people who took no part?

    python benchmarks/fine_tuning.py [--draws 20] [--steps 150]

No people of View 2's first two folds were used to fit the bundled encoder. Of these 100 are drawn at random, as many as a
user might have, most of them with a single photo. `visavis.train` fine-tunes the encoder on them with its defaults. The result and
the start are measured on all pairs of the other people of the two folds. A draw is lost where the start is better on 97.5 % of the
paired bootstrap samples of these people, and won where the result is. The faces are those of `runs/lfw-faces`, which
`benchmarks/faces.py` prepares. Each draw is written to `runs/fine-tuning/DRAW-STEPS.json` as soon as it ends, and is not repeated:
the command can be interrupted and started again. Writes `results/fine_tuning.json`. Takes up to 5 minutes for each draw on 2 cores;
where the start has no errors on the validation people, training ends at once.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from record import PHOTOS, RUNS, write_result

from visavis.data import FaceDataset, lfw_folds, load_dataset, read_lfw_pairs, split_people
from visavis.encoders.keras import KerasEncoder, load_pretrained
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.metrics.bootstrap import probability_of_fewer_errors
from visavis.models import embed, embedding_of
from visavis.training.trainer import train

PEOPLE = 100


def people_of_folds() -> FaceDataset:
    """Return the people of View 2's first two folds, faces cropped for the bundled encoder."""
    faces = load_dataset(RUNS / "lfw-faces")
    _, own = lfw_folds(faces, read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces), [0, 1])
    return own


def one_draw(people: FaceDataset, start: KerasEncoder, draw: int, steps: int) -> dict[str, Any]:
    """Fine-tune on 100 people, and measure on the others."""
    chosen = np.random.default_rng(draw).choice(len(people.people), PEOPLE, replace=False)
    drawn = np.isin(people.labels, chosen)
    mine, others = (people.select(np.flatnonzero(side)).cut(start.card.crop) for side in (drawn, ~drawn))
    begun = time.perf_counter()
    run = train(split_people(mine, seed=draw), start=embedding_of(start.siamese), steps=steps, flip=False)
    seconds = time.perf_counter() - begun
    before, after = start.embed(others.faces), embed(embedding_of(run.siamese), others.faces)
    eers = [equal_error_rate(all_pairs_curve(rows, others.labels))[0] for rows in (before, after)]
    return {
        "draw": draw,
        "eer_before": eers[0],
        "eer_after": eers[1],
        "best_step": run.best_step,
        "shrinkage": run.shrinkage,
        "validation_eers": [row["validation_eer"] for row in run.history],
        "probability_of_fewer_errors": probability_of_fewer_errors(before, after, others.labels),
        "seconds": seconds,
    }


def main() -> None:
    """Measure all draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    people, start, rows = people_of_folds(), load_pretrained(), []
    folder = RUNS / "fine-tuning"
    folder.mkdir(parents=True, exist_ok=True)
    for draw in range(options.draws):
        done = folder / f"{draw}-{options.steps}.json"
        if not done.is_file():
            done.write_text(json.dumps(one_draw(people, start, draw, options.steps)))
        rows.append(json.loads(done.read_text()))
        print(rows[-1], flush=True)
    summary = {
        "draws": rows,
        "lost": sum(row["probability_of_fewer_errors"] < 0.025 for row in rows),
        "won": sum(row["probability_of_fewer_errors"] > 0.975 for row in rows),
        "kept_the_start": sum(row["best_step"] == 0 and row["shrinkage"] is None for row in rows),
    }
    write_result("fine_tuning", summary)


if __name__ == "__main__":
    main()
