"""Siamese face verification: are these two photos of the same person, and how often is that answer wrong?

The public names are here and are loaded when they are first used, so that `import visavis` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visavis.errors import (
        DataError,
        DownloadError,
        ImageError,
        LeakError,
        MissingDependencyError,
        ModelError,
        TrainingError,
        VisavisError,
    )
    from visavis.losses import contrastive_loss
    from visavis.pairs import generate_image_pairs, index_pairs

__version__ = "0.1.0"

_MODULE_OF = {
    "DataError": "errors",
    "DownloadError": "errors",
    "ImageError": "errors",
    "LeakError": "errors",
    "MissingDependencyError": "errors",
    "ModelError": "errors",
    "TrainingError": "errors",
    "VisavisError": "errors",
    "contrastive_loss": "losses",
    "generate_image_pairs": "pairs",
    "index_pairs": "pairs",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'visavis' has no attribute {name!r}")
    value = getattr(import_module(f"visavis.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *__all__])
