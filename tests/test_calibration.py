"""Probabilities, thresholds for a false match rate, and models that get both for new people."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

import visavis
from visavis.cli import main
from visavis.encoders.card import Card, DataSide
from visavis.encoders.export import export_model
from visavis.encoders.keras import KerasEncoder, load_model, save_model
from visavis.errors import DataError, ModelError
from visavis.evaluation.calibrate import CalibrationOptions, calibrate_model
from visavis.faces import Crop
from visavis.metrics import error_curve
from visavis.metrics.calibration import Calibration, fit_calibration, fit_sigmoid
from visavis.metrics.operating_points import OperatingPoint
from visavis.metrics.reliability import measure_reliability
from visavis.models import build_embedding, build_siamese


def scores_and_truth(rng, count=4000):
    truth = rng.random(count) < 0.3
    distances = np.where(truth, rng.normal(0.7, 0.2, count), rng.normal(1.2, 0.2, count)).clip(0.01, 2)
    return 1 - distances**2 / 2, truth.astype(int)


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_probabilities_are_as_good_on_others_as_they_say(method):
    rng = np.random.default_rng(0)
    calibration = fit_calibration(error_curve(*scores_and_truth(rng)), method)
    reliability = measure_reliability(error_curve(*scores_and_truth(rng)), calibration)
    assert reliability.ece < 0.03
    assert reliability.brier < 0.1
    shifted = replace(calibration, offset=calibration.offset + 2, isotonic=tuple((s, r + 2) for s, r in calibration.isotonic))
    assert measure_reliability(error_curve(*scores_and_truth(rng)), shifted).ece > 0.05


def test_the_fit_is_the_likeliest_also_where_it_is_steep():
    """Scores in a narrow range, as those of networks that place all faces in a cone."""
    rng = np.random.default_rng(5)
    truth = rng.random(5000) < 0.5
    distances = np.where(truth, rng.normal(0.36, 0.03, 5000), rng.normal(0.5, 0.03, 5000))
    distances[:25] = rng.uniform(0.3, 0.6, 25)
    curve = error_curve(1 - distances**2 / 2, truth.astype(int))
    offset, slope = fit_sigmoid(curve)
    assert slope > 50
    weights = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())

    def loss(offset, slope):
        logits = offset - slope * distances
        return np.sum(weights * (np.logaddexp(0, logits) - truth * logits))

    best = loss(offset, slope)
    for change in (0.97, 1.03):
        assert loss(offset * change, slope) > best and loss(offset, slope * change) > best
        assert loss(offset * change, slope * change) > best - 2e-4  # the targets are softened


def test_reliability_is_scikit_learns_where_the_prior_is_that_of_the_pairs():
    scores, truth = scores_and_truth(np.random.default_rng(1))
    calibration = Calibration(4.0, 4.0)
    prior = truth.mean()
    reliability = measure_reliability(error_curve(scores, truth), calibration, prior=prior, bins=10)
    probabilities = calibration.probability(scores, prior=prior)
    observed, predicted = calibration_curve(truth, probabilities, n_bins=10)
    np.testing.assert_allclose(reliability.observed, observed, atol=1e-12)
    np.testing.assert_allclose(reliability.predicted, predicted, atol=1e-12)
    assert reliability.brier == pytest.approx(brier_score_loss(truth, probabilities))
    weights = np.histogram(probabilities, bins=10, range=(0, 1))[0] / len(truth)
    assert reliability.ece == pytest.approx(np.sum(weights[weights > 0] * np.abs(observed - predicted)))


def test_isotonic_ratios_rise_are_finite_and_by_hand_right():
    calibration = fit_calibration(error_curve([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]), "isotonic")
    scores, ratios = np.array(calibration.isotonic).T
    assert (np.diff(ratios) >= 0).all() and np.isfinite(ratios).all()
    # Two non-mated pairs and the one added mated pair below: shares of 1, 1/2; likewise mirrored above.
    np.testing.assert_allclose(ratios[[0, -1]], [np.log(0.5), np.log(2)], atol=1e-12)
    assert scores[0] == 0.1 and scores[-1] == 0.4
    assert calibration.even_score == pytest.approx(0.25)


def test_the_prior_moves_probabilities_by_its_odds():
    calibration = Calibration(5.0, 5.0)
    assert calibration.probability(calibration.even_score) == pytest.approx(0.5)
    assert calibration.probability(calibration.even_score, prior=0.01) == pytest.approx(0.01)
    with pytest.raises(ValueError, match=r"prior must be in \(0, 1\). got 1"):
        calibration.probability(0.5, prior=1)


def test_a_card_finds_the_rule_for_a_rate():
    rules = tuple(OperatingPoint(score, "x", target_fmr=fmr) for score, fmr in ((0.5, 1e-2), (0.7, 1e-3)))
    card = Card(
        Crop((32, 32)), threshold=rules[0], operating_points=rules[1:], calibration=Calibration(1.0, 2.0, ((0.1, -1.0), (0.9, 3.0)))
    )
    assert card.rule() == card.rule(0.01) == rules[0]
    assert card.rule(0.001) == rules[1]
    with pytest.raises(ModelError, match=r"no threshold for a false match rate of 0.0001, only for 0.01, 0.001. .* calibrate"):
        card.rule(1e-4)
    with pytest.raises(ModelError, match="no threshold"):
        Card(Crop((32, 32))).rule()
    assert Card.from_json(json.loads(json.dumps(card.to_json())), source="card") == card


@pytest.fixture(scope="module")
def model():
    card = Card(
        Crop((32, 32)),
        sides={"train": DataSide(("synthetic-7-000000", "synthetic-7-000001"), 8, "")},
        training={"network": "classic"},
    )
    return KerasEncoder(card, build_siamese(build_embedding("classic", (32, 32, 3), embedding_size=16)))


@pytest.mark.parametrize("kind", ["folder", "onnx"])
def test_a_model_is_calibrated_for_new_people_and_decides_by_it(tmp_path, model, kind):
    source = tmp_path / ("run" if kind == "folder" else "model.onnx")
    save_model(source, model.siamese, model.card) if kind == "folder" else export_model(model, source)
    faces = visavis.generate_faces(60, 4, size=32, seed=7)
    out = tmp_path / ("new" if kind == "folder" else "new.onnx")
    card = calibrate_model(str(source), faces, out, CalibrationOptions((0.1, 0.2), "estimated", "isotonic"))
    assert card.threshold.people == 58  # those that it was trained on are left out
    assert card.threshold.false_matches / card.threshold.nonmated <= 0.1
    verifier = visavis.Verifier(out, target_fmr=0.2, prior=0.01)
    assert verifier.card == card
    verdict = verifier.verify(faces.faces[0], faces.faces[1])
    assert verdict.threshold == card.operating_points[0].score < visavis.Verifier(out).verify(*faces.faces[:2]).threshold
    assert verdict.probability == pytest.approx(1 / (1 + 99 * np.exp(-verdict.log_likelihood_ratio)))
    assert verifier.card.has_seen("synthetic-7-000030")
    with pytest.raises(ModelError, match="no threshold for a false match rate of 0.5"):
        visavis.Verifier(out, target_fmr=0.5)


def test_what_rules_and_probabilities_are_worth_is_evaluated(tmp_path, model):
    save_model(tmp_path / "run", model.siamese, model.card)
    calibrate_model(
        tmp_path / "run",
        visavis.generate_faces(60, 4, size=32, seed=7),
        tmp_path / "new",
        CalibrationOptions((0.1, 0.2), "estimated"),
    )
    faces = visavis.generate_faces(50, 4, size=32, seed=9)
    result = visavis.evaluate_model(tmp_path / "new", faces, options=visavis.EvaluationOptions(target_fmr=0.2))
    reached = {row.point.target_fmr: row for row in result.evaluation.points_reached}
    assert reached[0.2].fmr.count == result.evaluation.decisions.fp > reached[0.1].fmr.count
    assert 0.1 < reached[0.2].fmr.value < 0.35
    metrics = json.loads((tmp_path / "new" / "metrics.json").read_text())
    assert [point["target_fmr"] for point in metrics["operating_points"]] == [0.1, 0.2]
    assert metrics["reliability"]["brier"] < 0.25
    assert 0 < metrics["costs"]["min_cllr"] <= metrics["costs"]["cllr"] + 1e-9
    assert metrics["intervals"]["cllr"][0] < metrics["costs"]["cllr"] < metrics["intervals"]["cllr"][1]
    assert metrics["intervals"]["eer"][0] < metrics["eer"] < metrics["intervals"]["eer"][1]
    page = result.report.read_text()
    assert "<h2>Thresholds</h2>" in page and "expected calibration error" in page
    assert (tmp_path / "new" / "pictures" / "reliability.png").stat().st_size > 5000


def test_two_models_are_compared_on_the_same_people(tmp_path, model):
    good, bad = tmp_path / "good", tmp_path / "bad"
    save_model(good, model.siamese, model.card)
    noise = build_siamese(build_embedding("classic", (48, 48, 3), embedding_size=2, seed=1))
    save_model(bad, noise, replace(model.card, crop=Crop((48, 48))))
    visavis.generate_faces(40, 4, size=48, seed=9).save(tmp_path / "faces")
    for run in (good, bad):
        visavis.evaluate_model(run, str(tmp_path / "faces"))
    found = visavis.compare_reports(good, bad / "metrics.json")
    eer = found.differences[0]
    assert eer.measure == "eer" and eer.better == "first"
    assert 0 < eer.low < eer.second - eer.first < eer.high
    assert f"{good} has the lower equal error rate" in str(found)
    unshown = [row for row in found.differences if row.extrapolated]
    assert [row.measure for row in unshown] == ["tar_at_fmr_1e-2", "tar_at_fmr_1e-3"]  # forty people do not show these rates
    assert all(row.better is None for row in unshown) and str(found).count(" extrapolated") == 2
    same = visavis.compare_reports(good, good)
    assert all(row.better is None and row.low == row.high == 0 for row in same.differences)
    assert "These 40 people do not show which has the lower equal error rate" in str(same)
    with pytest.raises(SystemExit) as stop:
        main(["report", str(good), str(bad), "--json"])
    assert stop.value.code == 0
    visavis.evaluate_model(bad, str(tmp_path / "faces"), people="all", out=tmp_path / "again")
    visavis.generate_faces(41, 4, size=48, seed=9).save(tmp_path / "more")
    visavis.evaluate_model(bad, str(tmp_path / "more"), out=tmp_path / "other")
    with pytest.raises(DataError, match="are of different pairs"):
        visavis.compare_reports(good, tmp_path / "other")
    for content in ("{}", "[" * 100_000):
        (tmp_path / "metrics.json").write_text(content)
        with pytest.raises(DataError, match="not a report of visavis evaluate"):
            visavis.compare_reports(good, tmp_path)
    with pytest.raises(DataError, match="nowhere: No such file"):
        visavis.compare_reports(good, tmp_path / "nowhere")


def test_calibration_says_what_cannot_be(tmp_path, model):
    save_model(tmp_path / "run", model.siamese, model.card)
    trained = visavis.generate_faces(3, 2, size=32, seed=7)
    with pytest.raises(DataError, match="must be unseen, got 1 of 3"):
        calibrate_model(tmp_path / "run", trained, tmp_path / "new")
    with pytest.raises(ValueError, match=r"out must be a run folder or end in .keras"):
        calibrate_model(tmp_path / "run", visavis.generate_faces(8, 3, size=32, seed=8), tmp_path / "new.onnx")
    with pytest.raises(ValueError, match="method must be 'logistic' or 'isotonic', got 'best'"):
        calibrate_model(
            tmp_path / "run", visavis.generate_faces(8, 3, size=32, seed=8), tmp_path / "new", CalibrationOptions(method="best")
        )
    assert not (tmp_path / "new").exists()


def test_without_a_rate_the_likelier_decides(tmp_path, model):
    save_model(tmp_path / "run", model.siamese, model.card)
    card = calibrate_model(tmp_path / "run", visavis.generate_faces(30, 4, size=32, seed=8), tmp_path / "new")
    assert card.threshold.score == pytest.approx(card.calibration.even_score)
    assert load_model(tmp_path / "new").card == card
    head = load_model(tmp_path / "new").siamese.get_layer("head")
    assert head.calibration() == pytest.approx((card.calibration.offset, card.calibration.slope), rel=1e-4)


def test_several_populations_are_calibrated_together(tmp_path, model):
    save_model(tmp_path / "run", model.siamese, model.card)
    cameras = [visavis.generate_faces(40, 4, size=32, seed=seed) for seed in (8, 9)]
    for number, faces in enumerate(cameras):
        faces.save(tmp_path / f"camera{number}")
    sources = [str(tmp_path / f"camera{number}") for number in range(2)]
    card = calibrate_model(tmp_path / "run", sources, tmp_path / "new", CalibrationOptions((0.2,)))
    rates = card.threshold.populations
    assert [row.name for row in rates] == ["camera0", "camera1"]
    assert all(row.fmr <= row.fmr_upper <= 0.2 and 0 < row.ece < 0.5 for row in rates)
    assert card.threshold.measured_on == "FMR at most 0.2 on camera0 and camera1"
    assert load_model(tmp_path / "new").card == card
    assert {"calibration", "calibration 2"} <= set(card.sides)
    assert all(card.has_seen(faces.people[0], sides=("calibration", "calibration 2")) for faces in cameras)
    with pytest.raises(DataError, match="0.05 cannot be guaranteed on camera0: 40 people"):
        calibrate_model(tmp_path / "run", sources, tmp_path / "other", CalibrationOptions((0.05,)))
    assert not (tmp_path / "other").exists()


def test_a_report_is_not_replaced_unasked_and_options_are_checked_first(tmp_path, model):
    save_model(tmp_path / "run", model.siamese, model.card)
    faces = visavis.generate_faces(12, 3, size=32, seed=9)
    report = visavis.evaluate_model(tmp_path / "run", faces).report
    with pytest.raises(DataError, match=r"report.html exists. .* \(--overwrite\)"):
        visavis.evaluate_model(tmp_path / "run", faces)
    assert visavis.evaluate_model(tmp_path / "run", faces, overwrite=True).report == report
    with pytest.raises(ValueError, match="people must be 'unseen' or 'all', got 'Unseen'"):
        visavis.evaluate_model(tmp_path / "run", faces, people="Unseen")
    for options, message in (
        ({"reference": "worst"}, "reference must be 'mean' or 'best', got 'worst'"),
        ({"prior": 1}, r"prior must be in \(0, 1\), got 1"),
        ({"enrol": 0}, "enrol must be at least 1, got 0"),
        ({"sample": 0}, "sample must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            visavis.EvaluationOptions(**options)


def test_an_attribute_of_one_group_is_refused_before_anything_is_embedded(tmp_path, model, monkeypatch):
    save_model(tmp_path / "run", model.siamese, model.card)
    faces = visavis.generate_faces(6, 2, size=32, seed=9)
    table = tmp_path / "people.csv"
    table.write_text("person,light\n" + "\n".join(f"{person},dim" for person in faces.people))
    monkeypatch.setattr("visavis.evaluation.evaluate.raw_embeddings", lambda *_, **__: pytest.fail("embedded"))
    with pytest.raises(DataError, match="light must have 2 to 20 groups, got 1"):
        visavis.evaluate_model(tmp_path / "run", faces, options=visavis.EvaluationOptions(attributes=table))


def test_another_population_is_checked_before_anything_is_decided(tmp_path, model, capsys):
    save_model(tmp_path / "run", model.siamese, model.card)
    faces = visavis.generate_faces(60, 4, size=32, seed=8)
    calibrate_model(tmp_path / "run", faces, tmp_path / "new", CalibrationOptions((0.2,), "estimated"))
    visavis.generate_faces(50, 3, size=32, seed=10).save(tmp_path / "camera")
    alike = visavis.check_population(tmp_path / "new", str(tmp_path / "camera"))
    assert alike.fmr_expected == pytest.approx(0.2, abs=0.1) and not alike.higher
    unlabelled = visavis.check_population(tmp_path / "new", str(tmp_path / "camera"), unlabelled=True)
    assert unlabelled.fmr_expected == pytest.approx(alike.fmr_expected, abs=0.02)
    assert unlabelled.pairs == 150 * 149 // 2
    with pytest.raises(SystemExit) as stop:
        main(["check", str(tmp_path / "new"), str(tmp_path / "camera")])
    assert stop.value.code == 0
    assert "expect an FMR of about" in capsys.readouterr().out
    with pytest.raises(DataError, match="at least 10 photos, got 6"):
        visavis.check_population(tmp_path / "new", visavis.generate_faces(3, 2, size=32, seed=8))
