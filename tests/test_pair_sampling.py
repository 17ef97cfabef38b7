"""Pairs drawn from all pairs: of the right kinds, all as likely, and with the error that they say."""

import numpy as np
import pytest

from visavis.data import generate_faces
from visavis.errors import DataError
from visavis.evaluation import evaluate_all_pairs, evaluate_protocol, pair_scores, sample_pairs
from visavis.faces import Crop
from visavis.metrics import Rate, all_pairs_curve

LABELS = np.array([2, 0, 2, 1, 2, 0])  # 3 + 1 mated and 11 non-mated pairs


def as_set(pairs):
    return {frozenset(pair) for pair in pairs.tolist()}


def test_few_pairs_are_all_taken():
    sampled = sample_pairs(LABELS, count=11)
    mated = sampled.protocol.labels == 1
    assert as_set(sampled.protocol.pairs[mated]) == {frozenset(pair) for pair in ((0, 2), (0, 4), (2, 4), (1, 5))}
    assert (sampled.mated, sampled.nonmated, len(sampled.protocol)) == (4, 11, 15)
    assert len(as_set(sampled.protocol.pairs[~mated])) == 11
    assert sampled.protocol.name == "4 of 4 mated and 11 of 11 non-mated pairs"
    assert sampled.standard_error(Rate(3, 11)) == 0


def test_pairs_are_of_the_kind_that_they_say():
    labels = np.tile(LABELS, 3)
    drawn = sample_pairs(labels, count=20, seed=1).protocol
    same = labels[drawn.pairs[:, 0]] == labels[drawn.pairs[:, 1]]
    np.testing.assert_array_equal(same, np.repeat([True, False], 20))
    assert (drawn.pairs[:, 0] != drawn.pairs[:, 1]).all()


@pytest.mark.parametrize("kind", [1, 0])
def test_all_pairs_come_up_evenly(kind):
    seen = {}
    for seed in range(3000):
        protocol = sample_pairs(LABELS, count=2, seed=seed).protocol
        for pair in map(frozenset, protocol.pairs[protocol.labels == kind].tolist()):
            seen[pair] = seen.get(pair, 0) + 1
    expected = 6000 / (4 if kind else 11)
    assert len(seen) == (4 if kind else 11)
    assert max(abs(count - expected) for count in seen.values()) < 5 * np.sqrt(expected)


def test_pairs_of_very_many_photos_cost_what_is_drawn():
    labels = np.repeat(np.arange(50_000), 20)
    sampled = sample_pairs(labels, count=1000, seed=0)
    assert sampled.mated == 50_000 * 190
    assert sampled.nonmated == 1_000_000 * 999_999 // 2 - sampled.mated
    pairs = labels[sampled.protocol.pairs]
    assert ((pairs[:, 0] == pairs[:, 1]) == (sampled.protocol.labels == 1)).all()


def test_the_stated_standard_error_is_the_one_of_repeated_samples():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(60), 5)
    rows = rng.standard_normal((60, 16))[labels] + rng.standard_normal((300, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    truth = all_pairs_curve(rows, labels).at(0.4).fmr.value
    off, stated = [], []
    for seed in range(200):
        sampled = sample_pairs(labels, count=2000, seed=seed)
        drawn = sampled.protocol.labels == 0
        rate = Rate(int(np.sum(pair_scores(rows, sampled.protocol.pairs[drawn]) >= 0.4)), int(drawn.sum()))
        off.append(rate.value - truth)
        stated.append(sampled.standard_error(rate))
    assert np.std(off) == pytest.approx(np.mean(stated), rel=0.2)
    assert abs(np.mean(off)) < 4 * np.mean(stated) / np.sqrt(200)
    everything = sample_pairs(labels, count=10**6)
    assert evaluate_protocol(rows, labels, everything.protocol).eer == evaluate_all_pairs(rows, labels).eer


def test_nothing_to_draw():
    with pytest.raises(DataError, match="0 mated and 3 non-mated"):
        sample_pairs(np.arange(3))
    with pytest.raises(ValueError, match="count must be positive"):
        sample_pairs(LABELS, count=0)


def test_evaluate_tells_that_pairs_were_drawn(tmp_path):
    from visavis.encoders import load_encoder
    from visavis.evaluation.evaluate import EvaluationOptions, evaluate_model

    faces = generate_faces(10, 6, size=80, seed=5)
    aligned = type(faces)(faces.faces, faces.labels, faces.people, faces.sources, crop=Crop.arcface(faces.shape[0]))
    sampled = evaluate_model(load_encoder(), aligned, options=EvaluationOptions(sample=100), out=tmp_path).evaluation
    assert sampled.to_json()["sampled"]["nonmated_in_all"] == 60 * 59 // 2 - 150
    assert sampled.curve.nonmated == 100 and sampled.curve.mated == 100
    assert sampled.name == "100 of 150 mated and 100 of 1,620 non-mated pairs of 10 unseen people"
    assert "sampling pairs instead of taking all adds a standard error of" in str(sampled)
    with pytest.raises(ValueError, match="pairs and sample exclude each other"):
        EvaluationOptions(sample=100, pairs="pairs.txt")
