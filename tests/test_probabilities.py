"""Probabilities of merges: by hand, and by simulation of albums whose people are known."""

import numpy as np
import pytest

from visavis.albums.clustering import Merge, Tree, build_tree
from visavis.albums.probabilities import MergeModel, choose_cut, wrong_merge_interval
from visavis.encoders.card import Card
from visavis.faces import Crop
from visavis.metrics.histograms import ScoreHistogram


def crowd(people, photos, seed, noise):
    """Embeddings `(people * photos, 32)` whose mated and non-mated cosines overlap, and the people."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.normal(size=(people, 32)), photos, axis=0) + noise * rng.normal(size=(people * photos, 32))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), np.repeat(np.arange(people), photos)


def card_of(embeddings, labels):
    scores, mated = embeddings @ embeddings.T, labels[:, None] == labels
    upper = np.triu_indices(len(labels), 1)
    counts = [tuple(np.histogram(scores[upper][mated[upper] == kind], 100, (-1, 1))[0].tolist()) for kind in (True, False)]
    return Card(Crop((112, 112)), histogram=ScoreHistogram(-1, 1, *counts, "a crowd"))


@pytest.fixture(scope="module")
def card():
    return card_of(*crowd(400, 3, 0, 0.7))


@pytest.mark.parametrize(("people", "photos"), [(3, 12), (20, 4), (150, 3)])
def test_the_share_of_mated_pairs_is_that_of_the_album(card, people, photos):
    embeddings, labels = crowd(people, photos, 1, 0.7)
    same = labels[:, None] == labels
    truth = same[np.triu_indices(len(labels), 1)].mean()
    assert MergeModel.fit(card, embeddings).share == pytest.approx(truth, rel=0.35)


def test_a_higher_score_is_wrong_less_often_and_more_people_more_often(card):
    few, many = (MergeModel.fit(card, crowd(people, 3, 2, 0.7)[0]) for people in (5, 200))
    scores = np.linspace(0.0, 0.7, 15)
    assert (np.diff(few.wrong(scores)) < 0.01).all() and few.wrong(0.0) > 0.9 > 0.1 > few.wrong(0.8)
    assert (many.wrong(scores) >= few.wrong(scores)).all()


def test_the_highest_scores_are_wrong_the_least_often(card):
    """Few pairs of the card have the highest scores; that says nothing against faces of a large album that have them."""
    model = MergeModel.fit(card, crowd(1000, 3, 3, 0.7)[0])
    assert (np.diff(model.wrong(np.linspace(0.5, 1.0, 51))) <= 0).all() and model.wrong(1.0) < 0.01


def test_as_many_merges_are_wrong_as_expected(card):
    wrong, expected, inside = 0, 0.0, 0
    for seed in range(12):
        several, single = crowd(60, 3, 100 + seed, 0.7), crowd(180, 1, 5000 + seed, 0.7)
        embeddings, labels = np.concatenate([several[0], single[0]]), np.concatenate([several[1], single[1] + 1000])
        number, cut = wrong_merges(card, embeddings, labels)
        wrong, expected = wrong + number, expected + cut.wrong_merges
        inside += cut.interval[0] <= number <= cut.interval[1]
    assert wrong > 20 and wrong == pytest.approx(expected, rel=0.4)
    assert inside >= 11


def test_where_everybody_has_several_photos_fewer_merges_are_wrong_than_expected(card):
    found = [wrong_merges(card, *crowd(60, 3, 100 + seed, 0.7)) for seed in range(6)]
    assert all(number <= cut.interval[1] for number, cut in found)
    assert sum(number for number, _ in found) <= sum(cut.wrong_merges for _, cut in found)


def wrong_merges(card, embeddings, labels):
    """The number of merges of different people, and what was expected."""
    tree = build_tree(embeddings, least=0.1)
    cut = choose_cut(tree, MergeModel.fit(card, embeddings).wrong_merges(tree), precision=0.95)
    groups = tree.cut(cut.similarity)
    return sum(len(np.unique(labels[groups == group])) - 1 for group in np.unique(groups)), cut


def test_the_cut_keeps_the_expected_precision():
    tree = Tree(4, (Merge(0, 1, 0.9, 0.9, (1, 1)), Merge(2, 3, 0.8, 0.8, (1, 1)), Merge(4, 5, 0.5, 0.6, (2, 2))))
    wrong = np.array([0.0, 0.1, 0.5])
    assert choose_cut(tree, wrong, precision=0.99).similarity == 0.9
    both = choose_cut(tree, wrong, precision=0.95)
    assert (both.similarity, both.precision, both.wrong_merges) == (0.8, pytest.approx(0.95), pytest.approx(0.1))
    third = choose_cut(tree, wrong, precision=0.6)
    assert (third.similarity, third.precision) == (0.5, pytest.approx((1 + 0.9 + 4 * 0.5 * 0.9) / 6))
    nothing = choose_cut(tree, np.array([0.5, 0.5, 0.5]), precision=0.9)
    assert tree.cut(nothing.similarity).tolist() == [0, 1, 2, 3] and nothing.wrong_merges == 0
    assert choose_cut(Tree(2, ()), np.zeros(0), precision=0.9).precision == 1


def test_the_interval_holds_chance_and_other_populations():
    low, high = wrong_merge_interval(2.1)
    assert low == 0 and 6 <= high <= 9
    low, high = wrong_merge_interval(100)
    assert 30 < low < 45 and 220 < high < 320
