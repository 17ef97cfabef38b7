"""Siamese face verification: are these two photos of the same person, and how often is that answer wrong?

The public names are listed in `__init__.pyi` and are loaded at their first use, so that `import visavis` costs nothing.
"""

from typing import Any

import lazy_loader

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    from visavis.errors import backend_named

    with backend_named():
        return _load(name)
