"""The losses equal those of pytorch-metric-learning, where it has the same ones. Skips where it is not installed."""

import numpy as np
import pytest
from test_losses import value

from visavis.models import losses

torch = pytest.importorskip("torch", reason="needs PyTorch")
peers = pytest.importorskip("pytorch_metric_learning.losses", reason="needs pytorch-metric-learning")
miners = pytest.importorskip("pytorch_metric_learning.miners")
reducers = pytest.importorskip("pytorch_metric_learning.reducers")

CLASSES = 5


@pytest.fixture(scope="module")
def batch():
    """Labels, embeddings and class centres, rows of unit length."""
    rng = np.random.default_rng(0)
    faces, centres = rng.normal(size=(12, 8)), rng.normal(size=(CLASSES, 8))
    unit = [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32") for rows in (faces, centres)]
    return np.repeat(np.arange(4), 3).astype("int32"), *unit


def peer_value(loss, labels, faces, *more):
    with torch.no_grad():
        return float(loss(torch.from_numpy(faces), torch.from_numpy(labels).long(), *more))


def with_centres(loss, centres, weights, *, columns):
    """Set the peer's class centres."""
    with torch.no_grad():
        getattr(loss, weights).copy_(torch.from_numpy(centres.T if columns else centres))
    return loss


def test_arcface(batch):
    labels, faces, centres = batch
    theirs = peers.ArcFaceLoss(CLASSES, 8, margin=np.degrees(0.5), scale=16)
    expected = peer_value(with_centres(theirs, centres, "W", columns=True), labels, faces)
    ours = losses.margin_softmax_loss(labels, faces @ centres.T, margins=(1.0, 0.5, 0.0), scale=16.0)
    assert value(ours) == pytest.approx(expected, rel=1e-4)


def test_cosface(batch):
    labels, faces, centres = batch
    theirs = peers.CosFaceLoss(CLASSES, 8, margin=0.35, scale=64)
    expected = peer_value(with_centres(theirs, centres, "W", columns=True), labels, faces)
    ours = losses.margin_softmax_loss(labels, faces @ centres.T, margins=(1.0, 0.0, 0.35))
    assert value(ours) == pytest.approx(expected, rel=1e-4)


def test_proxy_anchor(batch):
    labels, faces, centres = batch
    theirs = with_centres(peers.ProxyAnchorLoss(CLASSES, 8, margin=0.1, alpha=32), centres, "proxies", columns=False)
    ours = losses.proxy_anchor_loss(labels, faces @ centres.T)
    assert value(ours) == pytest.approx(peer_value(theirs, labels, faces), rel=1e-4)


def test_supervised_contrastive(batch):
    labels, faces, _ = batch
    expected = peer_value(peers.SupConLoss(temperature=0.1), labels, faces)
    assert value(losses.supervised_contrastive_loss(labels, faces)) == pytest.approx(expected, rel=1e-4)


def test_multi_similarity(batch):
    labels, faces, _ = batch
    expected = peer_value(peers.MultiSimilarityLoss(alpha=2, beta=50, base=0.5), labels, faces)
    assert value(losses.multi_similarity_loss(labels, faces)) == pytest.approx(expected, rel=1e-4)


def test_hard_triplets(batch):
    labels, faces, _ = batch
    rows, classes = torch.from_numpy(faces), torch.from_numpy(labels).long()
    triplets = miners.BatchHardMiner()(rows, classes)
    theirs = peers.TripletMarginLoss(margin=0.2, reducer=reducers.MeanReducer())
    expected = peer_value(theirs, labels, faces, triplets)
    assert value(losses.triplet_loss(labels, faces, margin=0.2, mining="hard")) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("distances", [pytest.param(None, id="all"), pytest.param(1.2, id="cutoff")])
def test_distance_weights_are_the_probabilities_of_the_miner(batch, distances):
    """The peer draws negatives; of many draws each negative has about our probability."""
    from visavis.models.losses.pairs import _pairs

    labels, faces, _ = batch
    maximum = distances or 2.1
    miner = miners.DistanceWeightedMiner(cutoff=0.5, nonzero_loss_cutoff=maximum)
    counts = np.zeros((12, 12))
    torch.manual_seed(0)
    for _ in range(600):
        anchors, _, negatives = miner(torch.from_numpy(faces), torch.from_numpy(labels).long())
        np.add.at(counts, (anchors.numpy(), negatives.numpy()), 1)
    drawn = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ours = np.array(losses.DistanceWeighted(cutoff=0.5, maximum=maximum).probabilities(_pairs(labels, faces, None)))
    np.testing.assert_allclose(drawn, ours, atol=0.06)
