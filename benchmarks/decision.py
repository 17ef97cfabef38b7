"""Two whole photos to a decision: visavis against face_recognition 1.3.0 on the same photos of LFW.

    python -m venv runs/recognition
    runs/recognition/bin/pip install dlib-bin==20.0.1.post1 face_recognition_models==0.3.0 'setuptools<81' Pillow numpy click
    runs/recognition/bin/pip install --no-deps face_recognition==1.3.0
    python benchmarks/decision.py [--recognition runs/recognition/bin/python] [--pairs 1200]

The pairs are those of View 2's first two folds, whose people the bundled encoder was not trained on. Two processes alternate, each
called as its users would: `Verifier().verify(a, b)` at the encoder's own threshold; `face_encodings` and `face_distance` at the
tolerance of 0.6. Of several faces, both take the one nearest to the centre, which LFW means. Measured: seconds per pair after the
first, seconds until the first decision, import time, peak memory, accuracy, both error rates and the EER. A photo without a
detected face counts as a decision for "different people" and is left out of the EER. face_recognition requires `dlib`, which
needs a compiler; `dlib-bin` is a build of it. Writes `results/decision.json`. About 10 minutes on 2 cores.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import Worker, ratio, spread
from record import LFW, PHOTOS, RUNS, write_result

from visavis.data import open_photos
from visavis.metrics import Rate, equal_error_rate, error_curve

HERE = Path(__file__).parent
FOLD = 600


def pairs_of_first_folds() -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return the photo names of 1,200 pairs, and which pairs are mated."""
    rows = [line.split("\t") for line in (PHOTOS / "lfw-pairs.txt").read_text().splitlines()[1 : 1 + 2 * FOLD]]
    pairs = [(photo_name(row[0], row[1]), photo_name(*row[-2:] if len(row) == 4 else (row[0], row[2]))) for row in rows]
    return pairs, np.array([len(row) == 3 for row in rows], dtype=np.int64)


def photo_name(person: str, number: str) -> str:
    """Return the name of a photo as in LFW."""
    return f"{person}_{int(number):04d}.jpg"


def unpack(names: set[str], folder: Path) -> None:
    """Write these photos of LFW to a folder."""
    with open_photos(LFW) as files:
        for name, _ in files.photos:
            if Path(name).name in names:
                content = files.fetch(name)
                assert isinstance(content, bytes)
                (folder / Path(name).name).write_bytes(content)


def first_decision(process: Worker, first: str, second: str, started: float) -> dict[str, float]:
    """Return the seconds from process start to the first decision, and those of the import."""
    process.ask(do="decide", first=first, second=second)
    return {"until_first_decision": time.perf_counter() - started, "import": process.ask(do="import")}


def error_rates(rows: list[dict[str, Any]], mated: np.ndarray) -> dict[str, Any]:
    """Return accuracy, both error rates and the EER."""
    same = np.array([row["same"] for row in rows])
    right = Rate(int(np.sum(same == mated)), len(rows))
    found = np.array([row["score"] is not None for row in rows])
    scores = np.array([row["score"] for row in rows if row["score"] is not None])
    return {
        "accuracy": right.value,
        "accuracy_interval": list(right.interval),
        "false_match_rate": float(same[mated == 0].mean()),
        "false_non_match_rate": float(1 - same[mated == 1].mean()),
        "eer": equal_error_rate(error_curve(scores, mated[found]))[0],
        "pairs_without_a_face": int(np.sum(~found)),
        "milliseconds_a_pair": spread(1000 * row["seconds"] for row in rows),
    }


def main() -> None:
    """Decide all pairs with both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recognition", default=str(RUNS / "recognition" / "bin" / "python"), help="the Python that has it")
    parser.add_argument("--pairs", type=int, default=2 * FOLD, help="how many of the 1,200, drawn at random")
    options = parser.parse_args()
    pairs, mated = pairs_of_first_folds()
    chosen = np.sort(np.random.default_rng(0).permutation(len(pairs))[: options.pairs])
    commands = {
        "ours": (sys.executable, str(HERE / "visavis_worker.py")),
        "face_recognition": (options.recognition, str(HERE / "recognition_worker.py")),
    }
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    processes, starts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        unpack({name for index in chosen for name in pairs[index]}, Path(folder))
        paths = [tuple(f"{folder}/{name}" for name in pairs[index]) for index in chosen]
        for name, command in commands.items():
            started = time.perf_counter()
            processes[name] = Worker(*command)
            starts[name] = first_decision(processes[name], *paths[0], started)
        for first, second in paths:
            for name, process in processes.items():
                rows[name].append(process.ask(do="decide", first=first, second=second))
        memory = {name: process.ask(do="memory") for name, process in processes.items()}
        for process in processes.values():
            process.__exit__()
    seconds = {name: [row["seconds"] for row in own] for name, own in rows.items()}
    figures: dict[str, Any] = {
        "pairs": len(chosen),
        "decided": {name: error_rates(own, mated[chosen]) for name, own in rows.items()},
        "seconds": starts,
        "peak_megabytes": memory,
        "times_longer_than_face_recognition": ratio(seconds["ours"], seconds["face_recognition"]),
    }
    print(figures)
    write_result("decision", figures)


if __name__ == "__main__":
    main()
