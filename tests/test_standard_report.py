"""The test report in the form of ISO/IEC 19795-1, and failures to acquire counted into the FNMR."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from commands import width_of

import visavis
from visavis.errors import DataError
from visavis.evaluation.evaluate import EvaluationOptions, evaluate_model
from visavis.evaluation.protocols import Claims, evaluate_scores
from visavis.evaluation.standard_plots import plot_fmr_matrix, plot_log_det, plot_zoo
from visavis.metrics import score_all_pairs
from visavis.metrics.concentration import person_errors
from visavis.metrics.error_table import TABLE_FMR
from visavis.metrics.reliability import Costs
from visavis.metrics.subgroups import evaluate_groups


def people(count=60, photos=4, *, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), photos)
    rows = rng.normal(size=(count, 24))[labels] + 0.8 * rng.normal(size=(len(labels), 24))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def prepared(folder, aligned_run, tmp_path):
    """Aligned faces, with a list of photos from which no face was acquired."""
    faces = tmp_path / "faces"
    shutil.copytree(aligned_run.parent / "faces", faces)
    seen = visavis.Verifier(aligned_run).card.sides["train"].people[0]
    unseen = visavis.Verifier(aligned_run).card.sides["test"].people[0]
    failures = [("a.jpg", unseen), ("b.jpg", unseen), ("c.jpg", "someone else"), ("d.jpg", ""), ("e.jpg", seen)]
    lines = ["source,person,reason", *(f"{source},{person},no face was found" for source, person in failures)]
    (faces / "failures.csv").write_text("\n".join(lines))
    return faces


def test_the_report_states_the_test_and_holds_its_numbers(run, folder, tmp_path):
    attributes = tmp_path / "people.csv"
    names = [f"person-{number:02d}" for number in range(16)]
    attributes.write_text(
        "person,age\n" + "\n".join(f"{name},{'old' if place % 2 else 'young'}" for place, name in enumerate(names))
    )
    options = EvaluationOptions(attributes=attributes, standard_report=tmp_path / "standard", command="visavis evaluate")
    result = evaluate_model(run, str(folder), people="all", options=options, out=tmp_path / "report")
    out = tmp_path / "standard"
    page = (out / "report.html").read_text()
    for clause in (
        "ISO/IEC 19795-1",
        "Test crew",
        "Decision policy",
        "Failure to acquire",
        "Smallest false match rate shown",
        "Zoo plot",
    ):
        assert clause in page
    assert "://" not in page and page.count("data:image/png;base64,") == 3
    assert "may be among them" in page
    det = rows_of(out / "det.csv")
    assert all(float(row["fnmr_low"]) <= float(row["fnmr"]) <= float(row["fnmr_high"]) for row in det)
    smallest = result.evaluation.smallest_fmr
    assert [row["extrapolated"] for row in det] == [str(int(float(row["fmr"]) < smallest)) for row in det]
    assert rows_of(out / "error_rates.csv") == []  # sixteen people show no rate of the table
    assert "left out, since these people show" in page
    matrix = rows_of(out / "fmr_matrix_age.csv")
    assert [(row["first"], row["second"]) for row in matrix] == [("old", "old"), ("young", "young"), ("old", "young")]
    errors = rows_of(out / "people.csv")
    assert len(errors) == 16
    assert sum(int(float(row["false_nonmatches"])) for row in errors) == result.evaluation.decisions.fn
    assert sum(int(float(row["false_matches"])) for row in errors) == 2 * result.evaluation.decisions.fp
    assert not any(name in (out / "people.csv").read_text() for name in names)
    summary = json.loads((out / "report.json").read_text())
    assert [row["name"] for row in summary["zoo"]] == ["chameleons", "phantoms", "doves", "worms"]
    assert summary["evaluation"]["predictions"]["fmr"][0] <= result.evaluation.decisions.fmr.value
    for picture in ("det", "fmr_matrix_age", "zoo"):
        assert width_of(out / "pictures" / f"{picture}.png") > 500


def test_the_table_ends_where_the_people_show_no_smaller_rate():
    evaluation = evaluate_scores(score_all_pairs(*people(300, 3)), Claims(), name="300 people")
    shown = [row.fmr for row in evaluation.error_table]
    assert shown == [fmr for fmr in TABLE_FMR if fmr >= evaluation.smallest_fmr] and 0.1 in shown and 1e-6 not in shown
    for row in evaluation.error_table:
        assert row.reached.value <= row.fmr < 2 * row.reached.value
        assert evaluation.curve.at(row.threshold).fnmr.count == row.fnmr.count
        assert row.fnmr.interval[0] < row.fnmr.value < row.fnmr.interval[1]
        assert row.reached.interval[0] < row.reached.value < row.reached.interval[1]
    assert [row["fmr"] for row in evaluation.to_json()["error_table"]] == shown


def test_failures_to_acquire_are_counted_where_asked(aligned_run, prepared, tmp_path):
    plain = evaluate_model(aligned_run, str(prepared), out=tmp_path / "plain").evaluation
    counted = evaluate_model(
        aligned_run, str(prepared), out=tmp_path / "fta", options=EvaluationOptions(include_fta=True)
    ).evaluation
    for evaluation in (plain, counted):  # failures of the training person and of nobody are not counted
        assert (evaluation.acquisition.rate.count, evaluation.acquisition.rate.trials) == (3, 15)
    assert not plain.acquisition.counted and counted.acquisition.counted
    assert counted.curve.mated == plain.curve.mated + 4 + 4 + 1
    assert counted.decisions.fnmr.count == plain.decisions.fnmr.count + 9
    assert counted.decisions.fmr == plain.decisions.fmr
    assert counted.intervals["cllr"] == plain.intervals["cllr"]
    assert counted.data_digest != plain.data_digest
    assert re.search(r"failure to acquire 20\.00% .* counted into the FNMR", str(counted))
    assert json.loads((tmp_path / "fta" / "metrics.json").read_text())["failure_to_acquire"]["counted_into_fnmr"] is True


def test_failures_must_be_known_to_be_counted(run, folder, tmp_path):
    with pytest.raises(DataError, match=r"known only of a folder that visavis prepare wrote, with failures\.csv"):
        evaluate_model(run, str(folder), out=tmp_path, options=EvaluationOptions(include_fta=True))
    with pytest.raises(ValueError, match="include_fta needs all pairs"):
        EvaluationOptions(include_fta=True, sample=10)


def test_detection_costs_of_ones_own_are_reported(run, folder, tmp_path):
    options = EvaluationOptions(costs=(Costs(0.2, miss=1.0, false_match=10.0),))
    evaluation = evaluate_model(run, str(folder), out=tmp_path, options=options).evaluation
    row = evaluation.to_json()["costs"]["detection_costs"][-1]
    assert (row["prior"], row["miss"], row["false_match"]) == (0.2, 1.0, 10.0)
    assert 0 <= row["min_dcf"] <= row["dcf"]


def test_plots_of_the_standard_report_show_what_they_name():
    rows, labels = people()
    scores = score_all_pairs(rows, labels)
    evaluation = evaluate_scores(scores, Claims(), name="people")
    det = plot_log_det(evaluation.curve, evaluation.resampled_curves)
    assert {"shown by these people", "extrapolated"} < {text.get_text() for text in det.get_legend().get_texts()}
    shown = next(line for line in det.get_lines() if line.get_label() == "shown by these people")
    assert np.min(shown.get_xdata()) >= evaluation.smallest_fmr
    values = np.where(labels < 30, "a", np.where(labels < 58, "b", "c"))
    groups = evaluate_groups(scores, values, threshold=evaluation.threshold)
    texts = [text.get_text() for text in plot_fmr_matrix(groups).texts]
    assert len(texts) == 9 and texts[1] == texts[3]  # symmetric
    assert "too few people" in texts[8]
    zoo = plot_zoo(person_errors(rows, scores, evaluation.threshold))
    assert {"chameleons", "worms", "doves", "phantoms"} == {text.get_text() for text in zoo.texts}
