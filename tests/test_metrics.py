"""Error rates against cases worked out by hand, and against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, strategies as st

from visavis.errors import DataError
from visavis.metrics import (
    Rate,
    best_accuracy_threshold,
    confusion,
    det_curve,
    equal_error_rate,
    error_curve,
    roc_auc,
    roc_curve,
    tar_at_fmr,
    threshold_at_fmr,
)


def random_scores(seed, count=400, ties=True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    scores = labels + rng.normal(0, 1, count)
    return (np.round(scores, 1) if ties else scores), labels


@pytest.mark.parametrize(
    ("scores", "labels", "rate", "thresholds"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.0, (0.8, 0.8)),
        ([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], 0.5, (0.8, 0.8)),
        ([0.9, 0.8, 0.7, 0.6], [0, 0, 1, 1], 1.0, (0.8, 0.8)),
        ([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0], 0.5, (0.5, 0.5)),
        ([0.9, 0.6, 0.6, 0.1], [1, 1, 0, 0], 0.25, (0.6, 0.9)),  # on the line from (0, 0.5) to (0.5, 0)
    ],
)
def test_equal_error_rate_by_hand(scores, labels, rate, thresholds):
    found, threshold = equal_error_rate(error_curve(scores, labels))
    assert found == pytest.approx(rate)
    assert threshold in thresholds


def test_curve_counts_ties_together():
    curve = error_curve([3, 2, 2, 2, 1], [1, 1, 0, 1, 0])
    assert curve.thresholds.tolist() == [3, 2, 1]
    assert curve.accepted_mated.tolist() == [1, 3, 3]
    assert curve.accepted_nonmated.tolist() == [0, 1, 2]
    assert (curve.mated, curve.nonmated) == (3, 2)


@pytest.mark.parametrize(("threshold", "tp", "fp"), [(9, 0, 0), (3, 1, 0), (2.5, 1, 0), (2, 3, 1), (1.5, 3, 1), (-9, 3, 2)])
def test_decisions_at_any_threshold(threshold, tp, fp):
    decisions = error_curve([3, 2, 2, 2, 1], [1, 1, 0, 1, 0]).at(threshold)
    assert (decisions.tp, decisions.fp, decisions.fn, decisions.tn) == (tp, fp, 3 - tp, 2 - fp)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [True, False])
def test_curves_equal_scikit_learn(seed, ties):
    scores, labels = random_scores(seed, ties=ties)
    expected = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    for ours, theirs in zip(roc_curve(scores, labels), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)
    assert roc_auc(error_curve(scores, labels)) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    fmr, fnmr, thresholds = det_curve(scores, labels)
    theirs = sklearn.metrics.det_curve(labels, scores)
    kept = np.isin(thresholds, theirs[2])
    np.testing.assert_allclose(np.stack([fmr, fnmr])[:, kept], np.stack(theirs[:2])[:, np.isin(theirs[2], thresholds)])


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.7, 1.3])
def test_decisions_equal_scikit_learn(threshold):
    scores, labels = random_scores(3)
    said = (scores >= threshold).astype(int)
    for decisions in (confusion(labels, said), error_curve(scores, labels).at(threshold)):
        assert decisions.accuracy.value == pytest.approx(sklearn.metrics.accuracy_score(labels, said))
        assert decisions.precision.value == pytest.approx(sklearn.metrics.precision_score(labels, said))
        assert decisions.recall.value == pytest.approx(sklearn.metrics.recall_score(labels, said))
        assert decisions.f1 == pytest.approx(sklearn.metrics.f1_score(labels, said))
        assert decisions.fmr.value == pytest.approx(1 - sklearn.metrics.recall_score(1 - labels, 1 - said))
        assert decisions.fnmr.value == pytest.approx(1 - decisions.recall.value)


def test_tar_at_fmr_by_hand():
    curve = error_curve([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 0, 1, 0])
    assert tar_at_fmr(curve, 0) == Rate(1, 3)
    assert tar_at_fmr(curve, 1 / 3) == Rate(2, 3)
    assert threshold_at_fmr(curve, 1 / 3) == 0.7
    assert threshold_at_fmr(error_curve([0.9, 0.1], [0, 1]), 0.5) == np.inf
    assert tar_at_fmr(error_curve([0.9, 0.1], [0, 1]), 0.5) == Rate(0, 1)


def test_best_accuracy_threshold_lies_between_the_scores():
    assert best_accuracy_threshold([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]) == pytest.approx(0.5)


def test_best_accuracy_threshold_of_adjacent_floats_is_not_the_lower_one():
    for high in (0.5, 1.0, 0.3, float(np.float32(0.7))):
        low = float(np.nextafter(high, 0))
        threshold = best_accuracy_threshold([high, low], [1, 0])
        assert low < threshold <= high


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=1, max_size=30))
def test_no_threshold_is_more_accurate(pairs):
    scores, labels = (np.array(part) for part in zip(*pairs, strict=True))
    found = np.sum((scores >= best_accuracy_threshold(scores, labels)) == labels)
    assert found == max(np.sum((scores >= threshold) == labels) for threshold in np.arange(-4, 5))


def test_wilson_interval_by_hand():
    low, high = Rate(1, 10).interval
    assert (low, high) == (pytest.approx(0.0179, abs=1e-4), pytest.approx(0.4042, abs=1e-4))
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert Rate(0, 100).interval[0] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: error_curve([0.1], [1, 0]), "1 and 2"),
        (lambda: error_curve([], []), "not empty"),
        (lambda: error_curve([np.nan, 1], [1, 0]), "finite, got nan"),
        (lambda: error_curve([1, 2], [1, 2]), "labels must be 1"),
        (lambda: equal_error_rate(error_curve([1, 2], [1, 1])), "2 mated and 0 non-mated"),
        (lambda: roc_auc(error_curve([1, 2], [1, 1])), "area under the ROC curve needs mated and non-mated pairs, got 2 mated"),
        (lambda: roc_auc(error_curve([1, 2], [0, 0])), "got 0 mated and 2 non-mated"),
        (lambda: confusion([1, 0], [1]), "of one length, got 2 and 1"),
    ],
)
def test_what_cannot_be_measured_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_fmr_out_of_range():
    with pytest.raises(ValueError, match="fmr must be in"):
        threshold_at_fmr(error_curve([1, 0], [1, 0]), 1.5)
