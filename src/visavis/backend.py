"""Keras, imported without the start-up messages of its backend."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keras", "layers", "ops", "stderr_discarded"]


@contextmanager
def stderr_discarded() -> Iterator[None]:
    """Discard what native code writes to file descriptor 2; exceptions are not affected.

    TensorFlow prints lines from C++ while it is imported, before its own log level applies.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # for what TensorFlow logs later: warnings and errors only
if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow's faster kernels, which it uses by itself only on processors with AVX-512 for neural networks.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
with stderr_discarded():
    import keras as keras
    from keras import layers as layers, ops as ops
