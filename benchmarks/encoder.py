"""The bundled encoder beside SFace and dlib's network: LFW, AT&T and people in the wild; its thresholds; speed, start, fine-tuning.

    pip install 'visavis[recipe]' && python benchmarks/encoder.py [--folds 8]

All get the same faces (`compared.py`), found in photos of LFW, of AT&T and of people in the wild; of these only the people who
had no part in any choice are used (numbers from 5000 on). LFW's people of View 2's folds 1 and 2 had none either. Intervals are
of 95 %, by resampling people; of differences the same people are drawn for both. Of AT&T, 8 folds of 5 people are scored before
and after training on 30 others, and for five other draws of the folds by what is done in closed form alone. The time for a face
is taken in turns, one thread each. CPU seconds and peak memory are those of fresh processes, medians of 5. Writes
`results/encoder.json`. About an hour on 2 cores, of which most goes into faces and embeddings that `runs/` keeps.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from compared import ENCODERS, embeddings, faces_of, one_face_steps
from measure import cost_of
from PIL import Image
from record import PHOTOS, write_result

from visavis.data import kfold_people, read_lfw_pairs, split_people
from visavis.encoders import load_encoder
from visavis.evaluation import evaluate_all_pairs, evaluate_folds, pair_scores
from visavis.faces import CANONICAL_CROP
from visavis.metrics import all_pairs_curve, equal_error_rate, score_all_pairs, tar_at_fmr, threshold_at_fmr
from visavis.metrics.bootstrap import PeopleCurves, ResampledCurves, curve_points
from visavis.metrics.intervals import limits_of

CLI = Path(sys.executable).with_name("visavis")
REPORTING = 5000  # people in the wild with lower numbers helped to choose
LEFT_OUT = (0, 1)  # folds of View 2
FMRS = (1e-2, 1e-3, 1e-4)
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


def lfw_view2() -> dict[str, Any]:
    """All ten folds, the threshold of each chosen on the others; and the errors in the two that were left out of everything."""
    protocol = read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces_of("lfw"))
    found = {}
    for name in ENCODERS:
        folded = evaluate_folds(pair_scores(embeddings(name, "lfw"), protocol.pairs), protocol.labels, protocol.folds)
        wrong = [folded.decisions[fold].fp + folded.decisions[fold].fn for fold in LEFT_OUT]
        found[name] = {**folded.to_json(), "wrong_in_folds_1_and_2": sum(wrong)}
    return found


def lfw_unseen_people() -> dict[str, Any]:
    """All pairs of the people of View 2's folds 1 and 2."""
    faces = faces_of("lfw")
    protocol = read_lfw_pairs(PHOTOS / "lfw-pairs.txt", faces)
    chosen = np.isin(faces.labels, faces.labels[protocol.pairs[np.isin(protocol.folds, LEFT_OUT)]])
    return all_pairs({name: embeddings(name, "lfw")[chosen] for name in ENCODERS}, faces.labels[chosen])


def att_unseen_people() -> dict[str, Any]:
    """All pairs of AT&T."""
    faces = faces_of("att")
    return all_pairs({name: embeddings(name, "att") for name in ENCODERS}, faces.labels)


def wild_unseen_people() -> dict[str, Any]:
    """All pairs of the people in the wild who had no part in any choice; what our thresholds and probabilities do there."""
    faces = faces_of("wild")
    chosen = np.flatnonzero([int(faces.people[label]) >= REPORTING for label in faces.labels])
    labels = faces.labels[chosen]
    found = all_pairs({name: embeddings(name, "wild")[chosen] for name in ENCODERS}, labels)
    card = load_encoder().card
    curve = all_pairs_curve(embeddings("visavis", "wild")[chosen], labels)
    drawn = resampled(embeddings("visavis", "wild")[chosen], labels, [rule.score for rule in card.rules])
    found["thresholds"] = [
        {
            "target_fmr": rule.target_fmr,
            "fmr": curve.at(rule.score).fmr.value,
            "fmr_interval": limits_of(drawn.best.at(rule.score)[0], drawn.worst.at(rule.score)[0]),
            "fnmr": curve.at(rule.score).fnmr.value,
        }
        for rule in card.rules
    ]
    found["predicted_0.95"] = surely_mated(card, curve)
    return found


def surely_mated(card: Any, curve: Any) -> float:
    """The share of mated pairs among those of a predicted probability of 0.9 to 0.98, both kinds weighing the same."""
    probabilities = card.calibration.probability(curve.thresholds.astype(np.float64))
    band = (probabilities >= 0.9) & (probabilities <= 0.98)
    mated, nonmated = (
        np.diff(accepted, prepend=0)[band].sum() / total
        for accepted, total in ((curve.accepted_mated, curve.mated), (curve.accepted_nonmated, curve.nonmated))
    )
    return float(mated / (mated + nonmated))


def resampled(rows: Floats, labels: Indices, scores: list[float] | None = None) -> ResampledCurves:
    """Error curves of resampled people."""
    pairs = score_all_pairs(rows, labels, thresholds=scores or [])
    also = [threshold_at_fmr(pairs.curve, fmr) for fmr in FMRS] + (scores or [])
    return PeopleCurves.of(pairs, curve_points(pairs.curve, also)).resampled()


def all_pairs(rows: dict[str, Floats], labels: Indices) -> dict[str, Any]:
    """Rates of several encoders on all pairs of the same photos, and their differences from ours."""
    drawn = {name: resampled(values, labels) for name, values in rows.items()}
    found: dict[str, Any] = {"people": len(np.unique(labels)), "photos": len(labels)}
    shares = {}
    for name, values in rows.items():
        found[name], shares[name] = rates(values, labels, drawn[name])
    for name in set(rows) - {"visavis"}:
        for fmr in FMRS:
            gain = (drawn[name].fnmr_at(fmr) - drawn["visavis"].fnmr_at(fmr))[1:]
            found[name][f"ours_better_at_{fmr:.0e}_interval"] = np.percentile(gain, [2.5, 97.5]).tolist()
            by_person = paired_interval(shares["visavis"][fmr] - shares[name][fmr])
            found[name][f"ours_better_at_{fmr:.0e}_by_person_interval"] = by_person
    return found


def rates(rows: Floats, labels: Indices, drawn: ResampledCurves) -> tuple[dict[str, Any], dict[float, npt.NDArray[np.float64]]]:
    """One encoder's rates with intervals; and of each person the share of accepted mated pairs, for each false match rate."""
    curve = all_pairs_curve(rows, labels)
    eer, at_eer = equal_error_rate(curve)
    found = {"mated": curve.mated, "nonmated": curve.nonmated, "eer": eer, "mated_refused_at_eer": curve.at(at_eer).fn}
    found["eer_interval"] = limits_of(drawn.best.eer(), drawn.worst.eer())
    shares = {fmr: share_by_person(rows, labels, threshold_at_fmr(curve, fmr)) for fmr in FMRS}
    for fmr, share in shares.items():
        name, tar = f"tar_at_fmr_{fmr:.0e}", tar_at_fmr(curve, fmr).value
        limits = limits_of(1 - drawn.best.fnmr_at(fmr), 1 - drawn.worst.fnmr_at(fmr))
        found |= {name: tar, f"{name}_interval": limits, f"{name}_by_person": share.mean()}
    return found, shares


def share_by_person(rows: Floats, labels: Indices, threshold: float) -> npt.NDArray[np.float64]:
    """Of each person with two photos or more, the share of mated pairs that a threshold accepts."""
    shares = []
    for label in np.unique(labels):
        own = rows[labels == label]
        if len(own) > 1:
            shares.append(float(np.mean((own @ own.T)[np.triu_indices(len(own), 1)] >= threshold)))
    return np.array(shares)


def paired_interval(differences: npt.NDArray[np.float64], resamples: int = 2000) -> list[float]:
    """The 95 % interval of the mean difference, people resampled."""
    chosen = np.random.default_rng(0).integers(0, len(differences), (resamples, len(differences)))
    return np.percentile(differences[chosen].mean(axis=1), [2.5, 97.5]).tolist()


def fine_tuning(folds: int) -> dict[str, Any]:
    """All of AT&T's folds before and after training, and what the closed form does alone."""
    rows = fine_tuned(folds)
    mean = {name: float(np.mean([row[name] for row in rows])) for name in ("eer_before", "eer_after")}
    return {**mean, "folds": rows, "closed_form_of_other_draws": adapted()}


def fine_tuned(folds: int) -> list[dict[str, Any]]:
    """Each fold's people before and after training on others."""
    from visavis.encoders.keras import load_pretrained
    from visavis.models import embed, embedding_of
    from visavis.training.trainer import train

    start = load_pretrained()
    faces = faces_of("att").cut(start.card.crop)
    rows = []
    for fold, (seen, test) in enumerate(kfold_people(faces, folds=8, seed=0)):
        if fold == folds:
            break
        split = split_people(seen, fractions=(30 / 35, 5 / 35, 0), seed=fold)
        run = train(split, start=embedding_of(start.siamese))
        before = evaluate_all_pairs(start.embed(test.faces), test.labels).eer
        after = evaluate_all_pairs(embed(embedding_of(run.siamese), test.faces, flip=True), test.labels).eer
        rows.append({"fold": fold, "eer_before": before, "eer_after": after, "best_step": run.best_step})
        print(rows[-1], flush=True)
    return rows


def adapted(draws: int = 5) -> list[float]:
    """The folds' mean error rate after what is done in closed form alone, for other draws of the folds."""
    from visavis.encoders.keras import load_pretrained
    from visavis.models import embed, embedding_of
    from visavis.training.adaptation import adapt

    start = load_pretrained()
    network = embedding_of(start.siamese)
    faces = faces_of("att").cut(start.card.crop)
    means = []
    for draw in range(1, draws + 1):
        rates = []
        for fold, (seen, test) in enumerate(kfold_people(faces, folds=8, seed=draw)):
            brought, _ = adapt(network, split_people(seen, fractions=(30 / 35, 5 / 35, 0), seed=fold), flip=True)
            rates.append(evaluate_all_pairs(embed(brought, test.faces, flip=True), test.labels).eer)
        means.append(float(np.mean(rates)))
        print(means, flush=True)
    return means


def milliseconds_a_face(rounds: int = 60) -> dict[str, Any]:
    """CPU time of one face, alternating, one thread each."""
    steps = one_face_steps()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begun = time.process_time()
            step()
            times[name].append(1000 * (time.process_time() - begun))
    spent = {name: statistics.median(values) for name, values in times.items()}
    return {
        **spent,
        "part_of_sface": spent["visavis"] / spent["sface"],
        "times_faster": spent["dlib's own code"] / spent["visavis"],
    }


_READY = """
import time
seconds, cpu = time.perf_counter(), time.process_time()
import visavis
visavis.Verifier()
print(time.perf_counter() - seconds, time.process_time() - cpu)
"""


def start_up() -> dict[str, Any]:
    """What two photos cost from a cold start, and how soon a `Verifier` is ready."""
    faces = faces_of("lfw").cut(CANONICAL_CROP).faces
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
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=8, help="how many of the 8 folds to train on; 0: no training is measured")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for measure in (lfw_view2, lfw_unseen_people, att_unseen_people, wild_unseen_people, milliseconds_a_face):
        figures[measure.__name__] = measure()
        print(measure.__name__, figures[measure.__name__], flush=True)
    figures["start"] = start_up()
    print(figures["start"], flush=True)
    figures["fine_tuned_on_att"] = fine_tuning(options.folds) if options.folds else None
    write_result("encoder", figures)


if __name__ == "__main__":
    main()
