"""A small grid of the coverage benchmark: intervals hold the truth, and guaranteed thresholds keep their targets."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
DRAWS = 40


@pytest.fixture(scope="module")
def coverage():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = spec_from_file_location("coverage_benchmark", BENCHMARKS / "coverage.py")  # not the package of that name
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        patch.setattr(module, "_TRUTH_PAIRS", 200_000)
        yield module


@pytest.mark.parametrize(
    ("people", "photos", "kind", "encoder"),
    [
        (10, "balanced", "homogeneous", "zero-error"),
        (10, "Pareto", "wolves", "good"),
        (30, "balanced", "wolves", "ordinary"),
        (30, "balanced", "homogeneous", "good"),
        (100, "balanced", "wolves", "good"),
    ],
)
def test_intervals_hold_the_truth_in_each_cell(coverage, people, photos, kind, encoder):
    cell = coverage.synthetic(people, photos, kind, encoder, DRAWS)
    shares = {name: row["count"] / row["trials"] for name, row in cell["covered"].items()}
    assert shares and min(shares.values()) >= 0.9, shares
    assert cell["failures"] == []
    for row in cell["exceeded"].values():
        assert row["count"] <= 0.1 * row["trials"]
    assert cell["called_different"]["count"] <= 4 and cell["random_quality_helps"]["count"] <= 4


def test_a_cell_that_fails_is_named(coverage):
    bad = {"count": 70, "trials": 100, "upper": 0.83, "lower": 0.55}
    good = {"count": 1, "trials": 100, "upper": 0.09, "lower": 0.0}
    cell = {
        "covered": {"fmr": bad},
        "failures": ["fmr"],
        "exceeded": {"0.01": bad},
        "called_different": good,
        "random_quality_helps": bad,
    }
    assert coverage.failures({"a cell": cell}) == [
        "a cell: fmr covered 70 of 100 times",
        "a cell: guaranteed FMR 0.01 exceeded 70 of 100 times",
        "a cell: random_quality_helps 70 of 100 times",
    ]


def test_bounds_of_shares_are_those_of_clopper_and_pearson(coverage):
    row = coverage.rate([True] * 368 + [False] * 32)
    assert (row["count"], row["trials"]) == (368, 400)
    assert row["lower"] < 0.92 < row["upper"] < 0.96
    assert coverage.rate([True] * 340 + [False] * 60)["upper"] < 0.92
    assert coverage.rate([])["upper"] == 1 and np.isclose(coverage.rate([False] * 10)["lower"], 0)
