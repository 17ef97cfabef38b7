"""Does `visavis check` predict the false match rate on people and cameras that the threshold was not chosen for?

    python benchmarks/population.py [--draws 50]

The bundled encoder's thresholds for FMR 1 % and 0.1 %, on people that it was neither trained nor calibrated on: those in the wild
from folder 05000 on, LFW's people of folds 1 and 2, AT&T's people; and those in the wild as poorer cameras would show them: at 28
pixels, gray, and overexposed. From 10, 30 and 100 people of each (photos of a few minutes of a camera), the false match rate is
predicted as `visavis check` does, with labels and without, and compared with the rate of all pairs of all people of that kind.
Writes `results/population.json`.

Needs the prepared folders `runs/wild-faces`, `runs/lfw-faces` and `runs/att-faces`, see `recipes/README.md`. About 15 minutes on
one core.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from quality_gate import FIRST_REPORTED, reported_of_lfw
from record import RUNS, write_result

from visavis.data import FaceDataset
from visavis.encoders import Encoder, embed_faces, load_encoder, load_faces
from visavis.metrics import score_all_pairs
from visavis.metrics.population_check import predict_fmr

Faces = npt.NDArray[np.uint8]
PEOPLE, TARGETS = (10, 30, 100), (1e-2, 1e-3)


def small(face: Faces) -> Faces:
    """Return a face as a camera far away shows it."""
    image = Image.fromarray(face)
    return np.asarray(image.resize((28, 28), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC))


def gray(face: Faces) -> Faces:
    """Return a face without colour."""
    return np.asarray(Image.fromarray(face).convert("L").convert("RGB"))


def overexposed(face: Faces) -> Faces:
    """Return a face whose bright half is white."""
    return np.clip(2 * face.astype(np.int64), 0, 255).astype(np.uint8)


CAMERAS: dict[str, Callable[[Faces], Faces] | None] = {"": None, ", 28 pixels": small, ", gray": gray, ", overexposed": overexposed}


def unseen(encoder: Encoder) -> dict[str, FaceDataset]:
    """Load the people that are reported on."""
    sets = {name: load_faces(encoder.card, str(RUNS / f"{name}-faces")) for name in ("wild", "lfw", "att")}
    wild, lfw = sets["wild"], sets["lfw"]
    late = np.array([int(wild.people[label]) >= FIRST_REPORTED for label in wild.labels])
    return {
        "people in the wild": wild.select(np.flatnonzero(late)),
        "LFW, folds 1 and 2": lfw.select(np.flatnonzero(reported_of_lfw(lfw))),
        "AT&T": sets["att"],
    }


def measure(
    encoder: Encoder, embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], draws: int
) -> list[dict[str, Any]]:
    """Predict the false match rate from draws of people, with and without labels, and count how often the interval holds it."""
    rows = []
    everyone = score_all_pairs(embeddings, labels).curve
    for target in TARGETS:
        score = encoder.card.rule(target).score
        counts = everyone.at(score)
        true = counts.fp / everyone.nonmated
        for people in [count for count in PEOPLE if count <= len(np.unique(labels))]:
            for labelled in (True, False):
                predicted, held, higher, at_all = [], 0, 0, 0.0
                for seed in range(draws):
                    drawn = np.random.default_rng(seed).choice(np.unique(labels), people, replace=False)
                    photos = np.flatnonzero(np.isin(labels, drawn))
                    of = labels[photos] if labelled else np.arange(len(photos))
                    check = predict_fmr(score_all_pairs(embeddings[photos], of), encoder.card.histogram, score)
                    predicted.append(check.fmr_expected)
                    held += check.interval[0] <= true <= check.interval[1]
                    higher += check.higher
                    at_all = check.fmr_chosen
                rows.append(
                    {
                        "target": target,
                        "people": people,
                        "labelled": labelled,
                        "true": true,
                        "chosen": at_all,
                        "predicted": np.quantile(predicted, [0.05, 0.5, 0.95]).tolist(),
                        "held": held / draws,
                        "called_higher": higher / draws,
                    }
                )
    return rows


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=50)
    draws = parser.parse_args().draws
    encoder = load_encoder(threads=1)
    populations = {}
    for name, faces in unseen(encoder).items():
        for camera, change in CAMERAS.items() if name == "people in the wild" else [("", None)]:
            shown = faces.faces if change is None else np.stack([change(face) for face in faces.faces])
            embeddings = embed_faces(encoder, FaceDataset(shown, faces.labels, faces.people, faces.sources, crop=faces.crop))
            populations[name + camera] = measure(encoder, embeddings, faces.labels, draws)
            for row in populations[name + camera]:
                print(name + camera, row, flush=True)
    figures = {"chosen_on": encoder.card.histogram.chosen_on, "draws": draws, "populations": populations}
    write_result("population", figures)


if __name__ == "__main__":
    main()
