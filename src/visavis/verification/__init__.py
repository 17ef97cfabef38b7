"""Verify photos with an embedding model: 1:1, and one anchor against many."""

from visavis.verification.verdicts import FoundFace, Verdict
from visavis.verification.verifier import AcquiredPhoto, Verifier

__all__ = ["AcquiredPhoto", "FoundFace", "Verdict", "Verifier"]
