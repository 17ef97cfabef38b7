"""The exceptions, and the checks of arguments that take one of a few values or numbers."""

from typing import Literal

import numpy as np
import pytest

import visavis
from visavis.data import IntakeRules
from visavis.data.generated import RenderOptions
from visavis.errors import check_option
from visavis.gallery.enrolling import EnrolmentOptions
from visavis.images import Limits
from visavis.metrics.reliability import Costs
from visavis.training.run_options import RunOptions


@pytest.mark.parametrize("value", ["person", "photo"])
def test_an_option_of_the_literal_passes(value):
    check_option("split", value, Literal["person", "photo"])


@pytest.mark.parametrize(
    ("options", "value", "message"),
    [
        (Literal["person", "photo"], "people", "split must be 'person' or 'photo', got 'people'"),
        (Literal["person", "photo"], None, "split must be 'person' or 'photo', got None"),
        (Literal["person", "photo"], 1, "split must be 'person' or 'photo', got 1"),
        (Literal["a", "b", "c"], "A", "split must be 'a', 'b' or 'c', got 'A'"),
        (Literal["centre"], "center", "split must be 'centre', got 'center'"),
    ],
)
def test_anything_else_is_named_with_what_would_be_right(options, value, message):
    with pytest.raises(ValueError) as error:
        check_option("split", value, options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "values", "message"),
    [
        (visavis.FaceFinder, {"min_face": "20"}, "min_face must be a whole number, got '20'"),
        (visavis.FaceFinder, {"min_score": np.nan}, "min_score must be a finite number, got nan"),
        (visavis.EvaluationOptions, {"sample": 2.5}, "sample must be a whole number or None, got 2.5"),
        (visavis.EvaluationOptions, {"prior": "0.5"}, "prior must be a finite number, got '0.5'"),
        (visavis.EvaluationOptions, {"include_fta": "no"}, "include_fta must be True or False, got 'no'"),
        (visavis.CalibrationOptions, {"progress": None}, "progress must be True or False, got None"),
        (visavis.FindOptions, {"threshold": "0.4"}, "threshold must be a finite number or None, got '0.4'"),
        (visavis.ReadingSettings, {"workers": 1.5}, "workers must be a whole number or None, got 1.5"),
        (visavis.EmbeddingSettings, {"aligned": "yes"}, "aligned must be True or False, got 'yes'"),
        (visavis.Augmentation, {"rotation": "10"}, "rotation must be a finite number, got '10'"),
        (visavis.Augmentation, {"flip": 1.5}, r"flip must be in \[0, 1\], got 1.5"),
        (visavis.Augmentation, {"noise": -1}, "noise must be at least 0, got -1"),
        (visavis.BatchShape, {"people": None}, "people must be a whole number, got None"),
        (visavis.DataSource, {"data": "faces", "size": "64"}, "size must be a whole number, got '64'"),
        (RunOptions, {"resume": 1}, "resume must be True or False, got 1"),
        (RenderOptions, {"workers": 1.0}, "workers must be a whole number, got 1.0"),
        (EnrolmentOptions, {"people_depth": "1"}, "people_depth must be a whole number or None, got '1'"),
        (IntakeRules, {"people_depth": True}, "people_depth must be a whole number or None, got True"),
        (Limits, {"max_bytes": 1e6}, "max_bytes must be a whole number, got 1000000.0"),
        (Costs, {"prior": "0.1"}, "prior must be a finite number, got '0.1'"),
    ],
)
def test_numbers_of_options_are_checked_by_their_type(options, values, message):
    with pytest.raises(ValueError, match=message):
        options(**values)


def test_numbers_of_numpy_are_numbers():
    finder = visavis.FaceFinder(min_face=np.int64(20), min_score=np.float32(0.5))
    assert (finder.min_face, finder.min_score) == (20, 0.5)
    assert visavis.BatchShape(people=np.uint8(8)).people == 8
