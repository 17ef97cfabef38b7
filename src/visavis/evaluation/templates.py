"""Evaluate a model on templates: several photos of a person that are compared as one, as IJB-B and IJB-C have them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from visavis.data.ijb import TemplateProtocol
from visavis.encoders import Encoder
from visavis.errors import DataError, ImageError
from visavis.evaluation.protocols import Claims, evaluate_protocol
from visavis.evaluation.results import Evaluation
from visavis.images import Limits, read_image
from visavis.metrics import unit_rows

__all__ = ["embed_templates", "evaluate_templates", "pool_templates"]

_BATCH = 256
_THREADS = 4


def evaluate_templates(
    encoder: Encoder, protocol: TemplateProtocol, claims: Claims | None = None, *, limits: Limits | None = None
) -> Evaluation:
    """Score the pairs of templates, and measure error rates with intervals.

    Args:
        encoder: The model; it must take faces that are aligned by landmarks.
        protocol: What `visavis.data.ijb.read_ijb` returned.
        claims: As in `evaluate_all_pairs`.
        limits: Limits of one photo; None: `Limits()`.

    Raises:
        DataError: If a photo cannot be read, or if the model takes no aligned faces.
    """
    embeddings = embed_templates(encoder, protocol, limits=limits)
    evaluation = evaluate_protocol(embeddings, protocol.people, protocol.pairs, claims)
    return replace(evaluation, photos=len(protocol.photos))


def embed_templates(encoder: Encoder, protocol: TemplateProtocol, *, limits: Limits | None = None) -> npt.NDArray[np.float32]:
    """Embed the photos, a few hundred at a time, and pool them to templates.

    Args:
        encoder: As in `evaluate_templates`.
        protocol: As there.
        limits: Limits of one photo; None: `Limits()`.

    Returns:
        `(t, d)` float32, rows of unit length.

    Raises:
        DataError: As there.
    """
    if not encoder.card.aligned:
        raise DataError(f"{protocol.pairs.name}: the model must take aligned faces, got {encoder.card.crop.describe()}")
    rows = [encoder.embed(faces) for faces in _batches(encoder, protocol, limits)]
    return pool_templates(np.concatenate(rows), protocol.templates, protocol.media)


def pool_templates(
    embeddings: npt.NDArray[np.float32], templates: npt.NDArray[np.int64], media: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Pool photos to templates: the mean of each medium, then the mean of the media, so that a long video has no more weight.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        templates: `(n,)`, numbered from 0 without gaps.
        media: `(n,)`, the medium of each photo within its template.

    Returns:
        `(t, d)` float32, rows of unit length.
    """
    pooled, of_medium = np.unique(np.stack([templates, media], axis=1), axis=0, return_inverse=True)
    of_medium = of_medium.ravel()
    sums = np.zeros((len(pooled), embeddings.shape[1]))
    np.add.at(sums, of_medium, embeddings)
    means = sums / np.bincount(of_medium)[:, None]
    totals = np.zeros((pooled[:, 0].max() + 1, embeddings.shape[1]))
    np.add.at(totals, pooled[:, 0], means)
    return unit_rows(totals)


def _batches(encoder: Encoder, protocol: TemplateProtocol, limits: Limits | None) -> Iterator[npt.NDArray[np.uint8]]:
    """Cut the faces of the photos, a batch at a time."""

    def cut(number: int) -> npt.NDArray[np.uint8]:
        photo = read_image(protocol.folder / protocol.photos[number], limits=limits)
        return encoder.card.crop.cut(photo, protocol.landmarks[number])

    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(protocol.photos), _BATCH):
                yield np.stack(list(pool.map(cut, range(start, min(start + _BATCH, len(protocol.photos))))))
    except ImageError as error:
        raise DataError(str(error)) from error
