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
    assert all(row["upper"] >= 0.92 for row in cell["predicted"].values())
    for row in cell["exceeded"].values():
        assert row["count"] <= 0.1 * row["trials"]
    assert cell["called_different"]["count"] <= 4 and cell["random_quality_helps"]["count"] <= 4


def test_a_cell_that_fails_is_named(coverage):
    bad = {"count": 70, "trials": 100, "upper": 0.83, "lower": 0.55}
    good = {"count": 1, "trials": 100, "upper": 0.09, "lower": 0.0}
    cell = {
        "covered": {"fmr": bad},
        "failures": ["fmr"],
        "predicted": {"fnmr": bad, "fmr": {"count": 99, "trials": 100, "upper": 1.0, "lower": 0.9}},
        "exceeded": {"0.01": bad},
        "called_different": good,
        "random_quality_helps": bad,
    }
    assert coverage.failures({"a cell": cell}) == [
        "a cell: fmr covered 70 of 100 times",
        "a cell: predicted fnmr met 70 of 100 times",
        "a cell: guaranteed FMR 0.01 exceeded 70 of 100 times",
        "a cell: random_quality_helps 70 of 100 times",
    ]


def test_the_page_names_cells_that_are_missing_or_fail(coverage):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        from coverage_lines import coverage_lines, guarantee_lines
    cell = {**coverage.synthetic(10, "balanced", "wolves", "good", 3), "draws": 3, "failures": ["fmr"]}
    lines = list(coverage_lines({"cells": {"10 people, balanced, wolves, good": cell}, "command": "python"}))
    assert any(line.startswith("| 10 | balanced | wolves | 3 | ") for line in lines)
    (failed,) = (line for line in lines if line.startswith("Cells whose"))
    assert "10 people, balanced, wolves, good: fmr" in failed
    assert failed.endswith("Not computed yet: all of 10, 30, 100, 300 people.")  # no row has all encoders
    shares = {name: coverage.rate([True, False]) for name in ("accepted", "exceeded")}
    row = {**shares, "advised": {"median": 311.0}, "limit": {"exceeded": coverage.rate([])}}
    (last,) = list(guarantee_lines({"cells": {"FMR 0.01, Pareto, wolves": row}, "command": "python"}))[-1:]
    assert last == "| 1 % | Pareto | wolves | 311 | 1 of 2 (50.0 %) | 1 of 2 (50.0 %) | none given |"


def test_bounds_of_shares_are_those_of_clopper_and_pearson(coverage):
    row = coverage.rate([True] * 368 + [False] * 32)
    assert (row["count"], row["trials"]) == (368, 400)
    assert row["lower"] < 0.92 < row["upper"] < 0.96
    assert coverage.rate([True] * 340 + [False] * 60)["upper"] < 0.92
    assert coverage.rate([])["upper"] == 1 and np.isclose(coverage.rate([False] * 10)["lower"], 0)
