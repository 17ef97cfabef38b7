"""Verify photos with an embedding model: 1:1, and one anchor against many."""

from visavis.verification.verifier import AcquiredPhoto, FoundFace, Verdict, Verifier

__all__ = ["AcquiredPhoto", "FoundFace", "Verdict", "Verifier"]
