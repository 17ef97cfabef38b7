"""The model bill of materials: digests and licences of the networks that compare a photo, face detector included."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis.encoders.loading import load_encoder
from visavis.encoders.registry import Licences, known_encoders

__all__ = ["Material", "bill_of_materials"]

_DETECTOR = Path(__file__).parents[1] / "faces" / "weights" / "mtcnn.toml"


@dataclass(frozen=True)
class Material:
    """A network with its terms.

    Attributes:
        kind: `"encoder"` or `"detector"`.
        name: Its name, or the path of a model of your own.
        digests: SHA-256, hexadecimal, of the encoder, or of each file of the detector.
        source: Home page; empty: unknown.
        licences: Terms of code, weights and training data; empty: unknown.
    """

    kind: str
    name: str
    digests: dict[str, str]
    source: str
    licences: Licences

    def __str__(self) -> str:
        """Return one line for each fact."""
        terms = {f"licence ({part})": text or "not known" for part, text in vars(self.licences).items()}
        facts = {"source": self.source or "not known", **self.digests, **terms}
        return "\n".join([f"{self.kind}: {self.name}", *(f"  {name:<20} {text}" for name, text in facts.items())])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-serialisable values."""
        return {**vars(self), "licences": vars(self.licences)}


def bill_of_materials(model: str = "pretrained") -> tuple[Material, ...]:
    """Return the networks that a model needs: the encoder, and the detector for a model of aligned faces.

    Args:
        model: See `load_encoder`.

    Raises:
        ModelError: If it cannot be loaded.

    Example:
        >>> [(each.name, each.licences.weights) for each in bill_of_materials()]
        [('pretrained', 'Apache-2.0 (SFace, OpenCV Zoo)'), ('mtcnn', 'MIT')]
    """
    encoder = load_encoder(model)
    known = known_encoders().get(str(model))
    licences = Licences(weights=encoder.card.licence) if known is None else known.licences
    digests = {"digest": encoder.digest}
    found = Material("encoder", str(model), digests, "" if known is None else known.source, licences)
    return (found, _detector()) if encoder.card.aligned else (found,)


def _detector() -> Material:
    """Describe the bundled detector, whose digests are checked whenever it is loaded."""
    from visavis.faces.mtcnn import DIGESTS

    terms = tomllib.loads(_DETECTOR.read_text(encoding="utf-8"))
    licences = Licences(terms["code_licence"], terms["weights_licence"], terms["data_licence"])
    return Material("detector", "mtcnn", {f"{name}.onnx": digest for name, digest in DIGESTS.items()}, terms["source"], licences)
