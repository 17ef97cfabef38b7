"""The losses as Keras classes, which save their arguments."""

from collections.abc import Callable
from typing import Any

from visavis.backend import keras
from visavis.models.losses.classes import adaface_loss, check_margins, margin_softmax_loss, proxy_anchor_loss
from visavis.models.losses.miners import Miner, MinerName, build_miner
from visavis.models.losses.pairs import (
    Memory,
    batch_binary_crossentropy,
    batch_contrastive_loss,
    check_positive,
    contrastive_terms,
    multi_similarity_loss,
    supervised_contrastive_loss,
    triplet_loss,
)

__all__ = [
    "AdaFace",
    "BatchBinaryCrossentropy",
    "BatchContrastive",
    "BatchTriplet",
    "ClassLoss",
    "ContrastiveLoss",
    "MarginSoftmax",
    "MultiSimilarity",
    "PairLoss",
    "ProxyAnchor",
    "SupervisedContrastive",
]

Tensor = Any


@keras.saving.register_keras_serializable(package="visavis")
class ContrastiveLoss(keras.losses.Loss):
    """`contrastive_loss` as a Keras loss, for a model that predicts the distances of pairs."""

    def __init__(self, margin: float = 1, name: str = "contrastive_loss", **kwargs: Any) -> None:
        """See `contrastive_loss`."""
        check_positive(margin=margin)
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each pair; Keras takes the mean."""
        return contrastive_terms(y_true, y_pred, self.margin)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the class."""
        return {**super().get_config(), "margin": self.margin}


class _BatchLoss(keras.losses.Loss):
    """Base of batch losses as Keras classes: a function of labels and predictions with its arguments."""

    function: Callable[..., Tensor]

    def __init__(self, name: str | None = None, dtype: Any = None, **parameters: Any) -> None:
        super().__init__(name=name or self.function.__name__, reduction=None, dtype=dtype)
        self.parameters = parameters

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of the batch, a scalar."""
        return type(self).function(y_true, y_pred, **self.parameters)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the class."""
        return {"name": self.name, **self.parameters}


class PairLoss(_BatchLoss):
    """Base of the losses over pairs: `y_true` are labels `(b,)`, `y_pred` embeddings `(b, d)`. They can use a memory."""

    def with_memory(self, labels: Tensor, embeddings: Tensor, memory: Memory) -> Tensor:
        """Return the loss of the batch with the photos of a memory as further references."""
        return type(self).function(labels, embeddings, memory=memory, **self.parameters)


class _MinedLoss(PairLoss):
    """A loss over pairs with a miner."""

    def __init__(
        self, name: str | None = None, dtype: Any = None, mining: Miner | MinerName | None = None, **parameters: Any
    ) -> None:
        if mining is not None:
            build_miner(mining)  # checks the name
            parameters["mining"] = mining
        super().__init__(name=name, dtype=dtype, **parameters)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the loss with these arguments."""
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})


class ClassLoss(_BatchLoss):
    """Base of the losses over classes: `y_true` are classes `(b,)`, `y_pred` cosines with the classes' centres `(b, n)`.

    In training, `visavis.models.loss_layers.ClassCentres` holds the centres. A subclass with `needs_quality = True` gets the
    quality of each photo in a further column.
    """

    needs_quality = False


@keras.saving.register_keras_serializable(package="visavis")
class BatchContrastive(_MinedLoss):
    """`batch_contrastive_loss` as a Keras loss; takes `margin` and `mining`."""

    function = staticmethod(batch_contrastive_loss)


@keras.saving.register_keras_serializable(package="visavis")
class BatchBinaryCrossentropy(_BatchLoss):
    """`batch_binary_crossentropy` as a Keras loss; `y_pred` are the logits of all pairs `(b, b)`."""

    function = staticmethod(batch_binary_crossentropy)


@keras.saving.register_keras_serializable(package="visavis")
class BatchTriplet(_MinedLoss):
    """`triplet_loss` as a Keras loss; takes `margin` and `mining`."""

    function = staticmethod(triplet_loss)


@keras.saving.register_keras_serializable(package="visavis")
class SupervisedContrastive(PairLoss):
    """`supervised_contrastive_loss` as a Keras loss; takes `temperature`."""

    function = staticmethod(supervised_contrastive_loss)


@keras.saving.register_keras_serializable(package="visavis")
class MultiSimilarity(PairLoss):
    """`multi_similarity_loss` as a Keras loss; takes `alpha`, `beta` and `base`."""

    function = staticmethod(multi_similarity_loss)


@keras.saving.register_keras_serializable(package="visavis")
class MarginSoftmax(ClassLoss):
    """`margin_softmax_loss` as a Keras loss; takes `margins` and `scale`. The default margins are those of ArcFace."""

    function = staticmethod(margin_softmax_loss)

    def __init__(self, margins: Any = (1.0, 0.5, 0.0), name: str | None = None, dtype: Any = None, **parameters: Any) -> None:
        """See `margin_softmax_loss`."""
        check_margins(margins)
        super().__init__(name=name, dtype=dtype, margins=tuple(margins), **parameters)


@keras.saving.register_keras_serializable(package="visavis")
class AdaFace(ClassLoss):
    """`adaface_loss` as a Keras loss; takes `margin` and `scale`."""

    function = staticmethod(adaface_loss)
    needs_quality = True


@keras.saving.register_keras_serializable(package="visavis")
class ProxyAnchor(ClassLoss):
    """`proxy_anchor_loss` as a Keras loss; takes `margin` and `scale`."""

    function = staticmethod(proxy_anchor_loss)
