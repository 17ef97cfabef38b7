"""Faces with labels: readers, splits by person, protocol files, and generated faces."""

from visavis.data.arrays import read_arrays, read_npy, read_npz
from visavis.data.attributes import as_numbers, read_attributes
from visavis.data.dataset import DatasetSummary, FaceDataset, read_saved
from visavis.data.downloads import fetch_lfw, fetch_olivetti
from visavis.data.folders import PhotoFiles, open_photos, read_archive, read_folder
from visavis.data.generated import generate_faces
from visavis.data.lfw import lfw_folds, read_lfw, read_lfw_pairs
from visavis.data.loading import default_crop, is_aligned, load_dataset, read_pairs
from visavis.data.protocols import PairProtocol, read_pairs_csv
from visavis.data.splits import Split, check_leaks, kfold_people, split_people, split_photos

__all__ = [
    "DatasetSummary",
    "FaceDataset",
    "PairProtocol",
    "PhotoFiles",
    "Split",
    "as_numbers",
    "check_leaks",
    "default_crop",
    "is_aligned",
    "fetch_lfw",
    "fetch_olivetti",
    "generate_faces",
    "kfold_people",
    "lfw_folds",
    "load_dataset",
    "open_photos",
    "read_archive",
    "read_attributes",
    "read_arrays",
    "read_folder",
    "read_lfw",
    "read_lfw_pairs",
    "read_npy",
    "read_npz",
    "read_pairs",
    "read_pairs_csv",
    "read_saved",
    "split_people",
    "split_photos",
]
