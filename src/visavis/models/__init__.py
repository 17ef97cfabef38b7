"""Embedding networks, the distance layer, and the Siamese model of two inputs."""

from visavis.models.layers import DistanceSigmoid, EuclideanDistance, PairLogits, StandardizePhotos
from visavis.models.networks import NETWORKS, build_embedding, build_siamese, copy_network, embed, embedding_of, head_of, products

__all__ = [
    "NETWORKS",
    "DistanceSigmoid",
    "EuclideanDistance",
    "PairLogits",
    "StandardizePhotos",
    "build_embedding",
    "build_siamese",
    "copy_network",
    "embed",
    "embedding_of",
    "head_of",
    "products",
]
