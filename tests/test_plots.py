"""Pictures: what is on them, and what cannot be drawn."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from visavis import test_visualize as show_test_photos, visualize
from visavis.evaluation import Claims, evaluate_all_pairs, evaluate_folds, extreme_pairs
from visavis.evaluation.plots import plot_det, plot_history, plot_pairs, plot_roc, plot_scores, save_figure, show_image
from visavis.metrics import error_curve
from visavis.verification import Verdict
from visavis.verification.plots import plot_comparison


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


@pytest.fixture
def curve():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500)
    return error_curve(labels * 0.3 + rng.normal(0, 0.2, 500), labels)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_visualize_shows_pairs_of_either_kind(shape, dtype):
    pairs = np.random.default_rng(0).random((12, 2, *shape))
    pairs = (pairs * 255).astype(np.uint8) if dtype == np.uint8 else pairs.astype(dtype)
    figure = visualize(pairs, [1] * 8 + [0] * 4, n=5)
    assert isinstance(figure, Figure)
    assert titles(figure).count("same person") == 5
    assert titles(figure).count("different people") == 4
    assert len(titles(visualize(pairs, [1] * 12))) == 5


def test_visualize_says_what_it_needs():
    with pytest.raises(ValueError, match="image_pairs must be"):
        visualize(np.zeros((3, 3, 8, 8)), [1, 0, 1])
    with pytest.raises(ValueError, match="2 labels"):
        visualize(np.zeros((3, 2, 8, 8)), [1, 0])


def test_test_visualize_shows_photos():
    assert len(titles(show_test_photos(np.zeros((7, 8, 8, 3), np.uint8), n=4))) == 4
    assert len(titles(show_test_photos(np.zeros((2, 8, 8))))) == 2
    with pytest.raises(ValueError, match="images must be"):
        show_test_photos(np.zeros((8, 8)))
    assert show_test_photos.__test__ is False


def test_curves_are_drawn_where_they_belong(curve):
    det = plot_det(curve)
    assert "EER" in det.texts[0].get_text()
    assert det.get_xlabel() == "false match rate, %"
    roc = plot_roc(curve)
    _, tar = roc.lines[0].get_data()
    assert (np.diff(tar) >= 0).all()
    assert tar[-1] == 100
    scores = plot_scores(curve, 0.2)
    assert scores.lines[0].get_xdata()[0] == 0.2
    assert f"mated ({curve.mated:,} pairs)" in [text.get_text() for text in scores.get_legend().texts]


def test_history(tmp_path):
    rows = [{"step": step, "loss": 1 / step, "validation_eer": 0.3 / step} for step in (1, 2, 3)]
    ax = plot_history(rows)
    assert ax.lines[0].get_ydata().tolist() == [1, 0.5, 1 / 3]
    assert save_figure(ax.figure, tmp_path / "history.png").stat().st_size > 5000


def test_comparison_and_pairs():
    face = np.zeros((8, 8, 3), np.uint8)
    verdicts = [Verdict(True, 0.9, 0.4, 0.95, 0.5, prior=0.5), Verdict(False, 0.1, 1.3, 0.05, 0.5, prior=0.5)]
    shown = titles(plot_comparison(face, [(face, verdict) for verdict in verdicts]))
    assert shown[0] == "anchor"
    assert "same person\nscore 0.90, threshold 0.50" in shown[1]
    assert "different people\nscore 0.10, threshold 0.50" in shown[2]
    figure = plot_pairs(np.zeros((3, 2, 8, 8, 1), np.uint8), np.array([0.5, 0.2, 0.1]), ["a", "b", "c"], columns=2)
    assert titles(figure) == ["a: 0.50", "b: 0.20", "c: 0.10"]


def test_extreme_pairs_are_the_extremes():
    angles = np.deg2rad([0, 10, 20, 90, 95, 180])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    pairs, scores, kinds = extreme_pairs(embeddings, np.array([0, 0, 0, 1, 1, 2]), count=1)
    assert kinds == ["same person, highest", "same person, lowest", "different, lowest", "different, highest"]
    assert pairs.tolist() == [[3, 4], [0, 2], [0, 5], [2, 3]]
    np.testing.assert_allclose(scores, np.cos(np.deg2rad([5, 20, 180, 70])), atol=1e-5)


def test_all_pairs_by_hand():
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], np.float32)
    evaluation = evaluate_all_pairs(embeddings, np.array([0, 0, 1, 1]), Claims(threshold=0.7))
    decisions = evaluation.decisions
    assert (decisions.tp, decisions.fp, decisions.fn, decisions.tn) == (2, 0, 0, 4)
    numbers = evaluation.to_json()
    assert (numbers["accuracy"], numbers["recall"], numbers["f1"], numbers["eer"]) == (1, 1, 1, 0)
    assert numbers["counts"]["recall"] == {"count": 2, "trials": 2}
    assert evaluate_all_pairs(embeddings, np.array([0, 0, 1, 1])).threshold_from.startswith("these very pairs")
    assert "2 mated and 4 non-mated pairs" in str(evaluation)


def test_folds_take_their_threshold_from_the_others():
    scores = [0.9, 0.1, 0.9, 0.1, 0.4, 0.2]
    result = evaluate_folds(scores, [1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2])
    assert result.thresholds == (pytest.approx(0.3), pytest.approx(0.3), pytest.approx(0.5))
    assert result.accuracies.tolist() == [1, 1, 0.5]
    assert result.accuracy == pytest.approx(5 / 6)
    assert result.standard_error == pytest.approx(np.std([1, 1, 0.5], ddof=1) / 3**0.5)
    assert result.to_json()["counts"]["accuracy"] == {"count": 5, "trials": 6}


def rendered(figure):
    """The pixels of a figure, `(h, w, 3)` uint8."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("period", [2, 3, 7])
def test_a_large_photo_is_downsampled_without_aliasing(period, channels):
    """Stripes finer than a pixel of the thumbnail become their mean level."""
    stripes = (np.arange(2100) % period < period / 2).astype(np.uint8) * 255
    photo = np.broadcast_to(stripes[None, :, None], (2100, 2100, channels))
    figure = Figure(figsize=(1, 1))
    show_image(figure.add_axes((0, 0, 1, 1)), photo)
    inner = rendered(figure)[10:-10, 10:-10]
    assert inner.std() < 12 and abs(inner.mean() - photo.mean()) < 6


def test_a_small_crop_is_interpolated():
    crop = np.zeros((4, 4, 3), dtype=np.uint8)
    crop[:, 2:] = 255
    figure = Figure(figsize=(1, 1))
    show_image(figure.add_axes((0, 0, 1, 1)), crop)
    row = rendered(figure)[50, :, 0].astype(int)
    assert np.abs(np.diff(row)).max() < 60


def test_the_legend_of_the_training_plot_is_clear_of_the_curves():
    """Also for flat curves at the top, and where the axes are one of several."""
    for rows in (
        [{"step": step, "loss": 1.0, "validation_eer": 0.3} for step in range(10)],
        [{"step": step, "loss": 1 / (step + 1), "validation_eer": 0.3 / (step + 1)} for step in range(10)],
    ):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        ax, other = figure.subplots(1, 2)
        other.plot([0, 1])
        plot_history(rows, ax)
        figure.draw_without_rendering()
        legend = ax.get_legend().get_window_extent()
        assert not legend.overlaps(ax.get_window_extent())
        assert not legend.overlaps(ax.xaxis.get_tightbbox())
        assert figure.bbox.containsx(legend.x0) and figure.bbox.containsx(legend.x1) and figure.bbox.containsy(legend.y0)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_titles_of_a_comparison_lie_within_the_picture(count):
    verdict = Verdict(same=True, score=0.9, distance=0.4, probability=0.99, threshold=0.8)
    figure = plot_comparison(np.zeros((9, 9, 3), np.uint8), [(np.zeros((9, 9, 3), np.uint8), verdict)] * count)
    figure.draw_without_rendering()
    for ax in figure.axes:
        title = ax.title.get_window_extent()
        assert title.y1 <= figure.bbox.y1 and title.y0 >= 0
