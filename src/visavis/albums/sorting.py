"""Sort the faces of unlabelled photos by person, with a stated expected precision."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.albums.clustering import Tree, build_tree
from visavis.albums.faces import AlbumFaces
from visavis.albums.joining import Joined, join_poor_faces
from visavis.albums.naming import Names, read_names
from visavis.albums.probabilities import Cut, MergeModel, choose_cut, wrong_merge_interval
from visavis.albums.reading import ReadingSettings
from visavis.albums.source import AlbumSource
from visavis.albums.tables import album_faces
from visavis.data.folders import check_outside
from visavis.encoders import load_encoder
from visavis.encoders.card import Card
from visavis.errors import ModelError
from visavis.faces.alignment import BLURRED, SMALL
from visavis.files import check_path, make_private_folder, write_csv
from visavis.wording import counted

__all__ = ["FACES", "NAMES", "PRECISION", "Album", "group_faces", "sort_photos"]

PRECISION = 0.99
"""The expected share of pairs of faces within groups that are of one person, unless another one is given."""
_PERHAPS = 0.1  # probability of belonging to a group from which a face that stays alone is not sure
_LEAST = 0.1  # similarity below which no merge is considered
FACES, NAMES, _WORK = "faces.csv", "names.csv", ".faces"


@dataclass(frozen=True, eq=False, repr=False)
class Album:
    """Faces sorted by person.

    Attributes:
        faces: All faces.
        groups: `(n,)`, the person of each face: 0 is the one with most faces; -1: not sure.
        names: The name of each face's person; None: not named.
        nearest: `(n,)`, for a face that is not sure, the person that it may be, or -1.
        cut: Where groups end, and how many of them are expected to be wrong.
        precision: The precision that was asked for.
        given: The names that were given to faces, and those that are not to be sorted.
    """

    faces: AlbumFaces
    groups: npt.NDArray[np.int64]
    names: tuple[str | None, ...]
    nearest: npt.NDArray[np.int64]
    cut: Cut
    precision: float
    given: Names = field(default_factory=Names)

    @property
    def unsure(self) -> int:
        """Number of faces in the "not sure" pile."""
        return int((self.groups < 0).sum()) - self.rejected

    @property
    def rejected(self) -> int:
        """Number of faces that are not to be sorted."""
        return sum(key in self.given.rejected for key in self.faces.keys) if self.given.rejected else 0

    @property
    def people(self) -> tuple[int, int]:
        """Number of people with two faces or more, and of those seen once."""
        sizes = np.bincount(self.groups[self.groups >= 0])
        return int((sizes > 1).sum()), int((sizes == 1).sum())

    def describe(self) -> list[str]:
        """Return the summary, a line each: counts, how many groups are expected to be wrong, and what was not read."""
        several, once = self.people
        low, high = self.cut.interval
        lines = [
            f"{counted(len(self.faces), 'face')}, {counted(several, 'person')}, {once:,} more seen once, {self.unsure:,} unsure; "
            f"expected wrong merges: {self.cut.wrong_merges:.1f} (95 %: {low:.0f} to {high:.0f})",
            f"expected share of pairs of a person's faces that are right: {self.cut.precision:.3f} (asked for: {self.precision:g})",
        ]
        named = len({name for name in self.names if name is not None})
        lines += [f"named: {counted(named, 'person')}"] if named else []
        lines += [f"not in the album: {counted(self.rejected, 'face')}"] if self.rejected else []
        return [*lines, *self.faces.describe_rest()]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        several, once = self.people
        return {
            "faces": [
                {
                    "face": key,
                    "person": int(group) if group >= 0 else None,
                    "name": name,
                    "perhaps": int(near) if near >= 0 else None,
                }
                for key, group, name, near in zip(self.faces.keys, self.groups, self.names, self.nearest, strict=True)
            ],
            "people": several,
            "seen_once": once,
            "unsure": self.unsure,
            "wrong_merges": self.cut.wrong_merges,
            "wrong_merges_interval": list(self.cut.interval),
            "precision": self.cut.precision,
            "similarity": self.cut.similarity,
            "failures": [failure._asdict() for failure in self.faces.failures],
            "intake": self.faces.intake.to_json(),
        }

    def write_csv(self, path: Path) -> None:
        """Write a row for each face."""
        columns = ("face", "photo", "person", "name", "perhaps", "left", "top", "width", "height", "detector_score", "warnings")
        faces, keys = self.faces, self.faces.keys
        rows = (
            [
                keys[place],
                faces.photos[place],
                "" if self.groups[place] < 0 else int(self.groups[place]),
                self.names[place] or "",
                "" if self.nearest[place] < 0 else int(self.nearest[place]),
                *(round(float(value), 1) for value in faces.boxes[place]),
                round(float(faces.scores[place]), 4),
                "; ".join(faces.warnings[place]),
            ]
            for place in range(len(faces))
        )
        write_csv(path, columns, rows, private=True)

    def __repr__(self) -> str:
        """Return the counts in short."""
        return f"Album(faces={len(self.faces)}, people={self.people[0]}, unsure={self.unsure})"


def sort_photos(
    photos: Path | str,
    out: Path | str,
    *,
    settings: ReadingSettings | None = None,
    precision: float = PRECISION,
    names: Path | str | None = None,
) -> Album:
    """Sort the faces of unlabelled photos by person.

    Args:
        photos: A folder of photos at any depth, or a `.tar` or `.zip` of one; or a table of all their faces, which
            `scale.embed_photos` wrote with the same encoder.
        out: The folder of the album, outside of that of the photos. It keeps the faces, so that an interrupted call is resumed and
            new photos are read alone, and the names that were given.
        settings: How photos become faces; None: with the bundled encoder.
        precision: The expected share of pairs of faces within groups that are of one person; default 0.99. Higher: fewer faces of
            others in a group, and more groups for one person.
        names: A CSV of faces and names, see `read_names`, which adds to the names that the album keeps; None: none. Faces of one
            name stay together, faces of different names apart.

    Raises:
        DataError: If there are no photos, if `out` was begun with another encoder, or if the names cannot be read; if a table is
            damaged or of another encoder.
        ModelError: If the card of the model has no histogram.
        ValueError: If `precision` is out of range.

    Example:
        How many people are in a folder? ::

            visavis.sort_photos("party/", "album/").people
    """
    settings, folder = replace(settings or ReadingSettings(), thumbnails=True, videos=False), check_path(out)
    check_outside(photos, folder)
    encoder = load_encoder(settings.model)
    if encoder.card.histogram is None:
        raise ModelError("the model records no distribution of scores. Measure one: visavis calibrate MODEL DATA --out NEW")
    make_private_folder(folder)
    given = read_names(folder / NAMES) if (folder / NAMES).is_file() else Names()
    if names is not None:
        given = given.updated(read_names(Path(names)))
    faces = album_faces(photos, folder / _WORK, settings, encoder=encoder)
    album = group_faces(faces, encoder.card, precision=precision, names=given)
    if names is not None:
        given.write(folder / NAMES)
    album.write_csv(folder / FACES)
    AlbumSource.of(photos, precision, settings).write(folder)
    return album


def group_faces(faces: AlbumFaces, card: Card, *, precision: float = PRECISION, names: Names | None = None) -> Album:
    """Group faces by person.

    Two faces of one photo are two people. Faces that are too small or too blurred do not found groups; they join those that they
    are like, or else are in the "not sure" pile, as is any face that stays alone although it may well belong to a group.

    Args:
        faces: The faces.
        card: The card of the encoder that embedded them.
        precision: The expected share of pairs within groups that are of one person.
        names: Faces that were named or rejected; None: none.

    Raises:
        ModelError: If the card has no histogram.
        ValueError: If `precision` is out of range.
    """
    names = names or Names()
    good, poor = _good_and_poor(faces, names)
    every = faces.keys
    keys, photos = [every[place] for place in good], [faces.photos[place] for place in good]
    named = names.groups(keys)
    apart = [*_same_photo(photos), [group[0] for group in named.values()]]
    embeddings = faces.embeddings[good]
    model = MergeModel.fit(card, embeddings)
    tree = build_tree(embeddings, weights=faces.weights[good], apart=apart, together=named.values(), least=_LEAST)
    wrong = model.wrong_merges(tree)
    wrong[: sum(len(group) - 1 for group in named.values())] = 0  # what was named is taken for right
    cut = choose_cut(tree, wrong, precision=precision)
    found = tree.cut(cut.similarity)
    joined = _join(faces, poor, good, found, model, cut)
    groups, nearest = np.full(len(faces), -1, dtype=np.int64), np.full(len(faces), -1, dtype=np.int64)
    groups[good], groups[poor], nearest[poor] = found, joined.groups, joined.perhaps
    sizes = np.bincount(groups[groups >= 0], minlength=len(found) + 1)
    for local, group in _perhaps(tree, wrong, cut, found).items():
        if sizes[found[local]] == 1 and keys[local] not in names.people:
            groups[good[local]], nearest[good[local]] = -1, group
    number = cut.wrong_merges + joined.wrong
    cut = replace(cut, wrong_merges=number, interval=wrong_merge_interval(number))
    groups, nearest = _by_size(groups, nearest)
    return Album(faces, groups, _labels(groups, faces, names), nearest, cut, precision, names)


def _good_and_poor(faces: AlbumFaces, names: Names) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the faces that can found a group, and those that are too small or blurred for that; rejected ones are in neither."""
    taken = np.array([key not in names.rejected for key in faces.keys], dtype=bool)
    named = np.array([key in names.people for key in faces.keys], dtype=bool)
    poor = ((faces.eye_distances < SMALL) | (faces.sharpness < BLURRED)) & ~named
    return np.flatnonzero(taken & ~poor), np.flatnonzero(taken & poor)


def _join(
    faces: AlbumFaces,
    poor: npt.NDArray[np.int64],
    good: npt.NDArray[np.int64],
    found: npt.NDArray[np.int64],
    model: MergeModel,
    cut: Cut,
) -> Joined:
    """Let poor faces join the groups of good ones."""
    count = int(found.max(initial=-1)) + 1
    sums, worth = np.zeros((count, faces.embeddings.shape[1]), dtype=np.float32), faces.weights[good]
    np.add.at(sums, found, faces.embeddings[good] * worth[:, None])
    means = sums / np.maximum(1e-6, np.bincount(found, weights=worth, minlength=count))[:, None]
    taken = {(int(group), faces.photos[place]) for group, place in zip(found, good, strict=True)}
    photos = [faces.photos[place] for place in poor]
    return join_poor_faces(faces.embeddings[poor], photos, means.astype(np.float32), taken, model, least=cut.similarity)


def _same_photo(photos: Sequence[str]) -> list[list[int]]:
    """Return the faces of each photo that has several."""
    numbered = groupby(range(len(photos)), key=lambda place: photos[place])
    return [some for some in (list(places) for _, places in numbered) if len(some) > 1]


def _perhaps(tree: Tree, wrong: npt.NDArray[np.float64], cut: Cut, groups: npt.NDArray[np.int64]) -> dict[int, int]:
    """Return the single faces that may well belong to a group that was not merged with them, and that group."""
    found: dict[int, int] = {}
    members = list(range(tree.faces)) + [0] * len(tree.merges)
    for number, merge in enumerate(tree.merges):
        members[tree.faces + number] = members[merge.second] if merge.sizes[0] == 1 else members[merge.first]
        if merge.similarity >= cut.similarity or 1 - wrong[number] < _PERHAPS:
            continue
        for single, other in ((merge.first, merge.second), (merge.second, merge.first)):
            if single < tree.faces:
                found[single] = int(groups[members[other]])
    return found


def _by_size(groups: npt.NDArray[np.int64], nearest: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number groups by their size, largest first, and by their first face among equal ones."""
    numbers, first, counts = np.unique(groups[groups >= 0], return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    renumbered = np.full(max(int(groups.max(initial=-1)), int(nearest.max(initial=-1))) + 2, -1, dtype=np.int64)
    renumbered[numbers[order]] = np.arange(len(numbers))
    return renumbered[groups], renumbered[nearest]  # -1 is the last entry, which is -1


def _labels(groups: npt.NDArray[np.int64], faces: AlbumFaces, names: Names) -> tuple[str | None, ...]:
    """Return the name of each face: that of its group."""
    of_group = {
        int(group): names.people[key] for group, key in zip(groups, faces.keys, strict=True) if group >= 0 and key in names.people
    }
    return tuple(of_group.get(int(group)) if group >= 0 else None for group in groups)
