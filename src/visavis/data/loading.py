"""One name or path to a `FaceDataset`: what the command line calls DATA."""

import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from visavis.data.arrays import read_npy, read_npz
from visavis.data.dataset import FACES, FaceDataset, read_saved
from visavis.data.downloads import fetch_lfw, fetch_olivetti
from visavis.data.folders import read_archive, read_folder
from visavis.data.generated import generate_faces
from visavis.data.lfw import LFW_CROP, read_lfw_pairs
from visavis.data.protocols import PairProtocol, read_pairs_csv
from visavis.errors import DataError
from visavis.images import resize_image, to_gray

__all__ = ["default_crop", "is_aligned", "load_dataset", "read_pairs"]


def load_dataset(
    data: str | Path,
    *,
    size: tuple[int, int] | None = None,
    crop: float | None = None,
    gray: bool = False,
    seed: int = 0,
) -> FaceDataset:
    """Read faces from wherever they are.

    Args:
        data: `"synthetic"`, `"olivetti"`, `"lfw"`; a folder with one sub-folder per person, or a `.tar` or `.zip` of one;
            a folder that `FaceDataset.save` wrote; a `.npz` file; or two files as `"images.npy,labels.npy"`.
        size: Height and width of a face; None: as they are.
        crop: The part of a photo's shorter side to keep around the centre; for photos in folders and archives.
        gray: Whether to take the colour out.
        seed: Draws the faces of `"synthetic"`.

    Raises:
        DataError: If there is nothing of that kind, or if it cannot be used.
        DownloadError: If `"olivetti"` or `"lfw"` cannot be fetched.
    """
    name, path = str(data), Path(data)
    if name == "synthetic":
        side = size[0] if size else 64
        return generate_faces(size=side, seed=seed, gray=gray)
    if name == "olivetti":
        return fetch_olivetti(size=size)
    if name == "lfw":
        return fetch_lfw(size=size or (64, 64), crop=crop or LFW_CROP, gray=gray)
    if "," in name and not path.exists():
        images, _, labels = name.partition(",")
        return _recut(read_npy(images, labels), size, gray)
    if not path.exists():
        raise DataError(
            f"{name}: no such file or folder, and not one of synthetic, olivetti, lfw. "
            "Give a folder with one sub-folder per person, a .tar or .zip of one, or a .npz with face_images and face_labels."
        )
    if path.is_dir():
        if (path / FACES).is_file():
            return _recut(read_saved(path), size, gray)
        return read_folder(path, size=size, crop=crop, gray=gray)
    if path.suffix == ".npz":
        return _recut(read_npz(path), size, gray)
    if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        return read_archive(path, size=size, crop=crop, gray=gray)
    raise DataError(f"{name}: not a folder, .tar, .zip or .npz file")


def default_crop(data: str | Path) -> float | None:
    """Return the centre crop that suits a data set: LFW's for LFW's own photos, else none."""
    whole = "lfw" in Path(data).name.lower() and not (Path(data) / FACES).is_file()
    return LFW_CROP if whole else None


def is_aligned(data: str | Path) -> bool:
    """Tell whether this is a folder of aligned faces, as `visavis prepare` writes them."""
    return (Path(data) / FACES).is_file() and read_saved(Path(data)).aligned


def read_pairs(path: Path | str, dataset: FaceDataset) -> PairProtocol:
    """Read a protocol file: a CSV if it is called so, else LFW's layout.

    Raises:
        DataError: If it cannot be read, or names a photo that is not in the data set.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such protocol file")
    return (read_pairs_csv if Path(path).suffix.lower() == ".csv" else read_lfw_pairs)(path, dataset)


def _recut(dataset: FaceDataset, size: tuple[int, int] | None, gray: bool) -> FaceDataset:
    """Bring faces that were read as they are to another size or colour."""
    faces = dataset.pixels
    if gray and faces.shape[3] == 3:
        faces = to_gray(faces)
    if size is not None and faces.shape[1:3] != size:
        faces = np.stack([resize_image(face, size) for face in faces])
    return replace(dataset, pixels=faces)
