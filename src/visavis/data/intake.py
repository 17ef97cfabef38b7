"""The one place that decides which files are photos and whose they are, for folders, archives and object stores alike."""

import logging
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from visavis.data.names import UNNAMED, check_name, normalise_name, shown_name
from visavis.errors import DataError, check_numbers, check_option
from visavis.files import write_csv
from visavis.formats import READABLE, image_format, is_video
from visavis.images import Limits
from visavis.wording import counted

__all__ = [
    "PASSED_OVER",
    "Entry",
    "Intake",
    "IntakeRules",
    "PassedOver",
    "People",
    "Photo",
    "PhotoList",
    "is_system_entry",
    "report_intake",
    "sort_entries",
]

PASSED_OVER = "passed_over.csv"
_log = logging.getLogger(__name__)

People = Literal["required", "optional", "ignored"]
Kind = Literal["not an image", "system file", "unreadable", "no person", "bad name", "replaced"]

_COUNTED: dict[str, tuple[str, str]] = {
    "not an image": ("not an image", "not images"),
    "system file": ("system file", "system files"),
    "unreadable": ("unreadable", "unreadable"),
    "no person": ("in no person's folder", "in no person's folder"),
    "bad name": ("with an unusable name", "with unusable names"),
    "replaced": ("replaced by a later entry", "replaced by later entries"),
}
_SYSTEM_NAMES = frozenset(
    {
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@tmp",
        "__macosx",
        "desktop.ini",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "icon\r",
        "lost+found",
        "recycler",
        "system volume information",
        "thumbs.db",
    }
)
_FIRST = 10


class Entry(NamedTuple):
    """One file of a folder, an archive or an object store.

    Attributes:
        path: Its path below the root, parts separated by `/`; bytes that are not UTF-8 as surrogates.
        head: Its first bytes (`HEAD_BYTES`), empty where `problem` is set.
        problem: Why it cannot be taken, as kind and reason; None: nothing is known against it.
    """

    path: str
    head: bytes
    problem: tuple[Kind, str] | None = None


class Photo(NamedTuple):
    """One photo.

    Attributes:
        name: Its path below the root, as `shown_name` escapes it.
        person: Who is in it; `UNNAMED` where no folder says so.
    """

    name: str
    person: str


class PassedOver(NamedTuple):
    """One file that was not taken.

    Attributes:
        name: Its path below the root, as `shown_name` escapes it.
        kind: What it is counted as.
        reason: Why it was not taken.
    """

    name: str
    kind: Kind
    reason: str


@dataclass(frozen=True)
class IntakeRules:
    """How files become photos of people.

    Attributes:
        people: `"required"`: every photo needs a person's folder, and others are passed over; `"optional"`: others have no name;
            `"ignored"`: no photo has one.
        people_depth: Which folders are the people: 1 for those at the top, 2 for those below them, and so on. None: those at the
            top, below any single folder that holds no photo itself.
        limits: Of one file.
        listed_in: The CSV to write with the files that a reader of data sets passed over; None: none.
        videos: Whether videos are taken too; without it, they are passed over.

    Raises:
        ValueError: If `people_depth` is less than 1.
    """

    people: People = "required"
    people_depth: int | None = None
    limits: Limits = field(default_factory=Limits)
    listed_in: Path | None = None
    videos: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        check_numbers(self)
        check_option("people", self.people, People)
        if self.people_depth is not None and self.people_depth < 1:
            raise ValueError(f"people_depth must be at least 1, got {self.people_depth}")


@dataclass(frozen=True, repr=False)
class Intake:
    """What was read from a folder, an archive or an object store, and what was passed over.

    Attributes:
        root: The folder, archive or URI.
        photos: How many photos were read.
        people: How many people they show.
        passed_over: The files that were not read, with the reason of each. With the photos they are all files below the root.
        warnings: What is uncertain about the pixels of a photo: its name and a text; see `DecodedImage`.
    """

    root: str
    photos: int
    people: int
    passed_over: tuple[PassedOver, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> int:
        """How many files there were."""
        return self.photos + len(self.passed_over)

    @property
    def counts(self) -> dict[str, int]:
        """How many files were passed over, by kind."""
        return dict(Counter(file.kind for file in self.passed_over))

    def describe_passed_over(self, listed_in: Path | str | None = None) -> str:
        """Return the second half of the summary, such as "7 files passed over (3 not images, 4 system files)"."""
        counts = self.counts
        parts = [f"{counts[kind]:,} {labels[counts[kind] > 1]}" for kind, labels in _COUNTED.items() if kind in counts]
        listed = "" if listed_in is None else f", listed in {listed_in}"
        files = len(self.passed_over)
        return f"{counted(files, 'file')} passed over ({', '.join(parts)}){listed}" if files else "no file passed over"

    def describe(self) -> list[str]:
        """Return the summary of what was passed over and the first reasons, a line each; nothing if no file was."""
        return [self.describe_passed_over(), *(f"  {line}" for line in self.reasons())] if self.passed_over else []

    def reasons(self, first: int = _FIRST) -> list[str]:
        """Return a line for each of the first files that were passed over, system files last."""
        files = sorted(self.passed_over, key=lambda file: file.kind == "system file")
        lines = [f"{file.name}: {file.reason}" for file in files[:first]]
        return [*lines, f"... and {len(files) - first:,} more"] if len(files) > first else lines

    def write(self, path: Path) -> None:
        """Write the files that were passed over as a CSV with the columns name, kind and reason."""
        write_csv(path, PassedOver._fields, self.passed_over, private=True)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "files": self.files,
            "photos": self.photos,
            "people": self.people,
            "passed_over": [file._asdict() for file in self.passed_over],
            "warnings": [{"name": name, "warning": text} for name, text in self.warnings],
        }

    def describe_read(self) -> str:
        """Return the first half of the summary, such as "1,204 photos of 31 people"."""
        return f"{counted(self.photos, 'photo')} of {counted(self.people, 'person')}"

    def __str__(self) -> str:
        """Return a one-sentence summary."""
        return f"{self.describe_read()}; {self.describe_passed_over()}"

    def __repr__(self) -> str:
        """Return the counts in short."""
        return f"Intake({self.root!r}, photos={self.photos}, people={self.people}, passed_over={len(self.passed_over)})"


def report_intake(intake: Intake, rules: IntakeRules) -> None:
    """List what was passed over in the file that the rules name, and log it with the warnings, to standard error by default."""
    if rules.listed_in is not None:
        rules.listed_in.unlink(missing_ok=True)
    if intake.passed_over:
        if rules.listed_in is not None:
            intake.write(rules.listed_in)
        reasons = "" if rules.listed_in is not None else "".join(f"\n  {line}" for line in intake.reasons())
        if reasons and len(intake.passed_over) > _FIRST:
            reasons += f"; to list all: visavis inspect {shlex.quote(intake.root)} --json"
        _log.warning("%s: %s; %s%s", intake.root, intake.describe_read(), intake.describe_passed_over(rules.listed_in), reasons)
    if intake.warnings:
        name, text = intake.warnings[0]
        _log.warning("%s: %s with a warning, first %s: %s", intake.root, counted(len(intake.warnings), "photo"), name, text)


@dataclass(frozen=True, repr=False)
class PhotoList:
    """The photos among some files, and the other files.

    Attributes:
        photos: In natural order of people and names.
        paths: The path of each photo's entry, by the photo's name.
        passed_over: The other files, in order of their names.
        videos: The names of those among `photos` that are videos.
    """

    photos: list[Photo]
    paths: dict[str, str]
    passed_over: tuple[PassedOver, ...]
    videos: frozenset[str] = frozenset()

    def intake(self, root: str) -> Intake:
        """Return what was found below a root, and what was passed over."""
        people = {photo.person for photo in self.photos} - {UNNAMED}
        return Intake(root, len(self.photos), len(people), self.passed_over)

    def __repr__(self) -> str:
        """Return the counts in short."""
        return f"PhotoList(photos={len(self.photos)}, passed_over={len(self.passed_over)})"


def sort_entries(entries: Iterable[Entry], root: str, rules: IntakeRules) -> PhotoList:
    """Choose the photos among the files below a root, by their content, and find the person of each by the folders.

    Args:
        entries: The files.
        root: What to call the root in errors.
        rules: Whose photos they are.

    Raises:
        DataError: If there is no photo, or none of a person where people are required; if two folders in different branches have
            one person's name.
    """
    paths: dict[str, str] = {}
    passed_over: list[PassedOver] = []
    videos = set[str]()
    for entry in entries:
        name = shown_name(entry.path)
        if (problem := _problem_of(entry, name in paths, videos=rules.videos)) is None:
            paths[name] = entry.path
            if rules.videos and is_video(entry.head):
                videos.add(name)
        else:
            passed_over.append(PassedOver(name, *problem))
    photos: list[Photo] = []
    for name, person in _with_people(paths, root, rules):
        if isinstance(person, str):
            photos.append(Photo(name, person))
        else:
            passed_over.append(PassedOver(name, *person))
    if not photos:
        raise DataError(_nothing_found(root, len(paths), passed_over))
    photos.sort(key=lambda photo: (natural_order(photo.person), natural_order(photo.name)))
    others = sorted(passed_over, key=lambda file: natural_order(file.name))
    return PhotoList(photos, paths, tuple(others), frozenset(videos))


def is_system_entry(name: str) -> bool:
    """Return whether this is the name of a hidden file, or of one that a system, a network drive or a photo manager leaves."""
    return (name.startswith(".") and name != "..") or name.casefold() in _SYSTEM_NAMES


def natural_order(text: str) -> list[tuple[int, int | str]]:
    """Return a sort key that puts s2 before s10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.findall(r"[0-9]+|[^0-9]+", text)]


def _problem_of(entry: Entry, is_repeated: bool, *, videos: bool = False) -> tuple[Kind, str] | None:
    """Return why a file is no photo: kind and reason."""
    parts = entry.path.split("/")
    if system := next((part for part in parts if is_system_entry(part)), None):
        what = "a hidden or system file" if system == parts[-1] else f"in the system folder {shown_name(system)}"
        return "system file", what
    if entry.problem is not None:
        return entry.problem
    if is_repeated:
        return "bad name", "another file has this name once it is escaped"
    if not entry.head:
        return "unreadable", "the file is empty"
    found = image_format(entry.head)
    if found is None and is_video(entry.head):
        return None if videos else ("not an image", "a video, not a photo")
    if found is None:
        return "not an image", "not an image by its content"
    return None if found in READABLE else ("not an image", f"unsupported image format ({found})")


Person = str | tuple[Kind, str]


def _with_people(paths: dict[str, str], root: str, rules: IntakeRules) -> Iterator[tuple[str, Person]]:
    """Yield each photo's name with its person, or with the reason why it has none."""
    parts_of = {name: path.split("/") for name, path in paths.items()}
    if rules.people == "ignored":
        yield from ((name, UNNAMED) for name in parts_of)
        return
    depth = rules.people_depth or _depth_of_people(list(parts_of.values()))
    branches: dict[str, tuple[str, ...]] = {}
    for name, parts in parts_of.items():
        if len(parts) <= depth:
            loose: tuple[Kind, str] = ("no person", "lies in no person's folder")
            yield name, loose if rules.people == "required" else UNNAMED
            continue
        try:
            person = check_name(_readable(parts[depth - 1]))
        except ValueError as error:
            yield name, ("bad name", str(error))
            continue
        branch = tuple(map(normalise_name, parts[: depth - 1]))
        if branches.setdefault(person, branch) != branch:
            others = ["/".join(map(shown_name, (*parents, person))) for parents in (branches[person], branch)]
            raise DataError(f"{root}: two folders of one person's name: {others[0]} and {others[1]}. Rename one, or join them")
        yield name, person


def _depth_of_people(paths: Sequence[Sequence[str]]) -> int:
    """Return how deep the people's folders lie: at the top, below any single folder that holds no photo itself."""
    depth = 1
    while True:
        below = [parts for parts in paths if len(parts) > depth]
        folders = {parts[depth - 1] for parts in below}
        if len(folders) != 1 or any(len(parts) == depth + 1 for parts in below):
            return depth
        depth += 1


def _readable(name: str) -> str:
    """Escape the bytes of a folder's name that are not UTF-8, and no other character."""
    return "".join(shown_name(character) if "\udc80" <= character <= "\udcff" else character for character in name)


def _nothing_found(root: str, photos: int, passed_over: list[PassedOver]) -> str:
    """Return the message for a root without a single photo that can be taken."""
    if photos:
        loose = sum(file.kind == "no person" for file in passed_over)
        found = f"{counted(loose or photos, 'photo')} in no person's folder" if loose else f"{passed_over[-1].reason}"
    elif passed_over:
        described = Intake(root, 0, 0, tuple(passed_over))
        found = f"no photos in it: {described.describe_passed_over()}, first {described.reasons()[0]}"
    else:
        found = "no photos in it"
    return f"{root}: {found}. Give a folder with one sub-folder per person, named after the person"
