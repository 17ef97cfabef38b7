"""A run folder is evaluated: on which people and pairs, and what the report holds."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from commands import width_of

import visavis
from visavis.errors import DataError
from visavis.evaluation.evaluate import EvaluationOptions, evaluate_model


def test_evaluation_leaves_out_people_of_the_training(run, folder, tmp_path):
    result = evaluate_model(run, str(folder), out=tmp_path, overwrite=True)
    assert (result.evaluation.people, result.left_out) == (3, 13)
    everybody = evaluate_model(run, str(folder), out=tmp_path, people="all", overwrite=True)
    assert (everybody.evaluation.people, everybody.left_out) == (16, 0)
    assert everybody.evaluation.trained_people
    assert "the model was trained on may be among these" in (tmp_path / "report.html").read_text()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in written), "faces in pictures are private"
    seen = visavis.load_dataset(folder, size=(32, 32)).select_people(visavis.Verifier(run).card.sides["train"].people)
    with pytest.raises(DataError, match="must be unseen, got 0 of 11"):
        evaluate_model(visavis.load_model(run), seen, out=tmp_path, overwrite=True)


def test_a_report_holds_all_it_needs(run, folder, tmp_path):
    result = evaluate_model(run, str(folder), out=tmp_path, overwrite=True)
    page = result.report.read_text()
    assert page.count("data:image/png;base64,") == 8
    assert "://" not in page
    assert f"{result.evaluation.eer:.2%}" in page
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["eer"] == result.evaluation.eer
    for name in ("accuracy", "precision", "recall", "fmr", "fnmr", "tar_at_fmr_1e-2", "tar_at_fmr_1e-3"):
        assert metrics[name] == metrics["counts"][name]["count"] / metrics["counts"][name]["trials"]
        low, high = metrics["intervals"][name]
        assert low <= metrics[name] <= high
    for picture in (tmp_path / "pictures").iterdir():
        assert width_of(picture) > 300


def test_a_protocol_of_ones_own(run, folder, tmp_path):
    people = visavis.Verifier(run).card.sides["test"].people
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["first", "second"], *([f"{people[0]}/0.png", f"{who}/1.png"] for who in people)])
    evaluation = evaluate_model(run, str(folder), options=EvaluationOptions(pairs=path), out=tmp_path, overwrite=True).evaluation
    assert (evaluation.curve.mated, evaluation.curve.nonmated) == (1, 2)
    assert evaluation.intervals["eer"][1] > 0.5
    assert evaluation.folded is None


def test_pairs_and_attributes_in_an_encoding_of_ones_own(run, folder, tmp_path):
    people = visavis.Verifier(run).card.sides["test"].people
    pairs, attributes = tmp_path / "pairs.csv", tmp_path / "attributes.csv"
    lines = ["first,second,größe", *(f"{people[0]}/0.png,{who}/1.png,é" for who in people)]
    pairs.write_text("\n".join(lines), encoding="cp1252")
    options = EvaluationOptions(pairs=pairs)
    with pytest.raises(DataError, match=r"pairs.csv: line 1: not utf-8 .* give the encoding cp1252"):
        evaluate_model(run, str(folder), options=options, out=tmp_path, overwrite=True)
    lines = ["person,größe", *(f"{who},é{number % 2}" for number, who in enumerate(people))]
    attributes.write_text("\n".join(lines), encoding="cp1252")
    options = EvaluationOptions(pairs=pairs, attributes=attributes, encoding="cp1252")
    evaluation = evaluate_model(run, str(folder), options=options, out=tmp_path, overwrite=True).evaluation
    assert (evaluation.curve.mated, evaluation.curve.nonmated) == (1, 2)
    assert evaluation.groups[0].attribute == "größe"


def test_pairs_of_people_of_the_training_are_left_out(run, folder, tmp_path):
    sides = visavis.Verifier(run).card.sides
    one, two, three = sides["test"].people
    path = tmp_path / "pairs.csv"
    rows = [(f"{one}/0.png", f"{one}/1.png", 0), (f"{one}/0.png", f"{two}/1.png", 0), (f"{three}/0.png", f"{three}/1.png", 1)]
    rows += [(f"{two}/0.png", f"{three}/0.png", 1), (f"{sides['train'].people[0]}/0.png", f"{one}/0.png", 1)]
    path.write_text("\n".join(["first,second,fold", *(",".join(map(str, row)) for row in rows)]))
    result = evaluate_model(run, str(folder), options=EvaluationOptions(pairs=path), out=tmp_path, overwrite=True)
    assert result.evaluation.name == "pairs, 4 of 5 pairs"
    assert [fold.accuracy.trials for fold in result.evaluation.folded.decisions] == [2, 2]
    assert "each of 2 folds at the best threshold of the others" in result.report.read_text()
    path.write_text(f"first,second\n{sides['train'].people[0]}/0.png,{one}/0.png\n")
    with pytest.raises(DataError, match="none of its 1 pair has both photos among those to be scored"):
        evaluate_model(run, str(folder), options=EvaluationOptions(pairs=path), out=tmp_path, overwrite=True)


def test_a_model_of_aligned_faces_is_not_measured_on_others(aligned_run, folder, tmp_path):
    with pytest.raises(DataError, match="visavis prepare"):
        evaluate_model(aligned_run, str(folder), out=tmp_path)


def test_few_people_are_evaluated_without_what_they_cannot_show(run, folder, tmp_path, monkeypatch):
    faces = visavis.load_dataset(folder, size=(32, 32))
    names = visavis.Verifier(run).card.sides["test"].people
    first, second = (faces.select_people([name]).sources for name in names[:2])
    three = faces.select([list(faces.sources).index(source) for source in (first[0], first[1], second[0])])
    lowest = int(np.argmin(np.linalg.norm(visavis.load_model(run).raw(three.faces), axis=1)))
    few = three.select([0, 1, 2, lowest, lowest])  # most photos have the lowest norm, so that it rejects all or none
    result = evaluate_model(run, few, out=tmp_path, overwrite=True)
    assert result.evaluation.quality == ()
    assert (result.evaluation.people, result.evaluation.photos) == (2, 5)
    one_each = faces.select([list(faces.sources).index(source) for source in (first[0], second[0])])
    with pytest.raises(DataError, match="mated pairs need a person with two photos, got 2 unseen people with one photo each"):
        evaluate_model(run, one_each, out=tmp_path, overwrite=True)


def test_a_rate_without_trials_is_undefined(run, folder, tmp_path):
    faces = visavis.load_dataset(folder, size=(32, 32))
    encoder = visavis.load_model(run)
    strict = replace(encoder.card.threshold, score=1.5)
    encoder = replace(encoder, card=replace(encoder.card, threshold=strict, operating_points=()))
    result = evaluate_model(encoder, faces, out=tmp_path, overwrite=True)
    assert "precision              undefined (0 of 0)" in str(result.evaluation)
    assert "nan%" not in result.report.read_text()
    metrics = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert metrics["precision"] is None and metrics["counts"]["precision"] == {"count": 0, "trials": 0}
