"""Siamese face verification: are these two photos of the same person, and how often is that answer wrong?

The public names are here and are loaded when they are first used, so that `import visavis` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visavis.assessment import evaluate_model
    from visavis.audit import Audit, audit_dataset
    from visavis.augmentation import Augmentation
    from visavis.comparisons import Comparison, compare_photos, verify_photos
    from visavis.configuration import TrainingConfig, config_for
    from visavis.datasets import (
        FaceDataset,
        PairProtocol,
        Split,
        check_leaks,
        fetch_lfw,
        fetch_olivetti,
        generate_faces,
        kfold_people,
        lfw_folds,
        load_dataset,
        read_archive,
        read_arrays,
        read_folder,
        read_lfw,
        read_lfw_pairs,
        read_pairs,
        split_people,
        split_photos,
    )
    from visavis.demo import run_demo
    from visavis.devices import Devices, use_devices
    from visavis.encoders import load_encoder
    from visavis.errors import (
        DamagedGalleryError,
        DataError,
        DownloadError,
        FaceError,
        GalleryError,
        GalleryKeyError,
        ImageError,
        LeakError,
        MissingDependencyError,
        ModelError,
        TrainingError,
        UnknownSubjectError,
        VisavisError,
        WrongEncoderError,
    )
    from visavis.estimator import SiameseVerifier
    from visavis.evaluation import (
        Evaluation,
        FoldedEvaluation,
        compare_reports,
        evaluate_all_pairs,
        evaluate_folds,
        evaluate_protocol,
    )
    from visavis.experiments import DataSource, train_model
    from visavis.explanation import Explanation, explain_photos
    from visavis.export import export_model
    from visavis.faces import AlignedFace, Face, FaceFinder, acquire_faces
    from visavis.gallery import Gallery, Hit, Subject, open_gallery
    from visavis.images import Limits, read_image
    from visavis.inspection import inspect_data
    from visavis.losses import contrastive_loss
    from visavis.models import build_embedding, build_siamese, embed, embedding_of
    from visavis.pairs import generate_image_pairs, index_pairs
    from visavis.plots import test_visualize, visualize
    from visavis.preparation import Preparation, prepare_photos
    from visavis.recalibration import calibrate_model
    from visavis.runs import load_model, make_card, save_model
    from visavis.sampling import BatchShape
    from visavis.scale import Embedded, EmbeddingSettings, embed_photos
    from visavis.training import TrainingRun, train
    from visavis.verification import Verdict, Verifier

__version__ = "0.1.0"

_NAMES_IN = {
    "assessment": "evaluate_model",
    "audit": "Audit audit_dataset",
    "augmentation": "Augmentation",
    "comparisons": "Comparison compare_photos verify_photos",
    "configuration": "TrainingConfig config_for",
    "datasets": "FaceDataset PairProtocol Split check_leaks fetch_lfw fetch_olivetti generate_faces kfold_people lfw_folds "
    "load_dataset read_archive read_arrays read_folder read_lfw read_lfw_pairs read_pairs split_people split_photos",
    "demo": "run_demo",
    "devices": "Devices use_devices",
    "encoders": "load_encoder",
    "errors": "DamagedGalleryError DataError DownloadError FaceError GalleryError GalleryKeyError ImageError LeakError "
    "MissingDependencyError ModelError TrainingError UnknownSubjectError VisavisError WrongEncoderError",
    "estimator": "SiameseVerifier",
    "evaluation": "Evaluation FoldedEvaluation compare_reports evaluate_all_pairs evaluate_folds evaluate_protocol",
    "experiments": "DataSource train_model",
    "explanation": "Explanation explain_photos",
    "export": "export_model",
    "faces": "AlignedFace Face FaceFinder acquire_faces",
    "gallery": "Gallery Hit Subject open_gallery",
    "images": "Limits read_image",
    "inspection": "inspect_data",
    "losses": "contrastive_loss",
    "models": "build_embedding build_siamese embed embedding_of",
    "pairs": "generate_image_pairs index_pairs",
    "plots": "test_visualize visualize",
    "preparation": "Preparation prepare_photos",
    "recalibration": "calibrate_model",
    "runs": "load_model make_card save_model",
    "sampling": "BatchShape",
    "scale": "Embedded EmbeddingSettings embed_photos",
    "training": "TrainingRun train",
    "verification": "Verdict Verifier",
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names.split()}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'visavis' has no attribute {name!r}")
    from visavis.errors import backend_named

    with backend_named():
        value = getattr(import_module(f"visavis.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *__all__])
