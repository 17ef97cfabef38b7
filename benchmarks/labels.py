"""Photos under a wrong name: how many does `visavis inspect --model` find, and how many right ones does it report?

    python benchmarks/faces.py && python benchmarks/labels.py

The people of LFW with at least five photos. In each of ten rounds, 300 photos get the name of another of these people, drawn at
random; in ten more, 300 photos of people who are not in the data get the name of one who is. Reported are the planted photos that
`find_doubtful_labels` finds and the other photos that it reports, at its margin and at others. Writes `results/labels.json`.
About five minutes, most of it for embedding 6,285 faces.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from record import RUNS, write_result

from visavis.data import load_dataset
from visavis.data.doubtful_labels import MARGIN, find_doubtful_labels
from visavis.encoders import embed_faces, load_encoder, load_faces

PHOTOS_PER_PERSON, PLANTED, ROUNDS = 5, 300, 10
MARGINS = (0.0, 0.02, MARGIN, 0.1)

Labels = npt.NDArray[np.int64]
Round = tuple[npt.NDArray[np.float32], Labels, Labels]


def swapped(embeddings: npt.NDArray[np.float32], labels: Labels) -> Iterator[Round]:
    """Yield embeddings, labels and planted photos: photos of these people under another of their names."""
    people = int(labels.max()) + 1
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        planted = rng.choice(len(labels), PLANTED, replace=False)
        wrong = labels.copy()
        wrong[planted] = (labels[planted] + rng.integers(1, people, PLANTED)) % people
        yield embeddings, wrong, planted


def outsiders(embeddings: npt.NDArray[np.float32], labels: Labels, others: npt.NDArray[np.float32]) -> Iterator[Round]:
    """Yield embeddings, labels and planted photos: photos of other people under one of the names."""
    for seed in range(ROUNDS):
        names = np.random.default_rng(seed).integers(0, int(labels.max()) + 1, len(others))
        planted = np.arange(len(embeddings), len(embeddings) + len(others))
        yield np.concatenate([embeddings, others]), np.concatenate([labels, names]), planted


def rates(rounds: Iterator[Round]) -> dict[str, dict[str, float]]:
    """Return for each margin the mean numbers over the rounds of planted photos found and of other photos reported."""
    counts: dict[str, list[tuple[int, int, int]]] = {f"{margin:g}": [] for margin in MARGINS}
    for embeddings, labels, planted in rounds:
        _, numbers = np.unique(labels, return_inverse=True)
        for margin in MARGINS:
            found = np.isin(find_doubtful_labels(embeddings, numbers, margin=margin).photos, planted)
            counts[f"{margin:g}"].append((int(found.sum()), int((~found).sum()), len(labels) - len(planted)))
    return {
        margin: {
            "planted": PLANTED,
            "found": float(np.mean([found for found, _, _ in rows])),
            "found_at_least": min(found for found, _, _ in rows),
            "others": rows[0][2],
            "reported": float(np.mean([reported for _, reported, _ in rows])),
            "reported_at_most": max(reported for _, reported, _ in rows),
        }
        for margin, rows in counts.items()
    }


def main() -> None:
    """Embed, plant, count, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, default=RUNS / "lfw-faces", help="LFW as visavis prepare wrote it.")
    options = parser.parse_args()
    data, encoder = load_dataset(options.faces), load_encoder("pretrained")
    counts = data.photos_per_person
    members = data.select(np.flatnonzero(counts[data.labels] >= PHOTOS_PER_PERSON))
    single = np.flatnonzero(counts[data.labels] == 1)
    others = data.select(np.random.default_rng(0).choice(single, PLANTED, replace=False))
    own, foreign = (embed_faces(encoder, load_faces(encoder.card, part), progress=True) for part in (members, others))
    figures = {
        "people": len(members.people),
        "photos": len(members),
        "margin": MARGIN,
        "as_it_is": len(find_doubtful_labels(own, members.labels)),
        "another_name": rates(swapped(own, members.labels)),
        "another_person": rates(outsiders(own, members.labels, foreign)),
    }
    print(figures)
    write_result("labels", figures)


if __name__ == "__main__":
    main()
