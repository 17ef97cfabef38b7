"""Fetch Olivetti and LFW by scikit-learn's downloaders, which check SHA-256 digests."""

import tarfile
import warnings
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from visavis.data.arrays import NumberedSources
from visavis.data.dataset import FaceDataset
from visavis.data.folders import Size, as_size
from visavis.data.lfw import LFW_CROP, read_lfw
from visavis.errors import DownloadError
from visavis.images import resize_image

__all__ = ["fetch_lfw", "fetch_olivetti"]


def fetch_olivetti(*, size: Size | None = None, data_home: Path | str | None = None) -> FaceDataset:
    """Fetch the Olivetti faces: 400 grey photos of 40 people, 64 x 64 pixels (AT&T Laboratories Cambridge).

    Args:
        size: Height and width to resize to, or the side of a square; None: as they are.
        data_home: Where scikit-learn keeps its data.

    Raises:
        DownloadError: If they are not on this machine and cannot be fetched.
    """
    from sklearn.datasets import fetch_olivetti_faces

    bunch = _fetch("Olivetti", fetch_olivetti_faces, data_home=data_home)
    faces = np.rint(bunch.images * 255).astype(np.uint8)[:, :, :, None]
    if (shape := as_size(size)) is not None and faces.shape[1:3] != shape:
        faces = np.stack([resize_image(face, shape) for face in faces])
    people = tuple(f"s{number + 1}" for number in range(40))
    return FaceDataset(faces, bunch.target.astype(np.int64), people, NumberedSources("olivetti", len(faces)))


def fetch_lfw(
    *,
    size: Size | None = (64, 64),
    crop: float | None = LFW_CROP,
    gray: bool = False,
    data_home: Path | str | None = None,
) -> FaceDataset:
    """Fetch LFW, deep-funneled: 13,233 colour photos of 5,749 people (Huang et al. 2007 and 2012), about 230 MB.

    Args:
        size: As in `read_lfw`, and so are the next two.
        crop: See there.
        gray: See there.
        data_home: Where scikit-learn keeps its data.

    Raises:
        DownloadError: If it is not on this machine and cannot be fetched.
    """
    from sklearn.datasets import fetch_lfw_people, get_data_home

    folder = Path(get_data_home(data_home)) / "lfw_home" / "lfw_funneled"
    if not folder.is_dir():
        _fetch("LFW", fetch_lfw_people, data_home=data_home, min_faces_per_person=100)
    return read_lfw(folder, size=size, crop=crop, gray=gray)


def _fetch(name: str, fetch: Any, **arguments: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of each attempt; the outcome is reported below
            return fetch(**arguments)
    except (URLError, OSError, EOFError, tarfile.TarError) as error:
        raise DownloadError(
            f"{name} could not be fetched ({error}). Connect to a network and try again, or fetch the photos on another machine "
            "and give the path of their folder or archive instead."
        ) from error
