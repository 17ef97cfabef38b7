"""The service says whether its requests' people score higher among each other than those the threshold was chosen on."""

import logging

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from visavis.encoders.card import Card
from visavis.encoders.card_calibration import calibrated
from visavis.faces import Crop
from visavis.service.metrics import Metrics
from visavis.service.population import PopulationMonitor


def embeddings(count, photos, *, common=0.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), photos)
    rows = rng.normal(size=(count, 16))[labels] + common + 0.5 * rng.normal(size=(len(labels), 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.fixture
def card():
    return calibrated(Card(Crop((8, 8), "gray")), *embeddings(100, 3), target_fmrs=(0.1,))


def watched(card, rows):
    monitor = PopulationMonitor(card)
    for row in rows:
        monitor.add(row)
    return monitor


def test_people_of_the_same_kind_are_no_warning(card, caplog):
    with caplog.at_level(logging.WARNING):
        check = watched(card, embeddings(600, 1, seed=1)[0]).check()
    assert check.pairs == 16 * (600 - 32) and not check.higher and not caplog.records
    assert check.fmr_expected == pytest.approx(check.fmr_chosen, rel=0.5)


def test_people_who_are_more_alike_are_a_warning_once_and_a_metric(card, caplog):
    monitor = watched(card, embeddings(600, 1, common=0.8, seed=2)[0])
    with caplog.at_level(logging.WARNING, logger="visavis.service"):
        check, again = monitor.check(), monitor.check()
    assert check == again and check.higher and len(caplog.records) == 1
    assert "score higher among different people" in caplog.text
    metrics = Metrics()
    metrics.show_population(check)
    text = metrics.text().decode()
    assert f'visavis_population_fmr{{kind="expected"}} {check.fmr_expected}' in text
    assert f'visavis_population_fmr{{kind="chosen"}} {check.fmr_chosen}' in text


def test_a_person_who_asks_again_and_again_changes_little(card):
    rows = embeddings(600, 1, seed=3)[0]
    repeated = np.repeat(rows, 3, axis=0)  # each photo is sent three times
    assert watched(card, repeated).check().fmr_expected == pytest.approx(watched(card, rows).check().fmr_expected, rel=0.2)


def test_nothing_is_said_of_few_requests_or_without_a_histogram(card):
    assert watched(card, embeddings(231, 1)[0]).check() is None
    assert watched(Card(Crop((8, 8), "gray")), embeddings(600, 1)[0]).check() is None
    metrics = Metrics()
    metrics.show_population(None)
    assert "visavis_population_fmr{" not in metrics.text().decode()
