"""Scores in bins: none is lost, the card keeps them, and cards without them are read."""

import numpy as np

from visavis.encoders.card import Card
from visavis.encoders.card_calibration import calibrated
from visavis.faces import Crop
from visavis.metrics import all_pairs_curve
from visavis.metrics.histograms import score_histogram


def people(count=40, photos=3, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.normal(size=(count, 8)), photos, axis=0) + 0.4 * rng.normal(size=(count * photos, 8))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), np.repeat(np.arange(count), photos)


def test_every_pair_is_counted_where_it_belongs():
    embeddings, labels = people()
    found = score_histogram(all_pairs_curve(embeddings, labels), chosen_on="test people", bins=4)
    scores = (embeddings @ embeddings.T)[np.triu_indices(len(labels), 1)]
    mated = (labels[:, None] == labels)[np.triu_indices(len(labels), 1)]
    assert sum(found.mated) == mated.sum() and sum(found.nonmated) == (~mated).sum()
    assert found.mated[3] == (mated & (scores >= 0.5)).sum()


def test_the_card_of_a_calibrated_model_keeps_it():
    embeddings, labels = people()
    for target_fmrs in ((), (0.2,)):
        card = calibrated(Card(Crop((8, 8), "gray")), embeddings, labels, target_fmrs=target_fmrs)
        assert card.histogram.chosen_on == "calibration people" and sum(card.histogram.mated) == 120
        assert Card.from_json(card.to_json(), source="a test") == card


def test_cards_without_it_are_read():
    values = Card(Crop((8, 8), "gray")).to_json()
    del values["histogram"]
    assert Card.from_json(values, source="a test").histogram is None
