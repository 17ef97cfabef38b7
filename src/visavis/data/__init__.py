"""Labelled faces: the intake of photos, readers, splits by person, protocol files, and generated faces."""

from visavis.data.arrays import read_arrays, read_npy, read_npz
from visavis.data.attributes import as_numbers, read_attributes
from visavis.data.bin_files import read_bin
from visavis.data.dataset import DatasetSummary, FaceDataset, read_saved
from visavis.data.downloads import fetch_lfw, fetch_olivetti
from visavis.data.folders import PhotoFiles, open_photos, read_archive, read_folder
from visavis.data.generated import RenderOptions, generate_faces
from visavis.data.intake import Intake, IntakeRules, PassedOver
from visavis.data.labels import number_labels
from visavis.data.lfw import lfw_folds, read_lfw, read_lfw_pairs
from visavis.data.loading import default_crop, is_aligned, load_dataset, read_pairs
from visavis.data.names import check_name, normalise_name, shown_name
from visavis.data.protocols import PairProtocol, read_pairs_csv
from visavis.data.splits import Split, check_leaks, kfold_people, split_people, split_photos

__all__ = [
    "DatasetSummary",
    "FaceDataset",
    "Intake",
    "IntakeRules",
    "PairProtocol",
    "PassedOver",
    "PhotoFiles",
    "RenderOptions",
    "Split",
    "as_numbers",
    "check_leaks",
    "check_name",
    "default_crop",
    "is_aligned",
    "fetch_lfw",
    "fetch_olivetti",
    "generate_faces",
    "kfold_people",
    "lfw_folds",
    "load_dataset",
    "normalise_name",
    "number_labels",
    "open_photos",
    "read_archive",
    "read_attributes",
    "read_arrays",
    "read_bin",
    "read_folder",
    "read_lfw",
    "read_lfw_pairs",
    "read_npy",
    "read_npz",
    "read_pairs",
    "read_pairs_csv",
    "read_saved",
    "shown_name",
    "split_people",
    "split_photos",
]
