"""Audit a data set: near-duplicates, blurred and small faces, doubtful labels, and leaks towards another data set."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data import DatasetSummary, FaceDataset
from visavis.data.doubtful_labels import find_alike_people, find_doubtful_labels
from visavis.data.intake import PASSED_OVER, Intake, PassedOver
from visavis.data.names import UNNAMED
from visavis.data.preparation import FAILURES, TABLE
from visavis.errors import DataError
from visavis.faces.alignment import BLURRED, SMALL, sharpness
from visavis.files import write_csv
from visavis.images import resize_image, to_gray
from visavis.wording import counted

__all__ = ["KINDS", "Audit", "Finding", "audit_dataset", "near_duplicates", "perceptual_hashes", "write_fix_list"]

Indices = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint16]

_SIDE = 16
_BANDS = _SIDE * _SIDE // 16
MOST_BITS = _BANDS - 1
_CHUNK = 2048


@dataclass(frozen=True)
class Finding:
    """A possible fault.

    Attributes:
        kind: A key of `KINDS`.
        photos: Indices of the photos that show it.
        text: A description with the names of the photos.
        drop: The index of the photo to drop; None: a person has to decide.
    """

    kind: str
    photos: tuple[int, ...]
    text: str
    drop: int | None = None


KINDS = {
    "leak": "One photo here and in the other data set",
    "across": "One photo under two names",
    "within": "Nearly the same photo twice",
    "alike": "Two names, perhaps one person",
    "mislabelled": "A photo that is more like another person than like the others of its name",
    "blurred": "Blurred faces",
    "small": "Small faces",
}


@dataclass(frozen=True, repr=False)
class Audit:
    """The findings of `audit_dataset`.

    Attributes:
        summary: The size of the data set.
        photos_per_person: Number of people by their number of photos, `{photos: people}`.
        failures: Photos without a face when the data set was prepared, with the reasons.
        findings: Possible faults, by kind in the order of `KINDS`.
        passed_over: Files that were passed over when the data set was read or prepared, with the reasons.
    """

    summary: DatasetSummary
    photos_per_person: dict[int, int]
    failures: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    def of_kind(self, kind: str) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """Return the audit as JSON-serialisable values."""
        return {
            "photos": self.summary.photos,
            "people": self.summary.people,
            "single_photo_people": self.summary.single_photo_people,
            "photos_per_person": {str(photos): people for photos, people in self.photos_per_person.items()},
            "failures": [{"source": source, "reason": reason} for source, reason in self.failures],
            "passed_over": [file._asdict() for file in self.passed_over],
            "findings": {kind: [finding.text for finding in self.of_kind(kind)] for kind in KINDS},
        }

    def __str__(self) -> str:
        """Return a summary, one line for each kind of finding."""
        lines = [str(self.summary)]
        if self.passed_over:
            lines.append(Intake("", self.summary.photos, self.summary.people, self.passed_over).describe_passed_over())
        if self.failures:
            lines.append(f"{counted(len(self.failures), 'photo')} had no usable face when the data was prepared")
        lines += [f"{KINDS[kind]}: {len(found):,}" for kind in KINDS if (found := self.of_kind(kind))]
        return "\n".join(lines if self.findings else [*lines, "no findings"])

    def __repr__(self) -> str:
        """Return the counts in short."""
        counts = {kind: len(found) for kind in KINDS if (found := self.of_kind(kind))}
        return f"Audit({counted(self.summary.photos, 'photo')} of {counted(self.summary.people, 'person')}, findings={counts})"


def audit_dataset(
    dataset: FaceDataset,
    *,
    folder: Path | None = None,
    other: FaceDataset | None = None,
    embeddings: npt.NDArray[np.float32] | None = None,
    threshold: float = 0.5,
) -> Audit:
    """Check a data set for duplicates, poor faces, doubtful labels and leaks.

    Args:
        dataset: The faces.
        folder: Where `visavis prepare` wrote them, for the size of faces and the photos without one.
        other: Another data set, such as the test people, that must share no photo with this one.
        embeddings: `(n, d)`, rows of unit length: the embeddings of a model, to find doubtful labels.
        threshold: The model's decision threshold, the minimum score at which two people's means are reported.

    Raises:
        ValueError: If there are not as many embeddings as photos.
    """
    if embeddings is not None and len(embeddings) != len(dataset):
        raise ValueError(f"embeddings must be as many as photos, got {len(embeddings)} for {counted(len(dataset), 'photo')}")
    hashes = perceptual_hashes(dataset)
    findings = [] if other is None else list(_leaks(dataset, hashes, other))
    findings += _duplicates(dataset, hashes)
    if embeddings is not None:
        findings += _doubtful_labels(dataset, embeddings, threshold)
    findings += _poor_faces(dataset, folder)
    counts, people = np.unique(dataset.photos_per_person, return_counts=True)
    order = list(KINDS)
    prepared = (PassedOver(row["name"], row["kind"], row["reason"]) for row in _rows(folder, PASSED_OVER))  # type: ignore[arg-type]
    return Audit(
        summary=dataset.summary(),
        photos_per_person={int(count): int(many) for count, many in zip(counts, people, strict=True)},
        failures=tuple((row["source"], row["reason"]) for row in _rows(folder, FAILURES)),
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.kind))),
        passed_over=tuple(prepared) if dataset.intake is None else dataset.intake.passed_over,
    )


def perceptual_hashes(dataset: FaceDataset) -> Hashes:
    """Compute a perceptual hash of each photo: 256 bits, whether each of 16 x 16 places is brighter than its neighbour.

    This is the dHash of Krawetz (2013).

    Returns:
        `(n, 16)` uint16. Photos that differ in coding, size or a little in light differ in a few bits, others in about 100.
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
        first: `(n, 16)` uint16, as `perceptual_hashes` returns them.
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
        text = f"{dataset.sources[here]} is the same photo as, or nearly, {other.sources[there]} of the other data set"
        yield Finding("leak", (here,), text, drop=here)


def _duplicates(dataset: FaceDataset, hashes: Hashes) -> Iterator[Finding]:
    for first, second in near_duplicates(hashes).tolist():
        one_person = dataset.labels[first] == dataset.labels[second]
        text = f"{dataset.sources[first]} and {dataset.sources[second]}"
        yield Finding("within" if one_person else "across", (first, second), text, drop=second if one_person else None)


def _doubtful_labels(dataset: FaceDataset, embeddings: npt.NDArray[np.float32], threshold: float) -> Iterator[Finding]:
    """Yield pairs of people with similar means, and photos that are nearer to another person's mean than to their own."""
    people, named = dataset.people, np.array([name != UNNAMED for name in dataset.people])
    rows = np.flatnonzero(named[dataset.labels])
    if not len(rows):
        return
    present, labels = np.unique(dataset.labels[rows], return_inverse=True)
    first_of = {int(label): int(rows[index]) for index, label in reversed(list(enumerate(labels.tolist())))}
    alike = find_alike_people(embeddings[rows], labels, threshold=threshold)
    for (first, second), score in zip(alike.pairs.tolist(), alike.scores, strict=True):
        text = f"{people[present[first]]} and {people[present[second]]} (score {score:.2f})"
        yield Finding("alike", (first_of[first], first_of[second]), text)
    doubtful = find_doubtful_labels(embeddings[rows], labels)
    columns = (doubtful.photos.tolist(), doubtful.own_scores, doubtful.people.tolist(), doubtful.scores)
    for index, own, person, score in zip(*columns, strict=True):
        photo = int(rows[index])
        text = (
            f"{dataset.sources[photo]} is more like {people[present[person]]} (score {score:.2f}) "
            f"than like the others of {people[dataset.labels[photo]]} ({own:.2f})"
        )
        yield Finding("mislabelled", (photo, first_of[person]), text)


def _poor_faces(dataset: FaceDataset, folder: Path | None) -> Iterator[Finding]:
    """Yield blurred and small faces, by the table of `visavis prepare` where there is one: it measured crops at full size."""
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
    """Write a CSV of the photos to consider dropping, with the reason of each.

    Returns:
        The number of photos.

    Raises:
        DataError: If the file cannot be written.
    """
    reasons: dict[int, str] = {}
    for finding in audit.findings:
        if finding.drop is not None:
            reasons.setdefault(finding.drop, f"{KINDS[finding.kind]}: {finding.text}")
    try:
        rows = [(dataset.sources[at], dataset.people[dataset.labels[at]], reason) for at, reason in sorted(reasons.items())]
        write_csv(path, ("source", "person", "reason"), rows, private=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
    return len(reasons)
