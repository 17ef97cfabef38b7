"""The exceptions that visavis raises.

A bad argument raises `ValueError`. A failure with files, people, models or downloads raises one of these::

    VisavisError
    ├── DataError (also ValueError)        photos or labels that cannot be used
    │   ├── ImageError                     one photo that cannot be read
    │   │   └── FaceError                  no face detected in a photo
    │   │       └── QualityError           a face that is not good enough to be enrolled
    │   │           ├── SeveralFacesError  several faces where one is required; of any use, not of enrolment alone
    │   │           ├── DoubtfulFaceError  hardly a face by its detector score, or none
    │   │           ├── SmallFaceError     too few pixels between the eyes
    │   │           ├── TurnedFaceError    turned away from the camera
    │   │           └── BlurredFaceError   not sharp
    │   └── LeakError                      a person or photo in two parts of a split
    ├── ModelError                         a model file or run folder that cannot be used
    ├── TrainingError                      training collapsed or diverged
    ├── DownloadError                      a data set could not be downloaded
    ├── GalleryError                       a gallery that cannot be used
    │   ├── UnknownSubjectError            no subject of this name is enrolled
    │   ├── SubjectConflictError           a change conflicts with what is enrolled
    │   ├── WrongEncoderError              the gallery belongs to another encoder
    │   ├── GalleryKeyError                the key is missing, wrong or not needed
    │   └── DamagedGalleryError            the file is damaged, or not a gallery
    └── MissingDependencyError (also ImportError)   an extra is not installed
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, get_args

_BACKENDS = ("tensorflow", "jax", "torch")


class VisavisError(Exception):
    """Base of every error that visavis raises for a failure at run time."""


class DataError(VisavisError, ValueError):
    """Photos or labels cannot be used; the message names the file, the person or the array."""


class ImageError(DataError):
    """One photo cannot be read; the message names it and says why."""


class FaceError(ImageError):
    """No face was detected in a photo (failure to acquire), or several where one is required."""


class QualityError(FaceError):
    """A face is not good enough to be enrolled; the message says what is needed."""


class SeveralFacesError(QualityError):
    """Several faces were detected where one is required."""


class DoubtfulFaceError(QualityError):
    """The detector score is too low, or no face was detected and the centre of the photo was used."""


class SmallFaceError(QualityError):
    """The face has too few pixels between the eyes."""


class TurnedFaceError(QualityError):
    """The face is turned away from the camera."""


class BlurredFaceError(QualityError):
    """The face is not sharp."""


class LeakError(DataError):
    """A person, a file or a photo is in two parts of a split."""


class ModelError(VisavisError):
    """A model file or run folder is missing, damaged or made by something else."""


class TrainingError(VisavisError):
    """Training collapsed (all embeddings alike) or diverged (a loss that is not finite)."""


class DownloadError(VisavisError):
    """A data set could not be downloaded; the message says what to do without a network."""


class GalleryError(VisavisError):
    """A gallery cannot be opened, read or written; the message names its file."""


class UnknownSubjectError(GalleryError):
    """No subject of this name is enrolled."""


class SubjectConflictError(GalleryError):
    """A name is already enrolled, or a reference is the only one of its subject."""


class WrongEncoderError(GalleryError):
    """The gallery belongs to another encoder, whose embeddings cannot be compared with these."""


class GalleryKeyError(GalleryError):
    """The gallery's key is missing, wrong or not needed."""


class DamagedGalleryError(GalleryError):
    """The gallery's file is damaged, or not a gallery; restore a backup."""


class MissingDependencyError(VisavisError, ImportError):
    """An optional dependency is not installed; the message names the extra that contains it."""


def check_option(name: str, value: object, options: Any) -> None:
    """Check an argument that takes one of a few values.

    Args:
        name: The argument.
        value: What was given.
        options: The `Literal` of its values.

    Raises:
        ValueError: If it is none of them.

    Example:
        >>> from typing import Literal
        >>> check_option("split", "people", Literal["person", "photo"])
        Traceback (most recent call last):
        ValueError: split must be 'person' or 'photo', got 'people'
    """
    *others, last = (repr(option) for option in get_args(options))
    if not any(value is option or (isinstance(value, str) and value == option) for option in get_args(options)):
        raise ValueError(f"{name} must be {', '.join(others)}{' or ' if others else ''}{last}, got {value!r}")


def check_numbers(options: Any) -> None:
    """Check the types of a dataclass's fields that are declared as `int`, `float` or `bool`, or as one of these or None.

    Args:
        options: A dataclass; numbers of NumPy are numbers.

    Raises:
        ValueError: If one is not a whole number, a finite number, or True or False.

    Example:
        >>> from dataclasses import make_dataclass
        >>> check_numbers(make_dataclass("Optimization", [("steps", int)])("40"))
        Traceback (most recent call last):
        ValueError: steps must be a whole number, got '40'
    """
    for field in fields(options):
        value, types = getattr(options, field.name), get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        if value is None and type(None) in types:
            continue
        wrong = {
            int: not isinstance(value, Integral) or isinstance(value, bool),
            float: not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value),
            bool: type(value).__name__ not in ("bool", "bool_"),
        }
        if any(wrong.get(kind, False) for kind in types) and set(types) <= {int, float, bool, type(None)}:
            kinds = {int: "a whole number", float: "a finite number", bool: "True or False"}
            expected = next(kinds[kind] for kind in types if kind in kinds)
            raise ValueError(f"{field.name} must be {expected}{' or None' if type(None) in types else ''}, got {value!r}")


@contextmanager
def backend_named() -> Iterator[None]:
    """Say what to install where Keras is loaded inside and its backend is missing.

    Raises:
        MissingDependencyError: If it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        backend = (error.name or "").partition(".")[0]
        if backend not in _BACKENDS:
            raise
        raise MissingDependencyError(
            f"this needs a backend of Keras: pip install 'visavis[tensorflow]' ({backend} is missing)"
        ) from error
