"""The public names, each written down once: type checkers read this file, and `import visavis` loads a name at its first use."""

from .albums.finding import FindOptions as FindOptions, FoundPeople as FoundPeople, find_people as find_people
from .albums.reading import ReadingSettings as ReadingSettings
from .albums.sorting import Album as Album, sort_photos as sort_photos
from .albums.watching import (
    WatchEvent as WatchEvent,
    WatchOptions as WatchOptions,
    WatchSummary as WatchSummary,
    watch_video as watch_video,
)
from .data import (
    FaceDataset as FaceDataset,
    PairProtocol as PairProtocol,
    RenderOptions as RenderOptions,
    Split as Split,
    check_leaks as check_leaks,
    fetch_lfw as fetch_lfw,
    fetch_olivetti as fetch_olivetti,
    generate_faces as generate_faces,
    kfold_people as kfold_people,
    lfw_folds as lfw_folds,
    load_dataset as load_dataset,
    read_archive as read_archive,
    read_arrays as read_arrays,
    read_folder as read_folder,
    read_lfw as read_lfw,
    read_lfw_pairs as read_lfw_pairs,
    read_pairs as read_pairs,
    split_people as split_people,
    split_photos as split_photos,
)
from .data.audit import Audit as Audit, audit_dataset as audit_dataset
from .data.pairs import generate_image_pairs as generate_image_pairs, index_pairs as index_pairs
from .data.preparation import Preparation as Preparation, prepare_photos as prepare_photos
from .demo import run_demo as run_demo
from .encoders import load_encoder as load_encoder
from .encoders.browser_bundle import export_for_browser as export_for_browser
from .encoders.export import export_model as export_model
from .encoders.keras import load_model as load_model, save_model as save_model
from .errors import (
    DamagedGalleryError as DamagedGalleryError,
    DataError as DataError,
    DownloadError as DownloadError,
    FaceError as FaceError,
    GalleryError as GalleryError,
    GalleryKeyError as GalleryKeyError,
    ImageError as ImageError,
    LeakError as LeakError,
    MissingDependencyError as MissingDependencyError,
    ModelError as ModelError,
    SubjectConflictError as SubjectConflictError,
    TrainingError as TrainingError,
    UnknownSubjectError as UnknownSubjectError,
    VisavisError as VisavisError,
    WrongEncoderError as WrongEncoderError,
)
from .evaluation import (
    Claims as Claims,
    Evaluation as Evaluation,
    FoldedEvaluation as FoldedEvaluation,
    compare_reports as compare_reports,
    evaluate_all_pairs as evaluate_all_pairs,
    evaluate_folds as evaluate_folds,
    evaluate_protocol as evaluate_protocol,
)
from .evaluation.calibrate import CalibrationOptions as CalibrationOptions, calibrate_model as calibrate_model
from .evaluation.check import check_population as check_population
from .evaluation.evaluate import EvaluationOptions as EvaluationOptions, evaluate_model as evaluate_model
from .evaluation.inspection import InspectionOptions as InspectionOptions, inspect_data as inspect_data
from .evaluation.plots import test_visualize as test_visualize, visualize as visualize
from .evaluation.quantize import QuantizationOptions as QuantizationOptions, quantize_model as quantize_model
from .faces import (
    AcquisitionSettings as AcquisitionSettings,
    AlignedFace as AlignedFace,
    Crop as Crop,
    Face as Face,
    FaceDetector as FaceDetector,
    FaceFinder as FaceFinder,
    acquire_faces as acquire_faces,
)
from .gallery import Gallery as Gallery, Hit as Hit, Subject as Subject, open_gallery as open_gallery
from .images import Limits as Limits, read_image as read_image
from .models import build_embedding as build_embedding, build_siamese as build_siamese, embed as embed, embedding_of as embedding_of
from .models.losses import contrastive_loss as contrastive_loss
from .scale import Embedded as Embedded, EmbeddingSettings as EmbeddingSettings, embed_photos as embed_photos
from .training.augmentation import Augmentation as Augmentation
from .training.batches import BatchShape as BatchShape
from .training.cards import make_card as make_card
from .training.configuration import (
    FineTuning as FineTuning,
    Optimization as Optimization,
    TrainingConfig as TrainingConfig,
    Validation as Validation,
    config_for as config_for,
)
from .training.devices import Devices as Devices, use_devices as use_devices
from .training.experiments import DataSource as DataSource, train_model as train_model
from .training.results import TrainingRun as TrainingRun
from .training.run_options import RunOptions as RunOptions
from .training.trainer import train as train
from .verification import Verdict as Verdict, Verifier as Verifier
from .verification.comparisons import Comparison as Comparison, compare_photos as compare_photos, verify_photos as verify_photos
from .verification.estimator import SiameseVerifier as SiameseVerifier
from .verification.explanation import Explanation as Explanation, explain_photos as explain_photos
from .video import TrackingSettings as TrackingSettings, VideoSettings as VideoSettings

__version__: str
