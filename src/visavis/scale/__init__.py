"""Embed many photos with a pool of processes or a Ray cluster."""

from visavis.scale.embedding import Embedded, embed_photos
from visavis.scale.shards import EmbeddingSettings

__all__ = ["Embedded", "EmbeddingSettings", "embed_photos"]
