"""Growth of `find` and `sort` with the number of photos in a table of embeddings.

    python benchmarks/faces.py && python benchmarks/albums.py --parts search && python benchmarks/album_growth.py

The embeddings are synthetic. The mean of each person is drawn from a normal distribution with mean and covariance of those of LFW's
people; each face adds what sets a random face of LFW apart from the mean of its person. Every person has ten photos of one face.
Tables of 1,000 photos, ten times as many, and so on, are written as `visavis embed --face all` does. `find` searches for 30 of the
people in a gallery of three references each. Each command runs in a process of its own, as a user starts it. Writes
`results/album_growth.json`. About 20 minutes for 100,000 photos on 2 cores.
"""

import argparse
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from albums import People, embedded
from measure import cost_of
from record import write_result

from visavis.encoders import load_encoder
from visavis.gallery import open_gallery
from visavis.metrics import unit_rows
from visavis.scale.shards import ENCODER_KEY, FAILURES, FAILURES_KEY, ROOT_KEY, SETTINGS_KEY, EmbeddingSettings, Table, schema

Floats = npt.NDArray[np.float32]
FACES_EACH, FACES_OF_PHOTO, PHOTOS_OF_FILE, KNOWN = 10, 1, 1024, 30


def draw(people: People, photos: int, rng: np.random.Generator) -> Floats:
    """Return embeddings `(photos * FACES_OF_PHOTO, d)` of synthetic people; those of one photo are of two people."""
    embeddings, labels = people
    several = np.flatnonzero(np.bincount(labels)[labels] > 1)
    embeddings, (_, labels) = embeddings[several], np.unique(labels[several], return_inverse=True)
    means = np.zeros((labels.max() + 1, embeddings.shape[1]))
    np.add.at(means, labels, embeddings)
    means /= np.bincount(labels)[:, None]
    residuals = embeddings - means[labels]
    count = photos * FACES_OF_PHOTO // FACES_EACH
    centres = rng.multivariate_normal(means.mean(axis=0), np.cov(means.T), count).astype(np.float32)
    of = np.tile(np.arange(count), FACES_EACH)  # neighbours are different people
    return unit_rows((centres[of] + residuals[rng.integers(len(residuals), size=len(of))]).astype(np.float32))


def write_table(out: Path, embeddings: Floats) -> None:
    """Write a table as `visavis embed` does."""
    import pyarrow as pa
    from pyarrow import parquet

    table, size = Table(str(out)), PHOTOS_OF_FILE * FACES_OF_PHOTO
    metadata = {
        ENCODER_KEY: load_encoder("pretrained").digest.encode(),
        ROOT_KEY: b"/nowhere",
        SETTINGS_KEY: json.dumps(EmbeddingSettings(policy="all").to_json()).encode(),
        FAILURES_KEY: b"[]",
    }
    columns = schema(embeddings.shape[1], metadata)
    for start in range(0, len(embeddings), size):
        places = np.arange(start, min(start + size, len(embeddings)))
        values: dict[str, Any] = {
            "source": [f"{place // FACES_OF_PHOTO // 1000:05d}/{place // FACES_OF_PHOTO:08d}.jpg" for place in places],
            "face": places % FACES_OF_PHOTO + 1,
            "person": [""] * len(places),
            "box": [[100, 100, 90, 120]] * len(places),
            "landmarks": [[120, 140, 165, 140, 142, 165, 125, 190, 160, 190]] * len(places),
            "detector_score": [1.0] * len(places),
            "sharpness": [500.0] * len(places),
            "warnings": [[]] * len(places),
        }
        arrays = [pa.array(values[column.name], column.type) for column in columns if column.name in values]
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(embeddings[places].ravel()), embeddings.shape[1]))
        buffer = io.BytesIO()
        parquet.write_table(pa.Table.from_arrays(arrays, schema=columns), buffer)
        table.write(f"part-{start // FACES_OF_PHOTO:010d}-{'0' * 16}.parquet", buffer.getbuffer())
    table.write(FAILURES, b"source,person,reason\r\n")


def enrol(out: Path, embeddings: Floats) -> None:
    """Enrol the first people, who have every n-th face, with three references each."""
    people = len(embeddings) // FACES_EACH
    with open_gallery(out, load_encoder("pretrained")) as gallery:
        for person in range(KNOWN):
            gallery.enrol(f"p{person}", embeddings[person::people][:3])


def grow(folder: Path, photos: int, commands: list[str]) -> dict[str, Any]:
    """Measure the commands on a table of some photos."""
    embeddings = draw(embedded("lfw")[0], photos, np.random.default_rng(0))
    table, gallery = folder / f"{photos}.parquet", folder / f"{photos}.gallery"
    write_table(table, embeddings)
    enrol(gallery, embeddings)
    run = (sys.executable, "-m", "visavis")
    arguments = {
        "find": ("find", str(gallery), str(table), "--out", str(folder / f"{photos}-found"), "--quiet"),
        "sort": ("sort", str(table), "--out", str(folder / f"{photos}-album"), "--quiet"),
    }
    row = {"photos": photos, "faces": len(embeddings)}
    row |= {command: cost_of(*run, *arguments[command], runs=1) for command in commands}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Measure all sizes and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="sizes; default to 100,000")
    parser.add_argument("--commands", nargs="+", choices=["find", "sort"], default=["find", "sort"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [grow(Path(folder), photos, options.commands) for photos in options.photos]
    write_result("album_growth", {"growth": rows})


if __name__ == "__main__":
    main()
