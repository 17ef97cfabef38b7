"""Albums: fusion of references, group photos, clustering, and whether the promised rates hold.

    python benchmarks/faces.py && python benchmarks/albums.py [--parts fusion search groups clusters coverage]

`fusion` chooses how references are fused, on LFW's people of folds 3 to 10 and the choosing half of people in the wild. The other
parts report on people who were never trained or tuned on: LFW's folds 1 and 2 and the reporting half of people in the wild.

- `search`: FPIR of galleries of 10, 100 and 1,000 subjects against the one that is promised.
- `groups`: photos composed of 2 to 30 faces of 40 to 200 pixels; 30 subjects are enrolled with three photos each, half of the faces
  are of others. The same photos are given to dlib's detector and network by the calls that face_recognition makes, at the FPIR of
  visavis on them.
- `clusters`: pairwise precision and recall and B-cubed F of `sort`; and recall at precision 0.98 against DBSCAN, HDBSCAN and
  Chinese whispers on the same embeddings, each with the settings that are best for the album.
- `coverage`: of 200 random albums, how many have their number of wrong merges in the interval that was stated.

Needs the prepared faces in `runs/lfw-faces` and `runs/wild-faces` and, for `groups` and `clusters`, the extra `recipe`. Embeddings
are kept in `runs`. Writes `results/albums.json`; parts that are not asked for keep their figures. About 20 minutes.
"""

import argparse
import importlib.util
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from record import LFW, PHOTOS, RESULTS, RUNS, write_result
from sklearn.cluster import DBSCAN, HDBSCAN

from visavis.albums.clustering import build_tree
from visavis.albums.faces import AlbumFaces
from visavis.albums.finding import find_people
from visavis.albums.probabilities import MergeModel, choose_cut
from visavis.albums.reading import ReadingSettings
from visavis.albums.sorting import PRECISION, group_faces
from visavis.data import Intake, load_dataset, open_photos
from visavis.encoders import load_encoder
from visavis.gallery.search_rules import rule_for_fpir
from visavis.metrics import unit_rows
from visavis.metrics.intervals import people_interval

Floats = npt.NDArray[np.float32]
SIZES = (40, 60, 90, 140, 200)
LFW_FACE = 92  # pixels, mean width of a face in LFW's photos
ROUNDS = 12


class People(NamedTuple):
    """Embeddings of some people's photos, and whose they are."""

    embeddings: Floats
    labels: npt.NDArray[np.int64]


def test_people() -> set[str]:
    """Return the names of the people in the pairs of folds 1 and 2."""
    lines = (PHOTOS / "lfw-pairs.txt").read_text().splitlines()[1:1201]
    return {name for line in lines for name in line.split("\t")[::2] if not name.isdigit()}


def embedded(name: str) -> tuple[People, list[str], list[str]]:
    """Embed prepared faces, or read the embeddings: with the names of people and photos."""
    data, encoder = load_dataset(RUNS / f"{name}-faces"), load_encoder("pretrained")
    kept = RUNS / f"albums-{name}-{encoder.digest[:16]}.npy"
    if not kept.is_file():
        faces = data.cut(encoder.card.crop).faces
        np.save(kept, np.concatenate([encoder.embed(faces[start : start + 512]) for start in range(0, len(faces), 512)]))
    return People(np.load(kept), data.labels), list(data.people), list(data.sources)


def sides() -> dict[str, People]:
    """Return the people to choose on and to report on."""
    lfw, names, _ = embedded("lfw")
    wild, _, sources = embedded("wild")
    reported = np.isin([names[label] for label in lfw.labels], list(test_people()))
    late = np.array([int(source.split("/")[-2]) >= 5000 for source in sources])
    return {
        "LFW, folds 3 to 10": People(lfw.embeddings[~reported], lfw.labels[~reported]),
        "LFW, folds 1 and 2": People(lfw.embeddings[reported], lfw.labels[reported]),
        "wild, choosing": People(wild.embeddings[~late], wild.labels[~late]),
        "wild, reporting": People(wild.embeddings[late], wild.labels[late]),
    }


def enrolled(people: People, count: int, photos: int, rng: np.random.Generator) -> tuple[Floats, People, People]:
    """Enrol people at random: references `(count, photos, d)`, probes of them, and one photo of every other person."""
    embeddings, labels = people
    able = rng.permutation(np.flatnonzero(np.bincount(labels) > photos))[:count]
    places = np.array([rng.choice(np.flatnonzero(labels == person), photos, replace=False) for person in able])
    probes = np.setdiff1d(np.flatnonzero(np.isin(labels, able)), places)
    others = rng.permutation(np.flatnonzero(~np.isin(labels, able)))
    _, first = np.unique(labels[others], return_index=True)
    place_of = {int(person): place for place, person in enumerate(able)}
    own = np.array([place_of[int(label)] for label in labels[probes]])
    return embeddings[places], People(embeddings[probes], own), People(embeddings[others[first]], labels[others[first]])


def fused(probes: Floats, references: Floats, how: str) -> Floats:
    """Score probes `(m, d)` with subjects `(n, k, d)`."""
    if how == "template":
        return probes @ unit_rows(references.mean(axis=1)).T
    scores = np.einsum("md,nkd->mnk", probes, references)
    return scores.max(axis=2) if how == "max" else scores.mean(axis=2)


def fusion(people: dict[str, People]) -> list[dict[str, Any]]:
    """Measure FNIR at an FPIR of 1 % for each way of fusing references; each subject weighs the same."""
    rows = []
    for name in ("LFW, folds 3 to 10", "wild, choosing"):
        for photos, count in ((1, 30), (1, 100), (2, 100), (3, 30), (3, 100), (5, 100)):
            if np.count_nonzero(np.bincount(people[name].labels) > photos) < count:
                continue
            missed: dict[str, list[float]] = {}
            thresholds: dict[str, list[float]] = {}
            for seed in range(ROUNDS):
                references, probes, others = enrolled(people[name], count, photos, np.random.default_rng(seed))
                for how in ("max", "mean", "template"):
                    own, top = fused(probes.embeddings, references, how), fused(others.embeddings, references, how).max(axis=1)
                    threshold = float(np.quantile(top, 0.99))
                    right = (own.argmax(axis=1) == probes.labels) & (own.max(axis=1) >= threshold)
                    by_person = np.bincount(probes.labels, weights=~right) / np.maximum(1, np.bincount(probes.labels))
                    missed.setdefault(how, []).append(float(by_person[np.unique(probes.labels)].mean()))
                    thresholds.setdefault(how, []).append(threshold)
            figures = {how: {"fnir": float(np.mean(missed[how])), "threshold": float(np.mean(thresholds[how]))} for how in missed}
            rows.append({"people": name, "references": photos, "subjects": count, **figures})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def search(people: dict[str, People]) -> list[dict[str, Any]]:
    """Compare the FPIR of galleries, with its interval over people, with the one that is promised."""
    card, rows = load_encoder("pretrained").card, []
    for name in ("LFW, folds 1 and 2", "wild, reporting"):
        for count in (10, 100, 1000):
            everybody = int(people[name].labels.max()) + 1
            rule, events, trials = rule_for_fpir(card, 0.01, count), np.zeros(everybody), np.zeros(everybody)
            missed = list[float]()
            if np.count_nonzero(np.bincount(people[name].labels) > 1) < count:
                continue
            for seed in range(ROUNDS):
                references, probes, others = enrolled(people[name], count, 1, np.random.default_rng(seed))
                reaching = fused(others.embeddings, references, "template").max(axis=1) >= rule.rule.score
                own = fused(probes.embeddings, references, "template")
                missed.append(float(np.mean((own.argmax(axis=1) != probes.labels) | (own.max(axis=1) < rule.rule.score))))
                events[others.labels] += reaching
                trials[others.labels] += 1
            row = {"people": name, "subjects": count, "promised": rule.fpir, "promised_upper": rule.fpir_upper}
            row |= {"fpir": events.sum() / trials.sum(), "interval": people_interval(events, trials), "galleries": ROUNDS}
            rows.append({**row, "searches": int(trials.sum()), "fnir": float(np.mean(missed))})
            print(json.dumps(rows[-1]), flush=True)
    return rows


class Planted(NamedTuple):
    """A face that was put into a composed photo."""

    photo: str
    person: str
    known: bool
    size: float
    middle: tuple[float, float]


def compose(folder: Path, count: int, seed: int = 0) -> tuple[list[Planted], dict[str, list[bytes]]]:
    """Write group photos of the people of folds 1 and 2; return their faces, and the photos of the people who are enrolled."""
    rng = np.random.default_rng(seed)
    reported, of = test_people(), dict[str, list[Any]]()
    with open_photos(LFW) as files:
        for name, person in files.photos:
            if person in reported:
                of.setdefault(person, []).append(files.fetch(name))
    able = [person for person in rng.permutation(sorted(of)) if len(of[person]) >= 5][:30]
    others = [person for person in sorted(of) if person not in able]
    planted = []
    for number in range(count):
        faces, x, y, shelf = int(rng.integers(2, 31)), 0, 0, 0
        canvas = Image.new("RGB", (1280, 1600), tuple(int(value) for value in rng.integers(60, 200, 3)))
        known = list(rng.permutation(able)[: faces // 2])
        people = rng.permutation([*known, *rng.permutation(others)[: faces - len(known)]])
        for person in people:
            size = float(np.exp(rng.uniform(np.log(SIZES[0]), np.log(SIZES[-1]))))
            photos = of[person][3:] if person in able else of[person]
            tile = Image.open(io.BytesIO(photos[rng.integers(len(photos))])).convert("RGB").crop((40, 40, 210, 210))
            side = round(170 * size / LFW_FACE)
            if x + side > canvas.width:
                x, y, shelf = 0, y + shelf, 0
            if y + side > canvas.height:
                break
            canvas.paste(tile.resize((side, side), Image.Resampling.LANCZOS), (x, y))
            planted.append(Planted(f"{number:03d}.jpg", str(person), person in able, size, (x + side / 2, y + side / 2)))
            x, shelf = x + side, max(shelf, side)
        canvas.crop((0, 0, 1280, min(1600, y + shelf))).save(folder / f"{number:03d}.jpg", quality=92)
    return planted, {str(person): of[person][:3] for person in able}


class Named(NamedTuple):
    """A face that was found in a composed photo: its middle, the best subject and the score."""

    photo: str
    middle: tuple[float, float]
    subject: str | None
    score: float


def by_visavis(known: Path, photos: Path, workers: int | None) -> tuple[list[Named], float, float]:
    """Find people with visavis in so many processes, or one for each core: faces, seconds and the expected FPIR."""
    start = time.perf_counter()
    found = find_people(known, photos, settings=ReadingSettings(workers=workers))
    seconds = time.perf_counter() - start
    rows = [
        Named(face.photo, (face.box[0] + face.box[2] / 2, face.box[1] + face.box[3] / 2), face.subject, face.score or -1)
        for face in found.faces
        if face.box is not None
    ]
    return rows, seconds, found.known.rule.fpir if found.known.rule else float("nan")


def by_dlib(known: dict[str, list[bytes]], photos: Path) -> tuple[list[Named], float]:
    """Find people by the calls that face_recognition makes: HOG detector, five landmarks, network; the nearest reference names."""
    import dlib

    spec = importlib.util.find_spec("face_recognition_models")
    models = Path(str(spec and spec.origin)).parent / "models"
    detect, shape = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def faces(image: Image.Image) -> list[tuple[tuple[float, float], Floats]]:
        pixels = np.asarray(image.convert("RGB"))
        places = detect(pixels, 1)
        return [
            ((place.center().x, place.center().y), np.array(network.compute_face_descriptor(pixels, shape(pixels, place), 1)))
            for place in places
        ]

    start = time.perf_counter()
    names, vectors = [], []
    for person, files in known.items():
        for file in files:
            found = faces(Image.open(io.BytesIO(file)))
            if found:
                names.append(person)
                vectors.append(min(found, key=lambda face: abs(face[0][0] - 125) + abs(face[0][1] - 125))[1])
    references, rows = np.stack(vectors), list[Named]()
    for photo in sorted(photos.glob("*.jpg")):
        for middle, vector in faces(Image.open(photo)):
            distances = np.linalg.norm(references - vector, axis=1)
            rows.append(Named(photo.name, middle, names[int(distances.argmin())], -float(distances.min())))
    return rows, time.perf_counter() - start


def match(planted: list[Planted], found: list[Named]) -> list[Named | None]:
    """Return the found face of each planted one: the nearest in its photo, within half of its size."""
    by_photo: dict[str, list[Named]] = {}
    for face in found:
        by_photo.setdefault(face.photo, []).append(face)
    matched: list[Named | None] = []
    for face in planted:
        near = [(float(np.hypot(*np.subtract(one.middle, face.middle))), one) for one in by_photo.get(face.photo, [])]
        distance, best = min(near, key=lambda pair: pair[0], default=(np.inf, None))
        matched.append(best if distance < face.size / 2 else None)
    return matched


def rates(planted: list[Planted], matched: list[Named | None], names: list[str | None]) -> dict[str, Any]:
    """Return the share of faces that were detected and got the right name, or rightly none, by size; and the FPIR."""
    right = np.array(
        [
            one is not None and name == (face.person if face.known else None)
            for face, one, name in zip(planted, matched, names, strict=True)
        ]
    )
    _, people = np.unique([face.person for face in planted], return_inverse=True)
    sizes = np.array([face.size for face in planted])
    rows = {}
    for low, high in [(SIZES[0], SIZES[-1]), *zip(SIZES[:-1], SIZES[1:], strict=True)]:
        inside = (sizes >= low) & (sizes <= high)
        events, trials = np.bincount(people[inside], weights=right[inside]), np.bincount(people[inside])
        rows[f"{low} to {high}"] = {
            "right": float(right[inside].mean()),
            "interval": people_interval(events, trials),
            "faces": int(inside.sum()),
            "detected": float(np.mean([one is not None for one, chosen in zip(matched, inside, strict=True) if chosen])),
        }
    unknown = [
        name is not None for face, one, name in zip(planted, matched, names, strict=True) if not face.known and one is not None
    ]
    return {"sizes": rows, "fpir": float(np.mean(unknown)), "unknown_faces": len(unknown)}


def groups(photos: int) -> dict[str, Any]:
    """Measure group photos, visavis and dlib on the same ones."""
    with tempfile.TemporaryDirectory() as name:
        folder, known = Path(name, "photos"), Path(name, "known")
        folder.mkdir()
        planted, references = compose(folder, photos)
        for person, files in references.items():
            (known / person).mkdir(parents=True)
            for number, file in enumerate(files):
                (known / person / f"{number}.jpg").write_bytes(file)
        ours, seconds, promised = by_visavis(known, folder, 1)
        _, parallel_seconds, _ = by_visavis(known, folder, None)
        theirs, their_seconds = by_dlib(references, folder)
    matched = match(planted, ours)
    figures = rates(planted, matched, [one and one.subject for one in matched])
    others = match(planted, theirs)
    unknown = sorted((one.score for face, one in zip(planted, others, strict=True) if one and not face.known), reverse=True)
    threshold = unknown[min(len(unknown) - 1, int(figures["fpir"] * len(unknown)))]
    equal = rates(planted, others, [one.subject if one and one.score > threshold else None for one in others])
    usual = rates(planted, others, [one.subject if one and one.score >= -0.6 else None for one in others])
    result = {
        "photos": photos,
        "faces": len(planted),
        "promised_fpir": promised,
        "visavis": {**figures, "seconds": seconds, "parallel_seconds": parallel_seconds},
        "face_recognition's calls, equal FPIR": {**equal, "seconds": their_seconds},
        "face_recognition's calls, its tolerance": usual,
    }
    print(json.dumps(result), flush=True)
    return result


def agreement(groups: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return pairwise precision and recall, and B-cubed F (Bagga and Baldwin, 1998); a negative group is one face alone."""
    alone = groups < 0
    groups = np.where(alone, groups.max(initial=0) + 1 + np.arange(len(groups)), groups)
    pairs = np.stack([groups, labels], axis=1)
    _, cell, cells = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    sizes = [np.unique(values, return_inverse=True, return_counts=True)[1:] for values in (groups, labels)]
    together = (cells * (cells - 1)).sum()
    formed, true = ((counts * (counts - 1)).sum() for _, counts in sizes)
    overlap = cells[cell.ravel()]
    precision, recall = (float(np.mean(overlap / counts[places])) for places, counts in sizes)
    return {
        "precision": float(together / formed) if formed else 1.0,
        "recall": float(together / true) if true else 1.0,
        "b_cubed_f": 2 * precision * recall / (precision + recall),
    }


def as_faces(people: People) -> AlbumFaces:
    """Return faces of good quality, each in a photo of its own."""
    rows = [[f"{place}", 1, [0, 0, 90, 120], 1.0, 45.0, 500.0, []] for place in range(len(people.labels))]
    return AlbumFaces.of(rows, list(people.embeddings), thumbnails=[b""] * len(rows), failures=[], intake=Intake("", len(rows), 0))


def whispers(similar: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Cluster by dlib's Chinese whispers (Biemann, 2006)."""
    import dlib

    edges = [(int(first), int(second)) for first, second in np.argwhere(np.triu(similar))]
    return np.array(dlib.chinese_whispers(edges), dtype=np.int64)


def best_recall(candidates: list[npt.NDArray[np.int64]], labels: npt.NDArray[np.int64]) -> float:
    """Return the best recall of several clusterings at precision 0.98 or more."""
    found = [agreement(candidate, labels) for candidate in candidates]
    return max((one["recall"] for one in found if one["precision"] >= 0.98), default=0.0)


def compared(people: People) -> dict[str, float]:
    """Return the best recall at precision 0.98 of each way of clustering, over its settings."""
    embeddings, labels = people
    tree = build_tree(embeddings, least=0.1)
    cosines = np.clip(embeddings @ embeddings.T, -1, 1)
    levels = np.arange(0.2, 0.7, 0.02)
    distances = np.maximum(0, 1 - cosines).astype(np.float64)
    density = [DBSCAN(eps=1 - level, min_samples=1, metric="precomputed").fit_predict(distances) for level in levels]
    hierarchical = [
        HDBSCAN(
            min_cluster_size=2, min_samples=samples, cluster_selection_method=method, metric="precomputed", copy=True
        ).fit_predict(distances)
        for samples in (1, 2, 3)
        for method in ("eom", "leaf")
    ]
    return {
        "visavis": best_recall([tree.cut(level) for level in levels], labels),
        "DBSCAN": best_recall(density, labels),
        "HDBSCAN": best_recall(hierarchical, labels),
        "Chinese whispers": best_recall([whispers(cosines >= level) for level in levels], labels),
    }


def some(people: People, count: int, rng: np.random.Generator, *, least: int = 2, singles: int | None = None) -> People:
    """Return people with at least some photos, and single photos of as many others."""
    embeddings, labels = people
    chosen = rng.permutation(np.flatnonzero(np.bincount(labels) >= least))[:count]
    rows = np.flatnonzero(np.isin(labels, chosen))
    others = rng.permutation(np.flatnonzero(~np.isin(labels, chosen)))
    _, first = np.unique(labels[others], return_index=True)
    rest = rng.permutation(others[first])[: len(rows) if singles is None else singles]
    places = rng.permutation(np.concatenate([rows, rest]))
    return People(embeddings[places], labels[places])


def clusters(people: dict[str, People]) -> list[dict[str, Any]]:
    """Measure the clustering of reported people."""
    card, rng, rows = load_encoder("pretrained").card, np.random.default_rng(0), []
    albums = {"LFW, folds 1 and 2": some(people["LFW, folds 1 and 2"], 10**6, rng, least=4)}
    albums |= {f"wild, {count} people": some(people["wild, reporting"], count, rng, singles=0) for count in (25, 100, 1000)}
    for name, album in albums.items():
        start = time.perf_counter()
        found = group_faces(as_faces(album), card)
        seconds = time.perf_counter() - start
        low, high = found.cut.interval
        wrong = sum(len(np.unique(album.labels[found.groups == group])) - 1 for group in np.unique(found.groups[found.groups >= 0]))
        row = {"album": name, "faces": len(album.labels), "people": len(np.unique(album.labels)), "seconds": seconds}
        row |= {**agreement(found.groups, album.labels), "unsure": found.unsure, "wrong_merges": wrong}
        row |= {"expected": found.cut.wrong_merges, "interval": [low, high], "recall at 0.98": compared(album)}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def coverage(people: dict[str, People], albums: int = 200) -> dict[str, Any]:
    """Count the random albums whose number of wrong merges is in the interval that was stated."""
    card, rng = load_encoder("pretrained").card, np.random.default_rng(0)
    inside, wrong_of, expected_of = [], [], []
    for number in range(albums):
        source = people[("LFW, folds 1 and 2", "wild, reporting")[number % 2]]
        count = int(rng.choice([10, 25, 50, 100, 200]))
        album = some(source, count, rng, singles=int(rng.integers(0, 2 * count)))
        tree = build_tree(album.embeddings, least=0.1)
        cut = choose_cut(tree, MergeModel.fit(card, album.embeddings).wrong_merges(tree), precision=PRECISION)
        groups = tree.cut(cut.similarity)
        wrong = sum(len(np.unique(album.labels[groups == group])) - 1 for group in np.unique(groups))
        inside.append(cut.interval[0] <= wrong <= cut.interval[1])
        wrong_of.append(wrong)
        expected_of.append(cut.wrong_merges)
    result = {"albums": albums, "inside": int(sum(inside)), "wrong": int(sum(wrong_of)), "expected": float(sum(expected_of))}
    print(json.dumps(result), flush=True)
    return result


def main() -> None:
    """Run the parts and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = ["fusion", "search", "groups", "clusters", "coverage"]
    parser.add_argument("--parts", nargs="+", choices=everything, default=everything)
    parser.add_argument("--photos", type=int, default=60, help="group photos; default 60")
    arguments = parser.parse_args()
    path = RESULTS / "albums.json"
    figures = json.loads(path.read_text()).get("figures", {}) if path.is_file() else {}
    people = sides() if set(arguments.parts) - {"groups"} else {}
    measured = {"fusion": fusion, "search": search, "clusters": clusters, "coverage": coverage}
    for part in arguments.parts:
        figures[part] = groups(arguments.photos) if part == "groups" else measured[part](people)
        write_result("albums", {"figures": figures})


if __name__ == "__main__":
    main()
