"""Find known people among all faces of many photos: one open-set decision for each face."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from visavis.albums.faces import AlbumFaces, Failure, describe_failures
from visavis.albums.known import open_known
from visavis.albums.reading import ReadingSettings, read_faces
from visavis.albums.tables import faces_of_table
from visavis.albums.videos import split_moment
from visavis.data import Intake
from visavis.data.intake import PassedOver
from visavis.encoders import Encoder, load_encoder
from visavis.errors import check_numbers
from visavis.files import check_path, write_csv
from visavis.gallery import Gallery, Hit
from visavis.gallery.search_rules import SearchRule, choose_rule, name_faces
from visavis.scale import is_table
from visavis.verification import Verifier
from visavis.wording import counted

__all__ = ["FaceDecision", "FindOptions", "FoundPeople", "Known", "decide_faces", "find_people"]

_BATCH = 1024
_CANDIDATES = 3  # of each face: the best may be in the photo already
_COLUMNS = (
    "photo",
    "face",
    "subject",
    "score",
    "most_like",
    "left",
    "top",
    "width",
    "height",
    "detector_score",
    "warnings",
    "time",
)


@dataclass(frozen=True, slots=True)
class FaceDecision:
    """Who a face shows.

    Attributes:
        photo: The photo, its path below the folder or archive; of a video with the time of a track's best frame: `door.mp4#t=12.4`.
        number: The number of the face in it, the largest first; in a video, that of the track.
        box: Left, top, width and height in pixels; None: no face was detected.
        subject: The known person; None: an unknown one.
        score: Comparison score with that person, or else with the one who is most like the face; None: nobody is known.
        most_like: The known person with the highest score, whether it reaches the threshold or not.
        detector_score: 0 .. 1; None likewise.
        warnings: What makes the decision less reliable.
    """

    photo: str
    number: int
    box: tuple[float, float, float, float] | None
    subject: str | None
    score: float | None
    most_like: str | None
    detector_score: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def time(self) -> float | None:
        """The time of the best frame of a track in a video, seconds; None: it is a photo."""
        return split_moment(self.photo)[1]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "box": self.box and list(self.box), "warnings": list(self.warnings), "time": self.time}

    def row(self) -> list[Any]:
        """Return it as a row of a table."""
        score = "" if self.score is None else round(self.score, 4)
        box = self.box or ("", "", "", "")
        detector = "" if self.detector_score is None else round(self.detector_score, 4)
        warnings, time = "; ".join(self.warnings), "" if self.time is None else self.time
        return [self.photo, self.number, self.subject or "", score, self.most_like or "", *box, detector, warnings, time]


@dataclass(frozen=True)
class Known:
    """Who is searched for, and how it is decided.

    Attributes:
        subjects: Number of known people.
        threshold: Minimum score; None: no decision is made.
        rule: The operating point that was chosen for the target FPIR; None: the threshold was given, or there is none.
        undecided: Why there is no decision; empty: there is one.
        failures: Photos of known people that could not be enrolled, with the reason.
        passed_over: Files among them that are no photos.
    """

    subjects: int
    threshold: float | None
    rule: SearchRule | None = None
    undecided: str = ""
    failures: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True, repr=False)
class FoundPeople:
    """Known people among the faces of photos.

    Attributes:
        faces: The decision for each face, in order of the photos.
        known: Who was searched for, and how it was decided.
        failures: Photos without a face, or that cannot be read, with the reason.
        intake: The photos that were read, and the files that were passed over.
    """

    faces: tuple[FaceDecision, ...]
    known: Known
    failures: tuple[Failure, ...]
    intake: Intake

    @property
    def named(self) -> tuple[FaceDecision, ...]:
        """The faces of known people."""
        return tuple(face for face in self.faces if face.subject is not None)

    @property
    def photos_of(self) -> dict[str, int]:
        """In how many photos each known person was found, most first."""
        return dict(Counter(face.subject for face in self.faces if face.subject is not None).most_common())

    @property
    def expected_wrong(self) -> tuple[float, float] | None:
        """How many faces of unknown people are expected to be named, and the upper bound; None: the rate is not known."""
        rule = self.known.rule
        if rule is None:
            return None
        unknown = len(self.faces) - len(self.named)
        return rule.fpir * unknown, (rule.fpir if rule.fpir_upper is None else rule.fpir_upper) * unknown

    def describe(self) -> list[str]:
        """Return the summary, a line each: counts, how often names are wrong, and what was not read."""
        named, people = len(self.named), len(self.photos_of)
        files = "photo" if all(face.time is None for face in self.faces) else "file"
        lines = [
            f"{counted(len(self.faces), 'face')} in {counted(self.intake.photos, files)}: {named:,} of "
            f"{counted(people, 'known person')}, "
            f"{len(self.faces) - named:,} of unknown people"
        ]
        if self.known.undecided:
            lines.append(f"no decision: {self.known.undecided}")
        elif self.expected_wrong is not None:
            number, upper = self.expected_wrong
            lines.append(f"{self.known.rule}; expected wrong names among unknown faces: {number:.1f}, at most {upper:.1f}")
        lines += describe_failures(self.failures)
        lines += [f"not enrolled: {reason}" for _, reason in self.known.failures]
        return [*lines, *self.intake.describe()]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rule, expected = self.known.rule, self.expected_wrong
        return {
            "faces": [face.to_json() for face in self.faces],
            "photos_of": self.photos_of,
            "subjects": self.known.subjects,
            "threshold": self.known.threshold,
            "fpir": rule and rule.fpir,
            "fpir_upper": rule and rule.fpir_upper,
            "undecided": self.known.undecided or None,
            "expected_wrong": expected and expected[0],
            "failures": [failure._asdict() for failure in self.failures],
            "not_enrolled": [{"photo": photo, "reason": reason} for photo, reason in self.known.failures],
            "intake": self.intake.to_json(),
        }

    def write_csv(self, path: Path) -> None:
        """Write a row for each face."""
        write_csv(path, _COLUMNS, [face.row() for face in self.faces], private=True)

    def __repr__(self) -> str:
        """Return the counts in short."""
        return f"FoundPeople(faces={len(self.faces)}, named={len(self.named)}, photos={self.intake.photos})"


@dataclass(frozen=True)
class FindOptions:
    """How known people are read and decided.

    Attributes:
        target_fpir: Choose the threshold for this false positive identification rate of a face; None: for 0.01, and if the model
            has no operating point for that, no face is named, see `choose_rule`.
        threshold: Minimum score, instead.
        people_depth: Which folders are the known people; see `IntakeRules`.
    """

    target_fpir: float | None = None
    threshold: float | None = None
    people_depth: int | None = None

    def __post_init__(self) -> None:
        """Check that the options do not contradict each other.

        Raises:
            ValueError: If both a threshold and a rate are given.
        """
        check_numbers(self)
        if self.threshold is not None and self.target_fpir is not None:
            raise ValueError("threshold and target_fpir are mutually exclusive, got both")


def find_people(
    known: Path | str,
    photos: Path | str,
    *,
    settings: ReadingSettings | None = None,
    work: Path | str | None = None,
    options: FindOptions | None = None,
) -> FoundPeople:
    """Find known people among all faces of many photos.

    Each face is compared with every known person, and named if the best score reaches the threshold. Two faces of one photo are not
    given the same name: the more similar one gets it. In a video, each track counts as one face, see `watch_video`.

    Args:
        known: A gallery, a folder or archive of people, or a photo; see `open_known`.
        photos: A folder of photos and videos at any depth, a `.tar` or `.zip` of photos, or a photo or a video; or a table of all
            faces of photos, which `scale.embed_photos` wrote with the same encoder. A table is read a file at a time.
        settings: How photos become faces; None: with the bundled encoder.
        work: A folder that keeps the faces, so that an interrupted call is resumed and new photos are read alone; None: none. It is
            not needed for a table.
        options: The threshold, or the rate to choose it for, and which folders are the known people.

    Raises:
        DataError: If there are no photos, or no known people; if a table is damaged or of another encoder.
        GalleryError: If a gallery cannot be opened.
        ModelError: If the model has no operating point for the rate that is given.

    Example:
        Who is in which photo? ::

            found = visavis.find_people("people/", "party/")
            print({face.photo: face.subject for face in found.named})
    """
    settings, options = settings or ReadingSettings(), options or FindOptions()
    encoder = load_encoder(settings.model)
    verifier = Verifier(encoder, acquisition=settings.acquisition)
    with ExitStack() as stack:
        gallery, enrolled = stack.enter_context(
            open_known(known, verifier, people_depth=options.people_depth, progress=settings.progress)
        )
        rule, undecided, threshold, count = None, "", options.threshold, gallery.subject_count
        if threshold is None:
            rule, undecided = choose_rule(encoder.card, options.target_fpir, count)
            threshold = None if rule is None else rule.rule.score
        decided, failures, intakes = list[FaceDecision](), list[Failure](), list[Intake]()
        for faces in _parts(photos, settings, work, encoder):
            decided += decide_faces(faces, gallery, threshold)
            failures += faces.failures
            intakes.append(faces.intake)
    lost = () if enrolled is None else enrolled.failures
    passed_over = () if enrolled is None else enrolled.passed_over
    known_people = Known(count, threshold, rule, undecided, lost, passed_over)
    intake = replace(intakes[0], photos=sum(intake.photos for intake in intakes))
    return FoundPeople(tuple(decided), known_people, tuple(failures), intake)


def _parts(photos: Path | str, settings: ReadingSettings, work: Path | str | None, encoder: Encoder) -> Iterator[AlbumFaces]:
    """Yield the faces of each file of a table, or those of all photos."""
    if is_table(photos):
        yield from faces_of_table(photos, settings, encoder=encoder)
        return
    with ExitStack() as stack:
        folder = check_path(work) if work is not None else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="visavis-")))
        yield read_faces(photos, folder, settings, encoder=encoder)


def decide_faces(faces: AlbumFaces, gallery: Gallery, threshold: float | None) -> tuple[FaceDecision, ...]:
    """Compare each face with the subjects of a gallery and decide; without a threshold no face is named."""
    hits: list[list[Hit]] = []
    for start in range(0, len(faces), _BATCH):
        hits += gallery.search(faces.embeddings[start : start + _BATCH], top=_CANDIDATES)
    names = dict[int, Hit]()
    if threshold is not None:
        start = 0
        while start < len(faces):
            end = start
            while end < len(faces) and faces.photos[end] == faces.photos[start]:
                end += 1
            names |= {start + place: hit for place, hit in name_faces(hits[start:end], threshold).items()}
            start = end
    return tuple(_decision(faces, place, hits[place], names.get(place)) for place in range(len(faces)))


def _decision(faces: AlbumFaces, place: int, hits: Sequence[Hit], name: Hit | None) -> FaceDecision:
    left, top, width, height = (float(value) for value in faces.boxes[place])
    detected = left == left  # NaN: no face was detected
    best = hits[0] if hits else None
    shown = name or best
    return FaceDecision(
        photo=faces.photos[place],
        number=int(faces.numbers[place]),
        box=(round(left, 1), round(top, 1), round(width, 1), round(height, 1)) if detected else None,
        subject=None if name is None else name.subject,
        score=None if shown is None else shown.score,
        most_like=None if best is None else best.subject,
        detector_score=float(faces.scores[place]) if detected else None,
        warnings=faces.warnings[place],
    )
