"""Embedding models: faces in, embeddings of unit length out."""

from visavis.encoders.loading import PRETRAINED_FILE, Encoder, embed_faces, load_encoder, raw_embeddings
from visavis.encoders.onnx import OnnxEncoder
from visavis.encoders.photos import PhotoSource, as_faces, load_faces, read_photo

__all__ = [
    "PRETRAINED_FILE",
    "Encoder",
    "OnnxEncoder",
    "PhotoSource",
    "embed_faces",
    "as_faces",
    "load_encoder",
    "load_faces",
    "raw_embeddings",
    "read_photo",
]
