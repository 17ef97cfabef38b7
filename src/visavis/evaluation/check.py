"""Check a model's threshold on photos of another population, before anything is decided by it."""

from pathlib import Path

import numpy as np

from visavis.data import FaceDataset, IntakeRules
from visavis.encoders import embed_faces, load_encoder, load_faces
from visavis.errors import ModelError
from visavis.metrics import score_all_pairs
from visavis.metrics.population_check import PopulationCheck, predict_fmr

__all__ = ["check_population"]

_MOST_PHOTOS = 1000  # of more, as many are drawn: half a million pairs show the quartiles


def check_population(
    model: Path | str,
    data: str | FaceDataset,
    *,
    target_fmr: float | None = None,
    unlabelled: bool = False,
    rules: IntakeRules | None = None,
    progress: bool = False,
) -> PopulationCheck:
    """Compare the non-mated scores of photos with those that a model's threshold was chosen on, and predict the false match rate.

    Args:
        model: What `load_encoder` takes.
        data: What `load_dataset` takes, or a data set. Few photos of each person are needed, many people are.
        target_fmr: The operating point to check; None: the model's default one.
        unlabelled: Whether not to use who is in the photos: all pairs are taken, most of which must be of different people.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If the data cannot be used, or if it has fewer than ten photos.
        ModelError: If the model has no threshold, or if its card keeps no histogram of scores.
    """
    encoder = load_encoder(model)
    card = encoder.card
    point = card.rule(target_fmr)
    if card.histogram is None:
        raise ModelError("the model's card has no histogram of scores. Calibrate it with: visavis calibrate MODEL DATA --out NEW")
    faces = load_faces(card, data, rules)
    if len(faces) > _MOST_PHOTOS:
        faces = faces.select(np.sort(np.random.default_rng(0).choice(len(faces), _MOST_PHOTOS, replace=False)))
    embeddings = embed_faces(encoder, faces, progress=progress)
    labels = np.arange(len(faces)) if unlabelled else faces.labels
    return predict_fmr(score_all_pairs(embeddings, labels, thresholds=[point.score]), card.histogram, point.score)
