"""Embed many photos with a pool of processes or a Ray cluster, and read the table again."""

from visavis.scale.embedding import Embedded, embed_photos
from visavis.scale.reading import SavedTable, is_table
from visavis.scale.shards import EmbeddingSettings

__all__ = ["Embedded", "EmbeddingSettings", "SavedTable", "embed_photos", "is_table"]
