"""ONNX Runtime sessions: how many threads they use, and on which execution provider they run."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from visavis.errors import MissingDependencyError, check_option

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["PROVIDER_VARIABLE", "Provider", "batch_size", "open_session", "provider_of"]

Provider = Literal["auto", "cpu", "cuda", "coreml", "openvino", "directml"]

PROVIDER_VARIABLE = "VISAVIS_PROVIDER"
"""The environment variable that names the provider where no argument does."""

_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_PACKAGES = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino", "directml": "onnxruntime-directml"}
_PREFERENCE = ("cuda", "directml", "coreml", "openvino")
_BATCHES = {"cpu": 8}  # larger ones leave the cache
_ACCELERATOR_BATCH = 256

_logger = logging.getLogger("visavis")


def open_session(
    model: Path | bytes, *, threads: int | None = None, provider: Provider | None = None, dequantize: bool = False
) -> "onnxruntime.InferenceSession":
    """Load a model.

    Args:
        model: An ONNX file or its content.
        threads: Threads that share one run on the CPU; None: one for each core.
        provider: What runs it. `"auto"` takes the first that ONNX Runtime has of CUDA, DirectML, Core ML and OpenVINO, and the CPU
            where there is none or where it fails, which is logged as a warning. None: that of `VISAVIS_PROVIDER`, `"auto"` if it is
            not set.
        dequantize: Whether weights in 8 bits become float32 once, when the model is loaded, instead of at each run; for a model
            whose activations are not quantised.

    Raises:
        MissingDependencyError: If a provider was named that this installation of ONNX Runtime lacks or that cannot start.
        ValueError: If `provider` is none of these.
    """
    import onnxruntime  # not with the module, as training runs without it

    chosen: Any = provider if provider is not None else os.environ.get(PROVIDER_VARIABLE) or "auto"
    check_option(PROVIDER_VARIABLE if provider is None else "provider", chosen, Provider)
    available = onnxruntime.get_available_providers()
    if chosen not in ("auto", "cpu") and _NAMES[chosen] not in available:
        package = f". Try: pip install {_PACKAGES[chosen]}" if chosen in _PACKAGES else ""
        raise MissingDependencyError(f"provider {chosen!r} is not in this ONNX Runtime, which has {', '.join(available)}{package}")
    wanted = chosen if chosen != "auto" else next((name for name in _PREFERENCE if _NAMES[name] in available), "cpu")
    if wanted == "cpu":
        return _session(model, threads, "cpu", dequantize)
    try:
        session = _session(model, threads, wanted, dequantize)
        started, reason = provider_of(session) == wanted, "ONNX Runtime took another one"
    except Exception as error:  # ONNX Runtime's own errors have no common base
        started, reason = False, str(error).splitlines()[0]
    if started:
        return session
    if chosen != "auto":
        raise MissingDependencyError(f"provider {chosen!r} does not start: {reason}")
    _logger.warning("provider %r does not start (%s); the CPU is used", wanted, reason)
    return _session(model, threads, "cpu", dequantize)


def provider_of(session: "onnxruntime.InferenceSession") -> str:
    """Return the provider that runs a session, as `open_session` names it."""
    first = session.get_providers()[0]
    return next((name for name, full in _NAMES.items() if full == first), first)


def batch_size(session: "onnxruntime.InferenceSession") -> int:
    """Return how many faces at a time suit the provider of a session."""
    return _BATCHES.get(provider_of(session), _ACCELERATOR_BATCH)


def _session(model: Path | bytes, threads: int | None, provider: str, dequantize: bool) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    if dequantize:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    names = [_NAMES[provider]] if provider == "cpu" else [_NAMES[provider], _NAMES["cpu"]]
    return onnxruntime.InferenceSession(model, options, providers=names)
