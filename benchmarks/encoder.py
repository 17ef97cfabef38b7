"""The bundled encoder: unseen people of LFW and AT&T, fine-tuning on AT&T, speed, start-up.

    python benchmarks/faces.py && python benchmarks/encoder.py [--folds 8]

The encoder was trained neither on AT&T nor on the people of LFW's first two folds. All pairs of the 400 photos of AT&T, prepared to
`runs/att-faces`, and the 1,200 pairs of the folds are scored by it and by dlib's network. Then, for each of 8 folds of 5 people of
AT&T, the encoder is fine-tuned on 30 others with 5 validation people, and tested on the 5; for five other random choices of the
folds, with the closed-form adaptation alone. The time per face is measured against dlib's, alternating, one thread each. CPU
seconds and peak memory are those of fresh processes, medians of 5. Writes `results/encoder.json`. About 20 minutes on 2 cores.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import cost_of
from PIL import Image
from record import PHOTOS, RUNS, write_result

from visavis.data import kfold_people, load_dataset, read_lfw_pairs, split_people
from visavis.data.preparation import prepare_photos
from visavis.encoders import load_encoder
from visavis.evaluation import evaluate_all_pairs, evaluate_folds, pair_scores
from visavis.faces import CANONICAL_CROP

ATT = RUNS / "att-faces"
CLI = Path(sys.executable).with_name("visavis")


def prepare_att() -> None:
    """Detect and align the faces of AT&T; a photo without a detected face is cropped at the centre."""
    if not (ATT / "faces.npy").is_file():
        prepare_photos(PHOTOS / "att_faces.tar", ATT, fallback="centre")


def lfw_unseen_people(name: str) -> dict[str, Any]:
    """Evaluate the pairs of View 2's first two folds, whose people the bundled encoder was not trained on."""
    encoder = load_encoder(name)
    faces = load_dataset(RUNS / "lfw-faces").cut(encoder.card.crop)
    protocol = read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces)
    chosen = protocol.folds < 2
    photos, pairs = np.unique(protocol.pairs[chosen], return_inverse=True)
    embeddings = encoder.embed(faces.gather(photos))
    scores = pair_scores(embeddings, pairs.reshape(-1, 2))
    return evaluate_folds(scores, protocol.labels[chosen], protocol.folds[chosen]).to_json()


def att_unseen_people(name: str) -> dict[str, Any]:
    """Evaluate all pairs of AT&T."""
    encoder = load_encoder(name)
    faces = load_dataset(ATT).cut(encoder.card.crop)
    result = evaluate_all_pairs(encoder.embed(faces.faces), faces.labels)
    return {"eer": result.eer, "tar_at_fmr_1e-3": result.tar_at_fmr(1e-3).value, "mated": result.curve.mated}


def fine_tuned(folds: int) -> list[dict[str, Any]]:
    """Return the EER of each fold before and after fine-tuning on other people."""
    from visavis.encoders.keras import load_pretrained
    from visavis.models import embed, embedding_of
    from visavis.training.trainer import train

    start = load_pretrained()
    faces = load_dataset(ATT).cut(start.card.crop)
    rows = []
    for fold, (seen, test) in enumerate(kfold_people(faces, folds=8, seed=0)):
        if fold == folds:
            break
        begun = time.perf_counter()
        split = split_people(seen, fractions=(30 / 35, 5 / 35, 0), seed=fold)
        run = train(split, start=embedding_of(start.siamese), progress=False)
        seconds = time.perf_counter() - begun
        before = evaluate_all_pairs(start.embed(test.faces), test.labels).eer
        after = evaluate_all_pairs(embed(embedding_of(run.siamese), test.faces, flip=True), test.labels).eer
        rows.append({"fold": fold, "eer_before": before, "eer_after": after, "best_step": run.best_step, "seconds": seconds})
        print(rows[-1], flush=True)
    return rows


def adapted(draws: int = 5) -> list[float]:
    """Return the mean EER after closed-form adaptation alone, for other random choices of the folds."""
    from visavis.encoders.keras import load_pretrained
    from visavis.models import embed, embedding_of
    from visavis.training.adaptation import adapt

    start = load_pretrained()
    network = embedding_of(start.siamese)
    faces = load_dataset(ATT).cut(start.card.crop)
    means = []
    for draw in range(1, draws + 1):
        rates = []
        for fold, (seen, test) in enumerate(kfold_people(faces, folds=8, seed=draw)):
            brought, _ = adapt(network, split_people(seen, fractions=(30 / 35, 5 / 35, 0), seed=fold), flip=True)
            rates.append(evaluate_all_pairs(embed(brought, test.faces, flip=True), test.labels).eer)
        means.append(float(np.mean(rates)))
        print(means, flush=True)
    return means


def milliseconds_a_face(count: int = 60) -> dict[str, float]:
    """Measure one face at a time, alternating, one thread each; dlib's network by ONNX Runtime and by dlib's own code."""
    import dlib

    from visavis.encoders.dlib import DLIB_CROP, dlib_weights

    faces = load_dataset(RUNS / "lfw-faces").select(range(count))
    ours, theirs = load_encoder(threads=1), load_encoder("dlib", threads=1)
    network = dlib.face_recognition_model_v1(str(dlib_weights()))
    small, chips = faces.cut(ours.card.crop).faces, faces.cut(DLIB_CROP).faces
    spent: dict[str, list[float]] = {"visavis": [], "dlib, ONNX Runtime": [], "dlib": []}
    for index in range(count):
        steps = {
            "visavis": partial(ours.embed, small[index : index + 1]),
            "dlib, ONNX Runtime": partial(theirs.embed, chips[index : index + 1]),
            "dlib": partial(network.compute_face_descriptor, np.ascontiguousarray(chips[index])),
        }
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            spent[name].append(time.perf_counter() - begun)
    medians = {name: 1000 * statistics.median(times) for name, times in spent.items()}
    return {
        **medians,
        "times_faster": medians["dlib"] / medians["visavis"],
        "dlib_times_faster_in_onnx_runtime": medians["dlib"] / medians["dlib, ONNX Runtime"],
    }


_READY = """
import time
seconds, cpu = time.perf_counter(), time.process_time()
import visavis
visavis.Verifier()
print(time.perf_counter() - seconds, time.process_time() - cpu)
"""


def start_up() -> dict[str, Any]:
    """Measure a verification in a fresh process, and the time until a `Verifier` is ready."""
    faces = load_dataset(RUNS / "lfw-faces").select([0, 1]).cut(CANONICAL_CROP).faces
    with tempfile.TemporaryDirectory() as folder:
        photos = [f"{folder}/{number}.png" for number in (0, 1)]
        for number, photo in enumerate(photos):
            Image.fromarray(faces[number]).save(photo)
        aligned = cost_of(str(CLI), "verify", *photos, "--aligned")
        whole = cost_of(str(CLI), "verify", *photos, "--fallback", "centre")
    rows = [subprocess.run([sys.executable, "-c", _READY], capture_output=True, check=True).stdout.split() for _ in range(5)]
    ready = dict(
        zip(("seconds", "cpu_seconds"), (statistics.median(map(float, column)) for column in zip(*rows, strict=True)), strict=True)
    )
    return {"verify --aligned": aligned, "verify": whole, "until_a_verifier_is_ready": ready}


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=8, help="how many of the 8 folds to train on")
    options = parser.parse_args()
    figures: dict[str, Any] = {"start": start_up(), "milliseconds_a_face": milliseconds_a_face()}
    print(figures, flush=True)
    prepare_att()
    for figure, measured in (("att_unseen_people", att_unseen_people), ("lfw_unseen_people", lfw_unseen_people)):
        figures[figure] = {name: measured(name) for name in ("pretrained", "dlib")}
        print(figures[figure], flush=True)
    rows = fine_tuned(options.folds)
    mean = {name: float(np.mean([row[name] for row in rows])) for name in ("eer_before", "eer_after")}
    print(mean, flush=True)
    figures["fine_tuned_on_att"] = {**mean, "folds": rows, "closed_form_of_other_draws": adapted()}
    write_result("encoder", figures, command=f"python benchmarks/encoder.py --folds {options.folds}")


if __name__ == "__main__":
    main()
