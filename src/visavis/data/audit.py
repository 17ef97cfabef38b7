"""What is in a data set: near-duplicates, blurred and small faces, doubtful names, and leaks towards another."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data import DatasetSummary, FaceDataset
from visavis.data.preparation import FAILURES, TABLE
from visavis.errors import DataError
from visavis.faces.alignment import BLURRED, SMALL, sharpness
from visavis.files import write_csv
from visavis.images import resize_image, to_gray

__all__ = ["KINDS", "Audit", "Finding", "audit_dataset", "near_duplicates", "perceptual_hashes", "write_fix_list"]

Indices = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint16]

_SIDE = 16
_BANDS = _SIDE * _SIDE // 16
MOST_BITS = _BANDS - 1
_CHUNK = 2048


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes:
        kind: Of what sort: a key of `KINDS`.
        photos: Indices of the photos that show it.
        told: It in words, with the names of the photos.
        drop: The index of the photo that may be left out; None: that is for a person to decide.
    """

    kind: str
    photos: tuple[int, ...]
    told: str
    drop: int | None = None


KINDS = {
    "leak": "One photo here and in the other data set",
    "across": "One photo under two names",
    "within": "Nearly the same photo twice",
    "alike": "Two names, perhaps one person",
    "stranger": "A photo that does not look like the others of that name",
    "blurred": "Blurred faces",
    "small": "Small faces",
}


@dataclass(frozen=True)
class Audit:
    """What was found in a data set.

    Attributes:
        summary: The data set in numbers.
        photos_per_person: How many people have how many photos, `{photos: people}`.
        failures: Photos that gave no face when the data set was prepared, with the reasons.
        findings: Things to look at, by kind in the order of `KINDS`.
    """

    summary: DatasetSummary
    photos_per_person: dict[int, int]
    failures: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()

    def of_kind(self, kind: str) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "photos": self.summary.photos,
            "people": self.summary.people,
            "single_photo_people": self.summary.single_photo_people,
            "photos_per_person": {str(photos): people for photos, people in self.photos_per_person.items()},
            "failures": [{"source": source, "reason": reason} for source, reason in self.failures],
            "findings": {kind: [finding.told for finding in self.of_kind(kind)] for kind in KINDS},
        }

    def __str__(self) -> str:
        """Say it in words."""
        lines = [str(self.summary)]
        if self.failures:
            lines.append(f"{len(self.failures):,} photos gave no face when the data was prepared")
        lines += [f"{KINDS[kind]}: {len(found):,}" for kind in KINDS if (found := self.of_kind(kind))]
        return "\n".join(lines if self.findings else [*lines, "nothing to look at"])


def audit_dataset(
    dataset: FaceDataset,
    *,
    folder: Path | None = None,
    other: FaceDataset | None = None,
    embeddings: npt.NDArray[np.float32] | None = None,
    threshold: float = 0.5,
) -> Audit:
    """Look through a data set.

    Args:
        dataset: The faces.
        folder: Where `visavis prepare` wrote them, for the size of faces and the photos that gave none.
        other: Another data set, such as the test people, that no photo may be shared with.
        embeddings: `(n, d)`, rows of unit length: the faces as a model sees them, to find doubtful names.
        threshold: The comparison score from which that model says "the same person".

    Raises:
        ValueError: If there are not as many embeddings as photos.
    """
    if embeddings is not None and len(embeddings) != len(dataset):
        raise ValueError(f"embeddings must be as many as photos. Received: {len(embeddings)} for {len(dataset)} photos")
    hashes = perceptual_hashes(dataset)
    findings = [] if other is None else list(_leaks(dataset, hashes, other))
    findings += _duplicates(dataset, hashes)
    if embeddings is not None:
        findings += _doubtful_names(dataset, embeddings, threshold)
    findings += _poor_faces(dataset, folder)
    counts, people = np.unique(dataset.photos_per_person, return_counts=True)
    order = list(KINDS)
    return Audit(
        summary=dataset.summary(),
        photos_per_person={int(count): int(many) for count, many in zip(counts, people, strict=True)},
        failures=tuple((row["source"], row["reason"]) for row in _rows(folder, FAILURES)),
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.kind))),
    )


def perceptual_hashes(dataset: FaceDataset) -> Hashes:
    """Hash what photos look like: 256 bits, whether each of 16 x 16 places is brighter than its neighbour (dHash; Krawetz, 2013).

    Returns:
        `(n, 16)` uint16. Photos that differ in coding, size or a little light differ in a few bits; different photos in about 100.
    """
    rows = []
    for start in range(0, len(dataset), _CHUNK):
        faces = dataset.gather(np.arange(start, min(start + _CHUNK, len(dataset))))
        gray = faces if faces.shape[3] == 1 else to_gray(faces)
        small = np.stack([resize_image(face, (_SIDE, _SIDE + 1))[:, :, 0] for face in gray])
        bits = np.packbits(small[:, :, 1:] > small[:, :, :-1], axis=None).reshape(len(faces), -1)
        rows.append(np.ascontiguousarray(bits).view(np.uint16))
    return np.concatenate(rows)


def near_duplicates(first: Hashes, second: Hashes | None = None) -> Indices:
    """Find all pairs whose hashes differ in 15 bits or fewer.

    Of 16 bands of 16 bits, 15 differences leave one untouched, so only photos that share a band are compared.

    Args:
        first: `(n, 16)` uint16, what `perceptual_hashes` gives.
        second: `(m, 16)` likewise, to find pairs between the two; None: pairs within `first`.

    Returns:
        `(k, 2)` int64, indices into `first` and `second`, sorted; within one set the smaller index stands first.
    """
    found = [np.zeros((0, 2), dtype=np.int64)]
    both = first if second is None else np.concatenate([first, second])
    for band in range(_BANDS):
        order = np.argsort(both[:, band], kind="stable")
        ends = np.flatnonzero(np.diff(both[order, band])) + 1
        for group in np.split(order, ends):
            if len(group) > 1:
                found += _close_pairs(both, group, None if second is None else len(first))
    pairs: Indices = np.unique(np.concatenate(found), axis=0)
    return pairs if second is None else pairs - np.array([0, len(first)])


def _close_pairs(hashes: Hashes, group: Indices, border: int | None) -> Iterator[Indices]:
    """Compare all photos that share a band; across the border between two sets if there is one."""
    group = np.sort(group)
    left, right = (group, group) if border is None else (group[group < border], group[group >= border])
    step = max(1, 4_000_000 // max(1, len(right)))
    for start in range(0, len(left), step):
        some = left[start : start + step]
        distances = np.bitwise_count(hashes[some][:, None] ^ hashes[right][None]).sum(axis=2, dtype=np.int64)
        rows, columns = np.nonzero(distances <= MOST_BITS)
        pairs = np.stack([some[rows], right[columns]], axis=1)
        yield pairs[pairs[:, 0] < pairs[:, 1]]


def _leaks(dataset: FaceDataset, hashes: Hashes, other: FaceDataset) -> Iterator[Finding]:
    for here, there in near_duplicates(hashes, perceptual_hashes(other)).tolist():
        told = f"{dataset.sources[here]} is, or is nearly, {other.sources[there]} of the other data set"
        yield Finding("leak", (here,), told, drop=here)


def _duplicates(dataset: FaceDataset, hashes: Hashes) -> Iterator[Finding]:
    for first, second in near_duplicates(hashes).tolist():
        one_person = dataset.labels[first] == dataset.labels[second]
        told = f"{dataset.sources[first]} and {dataset.sources[second]}"
        yield Finding("within" if one_person else "across", (first, second), told, drop=second if one_person else None)


def _doubtful_names(dataset: FaceDataset, embeddings: npt.NDArray[np.float32], threshold: float) -> Iterator[Finding]:
    """People whose mean faces are as alike as one person's photos, and photos that are unlike the rest of their person."""
    sums = np.zeros((len(dataset.people), embeddings.shape[1]), dtype=np.float32)
    np.add.at(sums, dataset.labels, embeddings)
    counts = dataset.photos_per_person
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    several = counts[dataset.labels] > 1
    others = sums[dataset.labels] - embeddings
    to_others = np.sum(embeddings * others, axis=1) / np.maximum(np.linalg.norm(others, axis=1), 1e-12)
    usual = float(np.median(to_others[several])) if several.any() else 1.0
    first_of = {int(label): index for index, label in reversed(list(enumerate(dataset.labels)))}
    for start in range(0, len(means), _CHUNK):
        scores = means[start : start + _CHUNK] @ means.T
        for row, column in zip(*np.nonzero(scores >= max(usual, threshold)), strict=True):
            first, second = int(start + row), int(column)
            if first < second:
                told = f"{dataset.people[first]} and {dataset.people[second]} (score {scores[row, column]:.2f})"
                yield Finding("alike", (first_of[first], first_of[second]), told)
    for index in np.flatnonzero((counts[dataset.labels] > 2) & (to_others < min(usual, threshold) - 0.1)).tolist():
        mates = np.flatnonzero(dataset.labels == dataset.labels[index])
        mate = int(mates[mates != index][0])
        told = f"{dataset.sources[index]} (score {to_others[index]:.2f} to the others of {dataset.people[dataset.labels[index]]})"
        yield Finding("stranger", (index, mate), told)


def _poor_faces(dataset: FaceDataset, folder: Path | None) -> Iterator[Finding]:
    """Blurred and small faces; by the table of `visavis prepare` where there is one, since it saw each crop at its full size."""
    measured = {row["source"]: row for row in _rows(folder, TABLE)}
    for index in range(len(dataset)):
        source = dataset.sources[index]
        row = measured.get(source, {})
        sharp = float(row["sharpness"]) if row else sharpness(dataset.gather([index])[0])
        if sharp < BLURRED:
            yield Finding("blurred", (index,), f"{source} (sharpness {sharp:.0f})", drop=index)
        if row.get("eye_distance") and float(row["eye_distance"]) < SMALL:
            yield Finding("small", (index,), f"{source} ({row['eye_distance']} pixels between the eyes)", drop=index)


def _rows(folder: Path | None, name: str) -> list[dict[str, str]]:
    if folder is None or not (folder / name).is_file():
        return []
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_fix_list(path: Path, audit: Audit, dataset: FaceDataset) -> int:
    """Write a CSV of the photos that may be left out, with the reason of each.

    Returns:
        How many there are.

    Raises:
        DataError: If the file cannot be written.
    """
    reasons: dict[int, str] = {}
    for finding in audit.findings:
        if finding.drop is not None:
            reasons.setdefault(finding.drop, f"{KINDS[finding.kind]}: {finding.told}")
    try:
        rows = [(dataset.sources[at], dataset.people[dataset.labels[at]], reason) for at, reason in sorted(reasons.items())]
        write_csv(path, ("source", "person", "reason"), rows)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
    return len(reasons)
