"""What several test modules share."""

import io
import os
import tarfile
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As `visavis.backend` has it, and before a test imports Keras: other kernels round otherwise, and a run is resumed to the bit.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import pytest
from PIL import Image
from trained import aligned_run, folder, party, run, whole_photos  # noqa: F401 - fixtures

from visavis.data import generate_faces
from visavis.faces import FaceFinder
from visavis.images import read_image

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def att_archive():
    """The AT&T faces, or a skip where they are not at hand."""
    return _shared("att_faces.tar")


@pytest.fixture(scope="session")
def lfw_archive():
    """The deep-funneled LFW, likewise."""
    return _shared("lfw-deepfunneled.tar")


@pytest.fixture(scope="session")
def lfw_photo(lfw_archive):
    """One photo of LFW, `(250, 250, 3)`."""
    with tarfile.open(lfw_archive) as tar:
        return read_image(tar.extractfile("lfw-deepfunneled/Aaron_Peirsol/Aaron_Peirsol_0001.jpg").read())


@pytest.fixture(scope="session")
def generated_photo():
    """A photo `(300, 300, 3)` of a generated person, in which a face is found with certainty."""
    finder = FaceFinder(min_score=0.98)
    for face in generate_faces(30, 3, size=200, seed=3).faces:
        photo = np.pad(face, ((50, 50), (50, 50), (0, 0)), constant_values=128)
        if finder.detect(photo) and finder.detect(np.ascontiguousarray(photo[:, ::-1])):
            return photo
    raise AssertionError("the detector finds none of 90 generated faces")


@pytest.fixture(scope="session", params=["generated", pytest.param("lfw", marks=pytest.mark.real_faces)])
def portrait(request):
    """A photo of one person: generated, and a real one where LFW is at hand."""
    return request.getfixturevalue(f"{request.param}_photo")


@pytest.fixture(scope="session")
def lfw_pairs():
    """LFW's pairs.txt, likewise."""
    return _shared("lfw-pairs.txt")


@pytest.fixture(scope="session")
def faces():
    """A small data set of generated people."""
    return generate_faces(12, 5, size=32, gray=True, seed=7)


@pytest.fixture(scope="session")
def photo_files():
    """Photos of six generated people, as files, in which a face is found; two of each person."""
    finder, found = FaceFinder(), {}
    drawn = generate_faces(30, 3, size=200, seed=3)
    for face, label in zip(drawn.faces, drawn.labels, strict=True):
        photo = np.full((300, 300, 3), 128, dtype=np.uint8)
        photo[50:250, 50:250] = face
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=95)
        if len(found.get(label, ())) < 2 and finder.detect(read_image(file.getvalue())):
            found.setdefault(label, []).append(file.getvalue())
        if sum(len(files) == 2 for files in found.values()) == 6:
            break
    return [files for files in found.values() if len(files) == 2]


@pytest.fixture
def no_room():
    """Return a context manager in which a file may have at most 16 KiB, which acts like a full disk."""
    resource = pytest.importorskip("resource")  # not on Windows

    @contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


def _shared(name):
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/{name}, which is not here")
    return path
