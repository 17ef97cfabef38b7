"""A Siamese verifier as a scikit-learn estimator: fit, transform, predict, score."""

import math
import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from visavis.data import FaceDataset, Split, read_arrays, split_people
from visavis.data.labels import number_labels
from visavis.errors import DataError
from visavis.evaluation import evaluate_all_pairs
from visavis.images import resize_image

__all__ = ["SiameseVerifier"]

_SMALLEST = 32
_FEWEST_PEOPLE = 5
_NEVER = 1.001  # cosines are not above 1

Pixels = npt.NDArray[np.uint8]


class SiameseVerifier(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Train on labelled photos, and verify whether two photos show the same person, also of unseen people.

    Photos are `(n, h, w)`, `(n, h, w, 1)` or `(n, h, w, 3)`; or rows `(n, f)`, as in scikit-learn's own data sets: each row is read
    line by line as a picture of `photo_shape`, by default a square one (padded with zeros where `f` is no square). Levels are
    uint8, or of any range, which is mapped to 0 .. 255 by the range of the photos of `fit`. A model of colour photos takes gray
    ones too.

    Args:
        photo_shape: Height, width and, if there are any, channels of a photo that is given as a row; None: square and gray.
        network: A name in `visavis.models.NETWORKS`, or a Keras model; see `TrainingConfig`.
        loss: A name in `visavis.training.configuration.LOSSES`, a Keras loss or a function; see `TrainingConfig`.
        embedding_size: Length of an embedding.
        steps: Number of batches to train on; None: what suits the data.
        validation: Fraction of the people who are held out to select weights and threshold, in (0, 1). Of fewer than five people
            none are held out: then the threshold is that of the training people, and a warning is issued.
        mirror: Whether a mirrored photo shows the same person.
        random_state: Seed of validation people, weights and batches.

    Attributes:
        siamese_: The trained Siamese model of two inputs.
        threshold_: The comparison score (cosine) from which two photos are decided to show the same person.
        validation_eer_: The equal error rate of the validation people.
        references_: `(n, d)` float32, the embeddings of the photos of `fit`.
        n_features_in_: The length of the second axis of these photos.

    Example:
        Cross-validation with whole people in a fold::

            search = GridSearchCV(SiameseVerifier(), {"loss": ["contrastive", "triplet"]}, cv=GroupKFold(3))
            search.fit(photos, people, groups=people)
    """

    def __init__(
        self,
        *,
        photo_shape: tuple[int, ...] | None = None,
        network: Any = "classic",
        loss: Any = "supervised-contrastive",
        embedding_size: int = 128,
        steps: int | None = None,
        validation: float = 0.2,
        mirror: bool = True,
        random_state: Any = None,
    ) -> None:
        """Store the parameters; `fit` checks them."""
        self.photo_shape = photo_shape
        self.network = network
        self.loss = loss
        self.embedding_size = embedding_size
        self.steps = steps
        self.validation = validation
        self.mirror = mirror
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:  # noqa: N803 - scikit-learn's name
        """Train on photos and their labels.

        Args:
            X: Photos or rows, see above.
            y: `(n,)`, equal for photos of one person.

        Raises:
            ValueError: If they cannot be used.
        """
        from visavis.training.configuration import config_for
        from visavis.training.run_options import RunOptions
        from visavis.training.trainer import Trainer

        photos, labels = validate_data(self, X, y, allow_nd=True, ensure_min_samples=2, ensure_min_features=2)
        if labels.dtype == object:  # as pandas keeps strings
            people, numbers = number_labels(labels, "y")
            labels = people[numbers]
        check_classification_targets(labels)
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must be in (0, 1), got {self.validation}")
        seed = int(check_random_state(self.random_state).randint(2**31))
        self._levels, self._axes = _levels_of(photos), photos.ndim
        self._channels = photos.shape[3] if photos.ndim == 4 else 1
        faces = read_arrays(self._pixels(photos), np.unique(labels, return_inverse=True)[1], name="X")
        split = self._split(faces, seed)
        settings: dict[str, Any] = {
            "network": self.network,
            "loss": self.loss,
            "embedding_size": self.embedding_size,
            "flip": self.mirror,
        }
        if self.steps is not None:
            few = isinstance(self.steps, int | np.integer) and self.steps < 100  # the configuration checks the type
            settings |= {"steps": self.steps, "validate_every": self.steps if few else 100}
        trainer = Trainer(split, config_for(split.train, **settings, seed=seed), options=RunOptions(progress=False))
        trainer.run()
        self.threshold_ = _threshold_of(trainer)
        self.siamese_, self.validation_eer_ = trainer.siamese, trainer.monitor.best_eer
        self._n_features_out = int(trainer.config.embedding_size)
        self.references_ = self._embed(faces.faces)
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:  # noqa: N803
        """Embed photos or rows: `(n, embedding_size)` float32, rows of unit length.

        Raises:
            ValueError: If they have another shape than the photos of `fit`.
        """
        check_is_fitted(self)
        photos = X if self._axes == 2 else self._with_channels(np.asarray(X))
        return self._embed(self._pixels(validate_data(self, photos, allow_nd=True, reset=False)))

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return the comparison score minus the threshold, `(n,)`.

        Args:
            X: Pairs `(n, 2, …)` of photos or rows, for the score of the two. Or photos or rows `(n, …)`, for the highest score with
                any photo of `fit`.

        Raises:
            ValueError: If they have another shape than the photos of `fit`.
        """
        check_is_fitted(self)
        given = np.asarray(X)
        if given.ndim != self._axes + 1:
            return np.asarray((self.transform(X) @ self.references_.T).max(axis=1) - self.threshold_, dtype=np.float32)
        if given.shape[1] != 2:
            raise ValueError(f"pairs must be (n, 2, …), got shape {given.shape}")
        first, second = (self.transform(given[:, side]) for side in (0, 1))
        return np.asarray(np.sum(first * second, axis=1) - self.threshold_, dtype=np.float32)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.int64]:  # noqa: N803
        """Return 1 where a pair shows the same person (or a photo shows a person of `fit`), else 0; see `decision_function`."""
        return (self.decision_function(X) >= 0).astype(np.int64)

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:  # noqa: N803
        """Return one minus the equal error rate on all pairs of photos `X` of people `y`; of pairs, the accuracy.

        Raises:
            ValueError: If there are no two photos of one person, or only one person.
        """
        check_is_fitted(self)
        given = np.asarray(X)
        if given.ndim == self._axes + 1:
            return float(np.mean(self.predict(given) == np.asarray(y)))
        _, labels = np.unique(np.asarray(y), return_inverse=True)
        return 1 - evaluate_all_pairs(self.transform(X), labels.astype(np.int64)).eer

    def _split(self, faces: FaceDataset, seed: int) -> Split:
        if len(faces.people) < _FEWEST_PEOPLE:
            warnings.warn(
                f"{len(faces.people)} people are too few to hold out any: the threshold is that of the training people, "
                "and error rates on unseen people will be higher",
                stacklevel=3,
            )
            return Split(faces, faces, None)
        held = max(2, round(self.validation * len(faces.people))) / len(faces.people)
        return split_people(faces, fractions=(1 - held, held, 0), seed=seed)

    def _embed(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        from visavis.models import embed, embedding_of

        return embed(embedding_of(self.siamese_), pixels, flip=self.mirror)

    def _with_channels(self, photos: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return photos with the axes and channels of `fit`: gray ones repeated for colour, one photo refused."""
        if self._axes == 4 and photos.ndim == 3:
            photos = photos[..., None]
        if self._axes == 3 and photos.ndim == 4 and photos.shape[3] == 1:
            photos = photos[..., 0]
        if photos.ndim == 4 and self._axes == 4 and photos.shape[3] == 1 and self._channels == 3:
            photos = np.repeat(photos, 3, axis=3)
        if photos.ndim != self._axes or (photos.ndim == 4 and photos.shape[3] != self._channels):
            expected = {2: "rows (n, f)", 3: "photos (n, h, w)", 4: f"photos (n, h, w, {self._channels})"}[self._axes]
            raise ValueError(f"X must be {expected} as in fit, got shape {photos.shape}; one photo is photo[None]")
        return photos

    def _pixels(self, photos: npt.NDArray[Any]) -> Pixels:
        """Return photos or rows as `(n, h, w, c)` uint8, with sides of at least 32."""
        low, high = self._levels
        levels = photos.astype(np.float64)
        pixels = np.rint(np.clip((levels - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        pixels = pixels if pixels.ndim > 2 else self._pictures(pixels)
        pixels = pixels[..., None] if pixels.ndim == 3 else pixels
        if min(pixels.shape[1:3]) >= _SMALLEST:
            return pixels
        scale = _SMALLEST / min(pixels.shape[1:3])
        size = (math.ceil(pixels.shape[1] * scale), math.ceil(pixels.shape[2] * scale))
        return np.stack([resize_image(picture, size) for picture in pixels])

    def _pictures(self, rows: Pixels) -> Pixels:
        count, length = rows.shape
        if self.photo_shape is not None:
            if math.prod(self.photo_shape) != length:
                raise ValueError(f"photo_shape must have as many elements as a row, {length}, got {self.photo_shape}")
            return rows.reshape(count, *self.photo_shape)
        side = math.ceil(math.sqrt(length))
        return np.pad(rows, ((0, 0), (0, side * side - length))).reshape(count, side, side)

    def __sklearn_tags__(self) -> Any:
        """Declare that labels are required, that photos may have more than two axes, and that embeddings are float32."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _threshold_of(trainer: Any) -> float:
    """Return the validation people's threshold, or one that accepts nothing where scores do not separate them at all."""
    try:
        return float(trainer.finish().threshold)
    except DataError as error:
        warnings.warn(f"{error}; no two photos will be accepted", stacklevel=3)
        return _NEVER


def _levels_of(photos: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the levels that are mapped to 0 and 255."""
    if photos.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(photos.min()), float(photos.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high if high > low else low + 1)
