"""Errors by subgroup and by quality: against counts made pair by pair, and their summaries."""

import json
from itertools import combinations

import numpy as np
import pytest

import visavis
from visavis.data import as_numbers, read_attributes
from visavis.encoders.card import Card
from visavis.encoders.keras import save_model
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.metrics import score_all_pairs, unit_rows
from visavis.metrics.quality import evaluate_quality
from visavis.metrics.subgroups import evaluate_groups
from visavis.models import build_embedding, build_siamese


def rows_of(people, photos, *, spread=0.8, size=10, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), photos)
    return unit_rows(rng.normal(size=(people, size))[labels] + spread * rng.normal(size=(len(labels), size))), labels


def pairs_by_hand(rows, labels, values, one, other, threshold):
    """False matches, non-mated pairs, false non-matches and mated pairs between two groups, one by one."""
    found = np.zeros(4, dtype=int)
    for i, j in combinations(range(len(labels)), 2):
        if {values[i], values[j]} == {one, other} and (one != other or values[i] == values[j]):
            accepted = rows[i] @ rows[j] >= threshold
            found += [0, 0, not accepted, 1] if labels[i] == labels[j] else [accepted, 1, 0, 0]
    return found.tolist()


def test_groups_are_counted_within_and_between():
    rows, labels = rows_of(12, 4)
    values = np.random.default_rng(1).choice(["glasses", "none", ""], len(labels))
    found = evaluate_groups(score_all_pairs(rows, labels), values, threshold=0.3, attribute="eyes")
    assert [group.name for group in found.groups] == ["glasses", "none", "glasses with none"]
    for group in found.groups:
        counts = [group.fmr.count, group.fmr.trials, group.fnmr.count, group.fnmr.trials]
        assert counts == pairs_by_hand(rows, labels, values, group.first, group.second, 0.3)
        assert group.fmr.interval[0] <= group.fmr.value <= group.fmr.interval[1]


def test_a_group_that_is_worse_off_is_named_and_a_small_one_too():
    clear, labels = rows_of(60, 4, spread=0.3)
    blurred, _ = rows_of(60, 4, spread=1.5, seed=1)
    few, _ = rows_of(3, 2, seed=2)
    rows = np.concatenate([clear, blurred, few])
    labels = np.concatenate([labels, labels + 60, np.repeat([120, 121, 122], 2)])
    values = np.repeat(["clear", "poor", "rare"], [240, 240, 6])
    found = evaluate_groups(score_all_pairs(rows, labels), values, threshold=0.6, attribute="light")
    assert found.findings[1].startswith("light: the false non-match rate is higher for poor (")
    assert found.findings[2] == "Too few people to show both error rates: clear, poor, rare."
    plain = found.to_json()
    assert plain["groups"][0]["fnmr"]["enough"] is True
    assert plain["groups"][2]["fnmr"]["enough"] is False
    assert [group["fnmr"]["value"] for group in plain["groups"] if group["first"] != group["second"]] == [None] * 3
    same = evaluate_groups(score_all_pairs(clear, labels[:240]), np.tile(["a", "b"], 120), threshold=0.93, attribute="light")
    assert same.findings[1] == "light: no difference in the false non-match rate shown between groups of this size."
    with pytest.raises(DataError, match="light must have 2 to 20 groups, got 1"):
        evaluate_groups(score_all_pairs(rows, labels), np.full(len(labels), "a"), threshold=0.6, attribute="light")


def test_discarding_poor_photos_is_counted_by_pairs_that_are_left():
    rows, labels = rows_of(15, 4)
    quality = np.random.default_rng(3).permutation(len(labels)).astype(float)
    quality[5] = np.nan
    found = evaluate_quality(score_all_pairs(rows, labels), quality, threshold=0.3, measure="sharpness")
    assert found.rejected[0] == 0
    for gate, rejected, fmr, fnmr in zip(found.gates, found.rejected, found.fmr, found.fnmr, strict=True):
        kept = np.flatnonzero(~(quality < gate))
        assert rejected == pytest.approx(1 - len(kept) / len(labels))
        decisions = score_all_pairs(rows[kept], labels[kept]).curve.at(0.3)
        assert (fmr.count, fmr.trials) == (decisions.fp, decisions.fp + decisions.tn)
        assert (fnmr.count, fnmr.trials) == (decisions.fn, decisions.fn + decisions.tp)
    with pytest.raises(DataError, match="sharpness: half of the photos or more have the lowest quality"):
        evaluate_quality(score_all_pairs(rows, labels), np.zeros(len(labels)), threshold=0.3, measure="sharpness")


def test_a_gate_that_helps_and_one_that_does_not():
    rows, labels = rows_of(60, 5, spread=0.3)
    poor = np.arange(len(labels)) % 10 == 0
    rows[poor] = rows_of(60, 5, spread=3, seed=4)[0][poor]
    pairs = score_all_pairs(rows, labels)
    good = evaluate_quality(pairs, np.where(poor, 0.0, 1.0) + np.arange(len(labels)) / 1000, threshold=0.6)
    assert good.fnmr[-1].value < 0.1 < good.fnmr[0].value
    assert good.helps and good.finding.endswith("it helps")
    bad = evaluate_quality(pairs, np.where(poor, 1.0, 0.0) + np.arange(len(labels)) / 1000, threshold=0.6)
    assert bad.helps is False and bad.finding.endswith("no gain shown")
    few = evaluate_quality(pairs, np.where(poor, 0.0, 1.0) + np.arange(len(labels)) / 1000, threshold=-0.7)
    assert few.helps is None and "too few people with errors" in few.finding


def test_random_quality_is_rarely_said_to_help():
    said = 0
    for seed in range(60):
        rows, labels = rows_of(20, 4, spread=0.9, seed=seed)
        quality = np.random.default_rng(seed).permutation(len(labels)).astype(float)
        said += bool(evaluate_quality(score_all_pairs(rows, labels), quality, threshold=0.5).helps)
    assert said <= 4


def test_attributes_of_people_and_of_photos(tmp_path):
    faces = visavis.generate_faces(3, 2, size=32)
    people = tmp_path / "people.csv"
    people.write_text(f"person,age,smile\n{faces.people[0]},30,yes\n{faces.people[2]}, ,no\nstranger,9,no\n")
    found = read_attributes(people, faces)
    assert found["smile"].tolist() == ["yes", "yes", "", "", "no", "no"]
    np.testing.assert_array_equal(as_numbers(found["age"]), [30, 30, np.nan, np.nan, np.nan, np.nan])
    assert as_numbers(found["smile"]) is None
    photos = tmp_path / "photos.csv"
    photos.write_text(f"source,person,sharp\n{faces.sources[3]},x,0.5\n")
    assert read_attributes(photos, faces)["sharp"].tolist() == ["", "", "", "0.5", "", ""]
    people.write_text("name,age\nx,3\n")
    with pytest.raises(DataError, match=r"must have a column person or photo, got name, age"):
        read_attributes(people, faces)
    people.write_text("person,age\nx,3\n")
    with pytest.raises(DataError, match="names none of the 3 people"):
        read_attributes(people, faces)


def test_groups_and_qualities_come_into_the_report(tmp_path):
    faces = visavis.generate_faces(30, 4, size=32, seed=5)
    card = Card(Crop((32, 32)))
    save_model(tmp_path / "run", build_siamese(build_embedding("classic", (32, 32, 3), embedding_size=8)), card)
    table = tmp_path / "attributes.csv"
    lines = [f"{source},{'odd' if index % 8 > 3 else 'even'},{index}" for index, source in enumerate(faces.sources)]
    table.write_text("\n".join(["photo,kind,light", *lines]))
    result = visavis.evaluate_model(tmp_path / "run", faces, options=visavis.EvaluationOptions(attributes=table, enrol=2))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [group["attribute"] for group in metrics["groups"]] == ["kind"]
    assert [curve["measure"] for curve in metrics["quality"]] == ["light"]
    assert metrics["search"]["rank1"]["trials"] == 15 * 2
    page = result.report.read_text()
    assert "Searches for people not enrolled that return a candidate (FPIR)" in page
    assert "even with odd" in page and "light: rejecting the 9% of photos below 11" in page
    assert (tmp_path / "run" / "pictures" / "quality.png").stat().st_size > 5000
