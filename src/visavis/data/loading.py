"""Load a data set by name or path: what the command line calls DATA."""

import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from visavis.data.arrays import read_npy, read_npz
from visavis.data.dataset import FACES, FaceDataset, read_saved
from visavis.data.downloads import fetch_lfw, fetch_olivetti
from visavis.data.folders import Size, as_size, read_archive, read_folder
from visavis.data.generated import generate_faces
from visavis.data.intake import Intake, IntakeRules, PassedOver, report_intake
from visavis.data.lfw import LFW_CROP, read_lfw_pairs
from visavis.data.names import UNNAMED
from visavis.data.objects import is_uri
from visavis.data.protocols import PairProtocol, read_pairs_csv
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.files import check_path
from visavis.images import resize_image, to_gray

__all__ = ["default_crop", "is_aligned", "load_dataset", "read_pairs"]


def load_dataset(
    data: str | Path,
    *,
    size: Size | None = None,
    crop: float | None = None,
    gray: bool = False,
    seed: int = 0,
    rules: IntakeRules | None = None,
) -> FaceDataset:
    """Load faces from a folder, an archive, a file of arrays, or by name.

    Args:
        data: `"synthetic"`, `"olivetti"`, `"lfw"`; a folder with one sub-folder per person, or a `.tar` or `.zip` of one, or a
            URI such as `s3://bucket/photos`; a folder that `FaceDataset.save` wrote; a `.npz` file; or two files as
            `"images.npy,labels.npy"`.
        size: Height and width of a face, or the side of a square; None: as they are. Faces that
            `visavis prepare` wrote are cut to ArcFace's crop of that size.
        crop: The fraction of a photo's shorter side to keep around the centre; for photos in folders and archives.
        gray: Whether to convert to grey.
        seed: Draws the faces of `"synthetic"`.
        rules: Which files in a folder or archive are photos, and whose; None: the usual rules.

    Raises:
        DataError: If there is no such data, or if it cannot be used.
        DownloadError: If `"olivetti"` or `"lfw"` cannot be fetched.
        ValueError: If size or crop is out of range.
    """
    name, size = str(data), as_size(size)
    if name == "synthetic":
        return generate_faces(size=size[0] if size else 64, seed=seed, gray=gray)
    if name == "olivetti":
        return fetch_olivetti(size=size)
    if name == "lfw":
        return fetch_lfw(size=size or (64, 64), crop=crop or LFW_CROP, gray=gray)
    if is_uri(name):
        return read_folder(name, size=size, crop=crop, gray=gray, rules=rules)
    path = check_path(data)
    if "," in name and not path.exists():
        images, _, labels = name.partition(",")
        return _convert(read_npy(images, labels), size, gray)
    if path.is_dir() and (path / FACES).is_file():
        return _convert(_named(read_saved(path), name, rules or IntakeRules()), size, gray)
    if path.is_dir():
        return read_folder(path, size=size, crop=crop, gray=gray, rules=rules)
    if path.suffix == ".npz":
        return _convert(read_npz(path), size, gray)
    if not path.exists():
        raise DataError(
            f"{name}: no such file or folder, and not one of synthetic, olivetti, lfw. "
            "Give a folder with one sub-folder per person, a .tar or .zip of one, or a .npz with face_images and face_labels."
        )
    if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        return read_archive(path, size=size, crop=crop, gray=gray, rules=rules)
    raise DataError(f"{name}: must be a folder, .tar, .zip or .npz file")


def _named(dataset: FaceDataset, name: str, rules: IntakeRules) -> FaceDataset:
    """Leave out the faces that have no person's name, where people are required."""
    if rules.people != "required" or UNNAMED not in dataset.people:
        return dataset
    unnamed = dataset.labels == dataset.people.index(UNNAMED)
    if unnamed.all():
        raise DataError(
            f"{name}: no face has a person's name. Put the photos into one sub-folder per person, and prepare them again"
        )
    passed_over = [
        PassedOver(dataset.sources[index], "no person", "lies in no person's folder") for index in np.flatnonzero(unnamed).tolist()
    ]
    named = dataset.select(np.flatnonzero(~unnamed))
    intake = Intake(name, len(named), len(named.people), tuple(passed_over))
    report_intake(intake, rules)
    return replace(named, intake=intake)


def default_crop(data: str | Path) -> float | None:
    """Return the centre crop that suits a data set: LFW's for LFW's own photos, else none."""
    whole = "lfw" in Path(data).name.lower() and not (Path(data) / FACES).is_file()
    return LFW_CROP if whole else None


def is_aligned(data: str | Path) -> bool:
    """Return whether this is a folder of aligned faces, as `visavis prepare` writes them."""
    return (Path(data) / FACES).is_file() and read_saved(Path(data)).aligned


def read_pairs(path: Path | str, dataset: FaceDataset, *, encoding: str | None = None) -> PairProtocol:
    """Read a protocol file: a CSV if its name ends with .csv, else LFW's layout.

    Args:
        path: The file.
        dataset: The photos that it names.
        encoding: Of the file, such as `"cp1252"`; None: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        DataError: If it cannot be read, or names a photo that is not in the data set.
    """
    read = read_pairs_csv if Path(path).suffix.lower() == ".csv" else read_lfw_pairs
    return read(path, dataset, encoding=encoding)


def _convert(dataset: FaceDataset, size: tuple[int, int] | None, gray: bool) -> FaceDataset:
    """Resize faces, and convert them to grey."""
    if dataset.crop is not None and size is not None:
        if size[0] != size[1]:
            raise ValueError(f"size must be a square for aligned faces, got {size}")
        return dataset.cut(Crop.arcface(size[0], colour="gray" if gray or dataset.shape[2] == 1 else "rgb"))
    faces = dataset.pixels
    if gray and faces.shape[3] == 3:
        faces = to_gray(faces)
    if size is not None and faces.shape[1:3] != size:
        faces = np.stack([resize_image(face, size) for face in faces])
    return replace(dataset, pixels=faces)
