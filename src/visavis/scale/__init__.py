"""Past one process: bulk embedding by a pool of processes or on a cluster."""

from visavis.scale.embedding import Embedded, embed_photos
from visavis.scale.shards import EmbeddingSettings

__all__ = ["Embedded", "EmbeddingSettings", "embed_photos"]
