"""Watch whether the photos of requests score higher among different people than those the threshold was chosen on."""

import logging
import threading
from collections import deque

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.metrics.population_check import PopulationCheck, predict_fmr_of_scores

__all__ = ["PopulationMonitor"]

_APART, _EACH = 16, 16  # how many requests lie between two faces that are compared, since a photo may be sent again; with how many
_MOST, _FEWEST = 1000, 200  # requests whose scores are kept, and that a prediction needs


class PopulationMonitor:
    """Compares one face of each request with those of earlier requests; most of them are of different people.

    Only scores are kept, and the embeddings of the last 32 requests in memory. The prediction rests on quartiles, which a few
    requests of one person do not change much.
    """

    def __init__(self, card: Card) -> None:
        """Start with nothing."""
        self._card = card
        self._recent: deque[npt.NDArray[np.float32]] = deque(maxlen=_APART + _EACH)
        self._scores: deque[npt.NDArray[np.float32]] = deque(maxlen=_MOST)
        self._lock = threading.Lock()
        self._warned = False

    def add(self, embedding: npt.NDArray[np.float32]) -> None:
        """Compare the embedding `(d,)` of a request's face with those of the requests 17 to 32 before it."""
        with self._lock:
            if len(self._recent) == _APART + _EACH:
                self._scores.append(np.stack([self._recent[place] for place in range(_EACH)]) @ embedding)
            self._recent.append(embedding)

    def check(self) -> PopulationCheck | None:
        """Predict the false match rate on the people of the last requests; None: too few of them, or the card has no histogram.

        A rate that is higher than where the threshold was chosen is logged once.
        """
        with self._lock:
            scores = list(self._scores)
        if len(scores) < _FEWEST or self._card.histogram is None or self._card.threshold is None:
            return None
        check = predict_fmr_of_scores(np.stack(scores), self._card.histogram, self._card.threshold.score)
        if check.higher and not self._warned:
            logging.getLogger("visavis.service").warning("requests: %s", check)
        self._warned = check.higher
        return check
