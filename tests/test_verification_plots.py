"""Plots of verdicts fit into their figures."""

import numpy as np
import pytest

import visavis
from visavis.verification.plots import plot_explanation, plot_verdict


@pytest.fixture(scope="module")
def compared():
    """Two generated photos, as they are acquired, and a verdict with all that it can say."""
    photos = visavis.generate_faces(2, 2, size=112).faces
    verifier = visavis.Verifier(aligned=True)
    acquired = tuple(verifier.acquire(photo) for photo in photos[:2])
    return acquired, verifier.verify(*acquired)


@pytest.mark.parametrize("kind", ["verdict", "explanation"])
def test_a_title_fits_into_the_figure(compared, kind):
    photos, verdict = compared
    assert len(verdict.describe()) > 80, "a title that has to be wrapped"
    figure = plot_verdict(photos, verdict) if kind == "verdict" else plot_explanation(photos, (np.zeros((8, 8)),) * 2, verdict)
    figure.canvas.draw()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
