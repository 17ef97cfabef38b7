"""A folder with which two photos are verified in a browser: model, face detector, card, and a module with an example page."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from visavis import __version__
from visavis.encoders.loading import Encoder, load_encoder
from visavis.encoders.materials import Material, bill_of_materials
from visavis.encoders.onnx import QUANTIZED_KEY, OnnxEncoder, copy_with_card, load_onnx
from visavis.errors import DataError, ModelError
from visavis.faces import FaceFinder
from visavis.faces.crops import CANONICAL_CROP
from visavis.faces.mtcnn import DIGESTS, WEIGHTS
from visavis.files import atomic_write, check_path
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["export_for_browser"]

_FORMAT = 1
_SCRIPTS = Path(__file__).parent / "browser"
_NOTICES = (WEIGHTS / "NOTICE.txt",)
_SFACE_NOTICES = tuple(Path(__file__).parent / "weights" / name for name in ("NOTICE.txt", "LICENSE-Apache-2.0.txt"))


def export_for_browser(model: Path | str, out: Path | str, *, overwrite: bool = False) -> Path:
    """Write a folder that a web server can publish as it is, apart from onnxruntime-web, which npm installs into it.

    Photos are decoded, faces detected, aligned and embedded in the browser, with the arithmetic of `Verifier`. The card in the
    folder has thresholds, calibration, crop, digests and licences, and names no person: `model.onnx` has digests instead of
    people's names.

    Args:
        model: What `load_encoder` takes; a Keras model needs the extra `export`.
        out: The folder to write.
        overwrite: Whether files of these names may be replaced in a folder that is not empty.

    Returns:
        `out`.

    Raises:
        DataError: If the folder is not empty and `overwrite` is not set.
        ModelError: If the model cannot be read, has no threshold, or is not run by ONNX Runtime.
        MissingDependencyError: If the converter of Keras models is not installed.
    """
    out = check_path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not overwrite:
        raise DataError(f"{out}: must be a new or empty folder. Choose another one, or replace its files with --overwrite")
    encoder = load_encoder(model)
    encoder.card.rule()
    materials = tuple(replace(each, name=Path(each.name).name) for each in bill_of_materials(str(model)))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as folder:
        bundle = Path(folder)
        written = _write_model(encoder, bundle / "model.onnx")
        shutil.copytree(_SCRIPTS, bundle, dirs_exist_ok=True)
        for name in DIGESTS if encoder.card.aligned else ():
            shutil.copyfile(WEIGHTS / f"{name}.onnx", bundle / f"{name}.onnx")
        (bundle / "card.json").write_text(json.dumps(_card(written, bundle, materials), indent=1), encoding="utf-8")
        (bundle / "LICENCES.txt").write_text(_licences(encoder, materials), encoding="utf-8")
        for path in sorted(bundle.iterdir()):
            with atomic_write(out / path.name) as temporary:
                os.replace(path, temporary)
    return out


def _write_model(encoder: Encoder, path: Path) -> OnnxEncoder:
    """Write a model as one ONNX file with a card that has no names, and load it again."""
    if isinstance(encoder, OnnxEncoder):
        copy_with_card(encoder, encoder.card.without_names(), path)
    else:
        from visavis.encoders.export import export_model
        from visavis.encoders.keras import KerasEncoder

        if not isinstance(encoder, KerasEncoder):
            raise ModelError("this encoder cannot run in a browser. Name a run folder, or a .keras or .onnx file")
        export_model(encoder, path, names=False)
    return load_onnx(path)


def _card(encoder: OnnxEncoder, bundle: Path, materials: tuple[Material, ...]) -> dict[str, Any]:
    """Return what the scripts and the reader of the page need to know of the model."""
    card = encoder.card
    return {
        "format": _FORMAT,
        "visavis": __version__,
        "model": materials[0].name,
        "digest": encoder.digest,
        "created": card.created,
        "data": card.data,
        "input": _input(encoder),
        "threshold": _rule(card.rule()),
        "operating_points": [_rule(rule) for rule in card.operating_points],
        "calibration": None if card.calibration is None else asdict(card.calibration),
        "detector": asdict(FaceFinder()) if card.aligned else None,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(bundle.glob("*.onnx"))},
        "licences": {material.name: asdict(material.licences) for material in materials},
    }


def _input(encoder: OnnxEncoder) -> dict[str, Any]:
    """Return how a photo becomes the input of the network."""
    description, shape = encoder.description, encoder.session.get_inputs()[0].shape
    mean, scale = (0.0, 1.0) if description is None else (description.mean, description.scale)
    channels_first = description is not None and shape[1] == encoder.card.crop.channels
    return {
        "crop": encoder.card.crop.to_json(),
        "canonical": CANONICAL_CROP.to_json(),
        "layout": "nchw" if channels_first else "nhwc",
        "batch": shape[0] if isinstance(shape[0], int) else None,
        "reversed": description is not None and encoder.card.crop.colour == "bgr",
        "mean": list(mean) if isinstance(mean, tuple) else [mean],
        "scale": list(scale) if isinstance(scale, tuple) else [scale],
        "flip": encoder.card.flip,
        "dequantize": QUANTIZED_KEY in encoder.session.get_modelmeta().custom_metadata_map,
    }


def _rule(rule: OperatingPoint) -> dict[str, Any]:
    """Return an operating point with its rates as numbers and as text."""
    return {**asdict(rule), "measured_on": rule.measured_on, "summary": str(rule)}


def _licences(encoder: Encoder, materials: tuple[Material, ...]) -> str:
    """Return the terms of all that the folder holds."""
    notices = (*(_NOTICES if encoder.card.aligned else ()), *(_SFACE_NOTICES if "NOTICE" in encoder.card.licence else ()))
    texts = [f"{path.parent.parent.name}: {path.name}\n\n{path.read_text(encoding='utf-8')}" for path in notices]
    return "\n\n".join(["scripts and page: MIT (LICENSE.txt)", *map(str, materials), *texts])
