"""Embedding networks, the distance layer, and the Siamese model of two inputs."""

from visavis.models.layers import (
    DirectAveragePooling2D,
    DirectConv2D,
    DirectMaxPooling2D,
    DistanceSigmoid,
    EuclideanDistance,
    FusedBatchNormalization,
    PairLogits,
    StandardizePhotos,
)
from visavis.models.networks import (
    NETWORKS,
    NetworkName,
    as_embedding,
    build_embedding,
    build_siamese,
    copy_network,
    embed,
    embedding_of,
    head_of,
    products,
)

__all__ = [
    "NETWORKS",
    "DirectAveragePooling2D",
    "DirectConv2D",
    "DirectMaxPooling2D",
    "DistanceSigmoid",
    "EuclideanDistance",
    "FusedBatchNormalization",
    "NetworkName",
    "PairLogits",
    "StandardizePhotos",
    "as_embedding",
    "build_embedding",
    "build_siamese",
    "copy_network",
    "embed",
    "embedding_of",
    "head_of",
    "products",
]
