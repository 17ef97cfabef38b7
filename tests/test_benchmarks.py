"""The page of benchmarks, its chart and the figures of README and docs are what the results give; helpers are right."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import page

    return page


def test_pages_are_what_the_results_give(page):
    for path, text in page.pages().items():
        assert path.read_text() == text, f"{path.name} is out of date: python benchmarks/page.py"


def test_a_new_figure_is_told(page):
    results = page.read_results()
    before = page.page(results)
    size = results["allpairs"]["sizes"][0]
    size["times_faster"] = {"median": 123.4, "least": 100.0, "most": 150.0}
    assert "| 123 (100 .. 150) |" in page.page(results)
    assert page.page(results) != before
    assert page.page({}).count("\n| ") == page.page({}).count("\n| script |") + page.page({}).count("\n| ---") + 1


def test_figures_go_between_their_marks(page):
    results = page.read_results()
    results["encoder"]["fine_tuned_on_att"]["eer_after"] = 0.0987
    text = "before\n<!-- figures fine_tuning: how -->\nstale\n<!-- end of figures -->\nafter\n"
    told = page.with_figures(text, results)
    assert told.startswith("before\n<!-- figures fine_tuning: how -->\n\nOn AT&T")
    assert told.endswith("<!-- end of figures -->\nafter\n")
    assert " to 9.9 % (`python benchmarks/encoder.py" in told
    assert "stale" not in told


def test_chart_has_a_bar_for_each_ratio(page):
    rows = [page.Row("a", "", "b", "", page.alone(value), "s") for value in (4.0, 0.5)]
    rows.append(page.Row("an accuracy", "", "b", "", {}, "s"))
    drawn = page.chart(rows)
    assert drawn.count("<rect x=") == 2
    assert "an accuracy" not in drawn
    assert drawn.count("#2a7f62") == drawn.count("#c8553d") == 1


def test_costs_are_worked_out(page):
    import costs

    part = {"cpu_seconds_a_photo": 0.036, "peak_megabytes": 500.0}
    bulk = {
        "machine": {"processor": "a machine", "cores": 2},
        "date": "2026-01-01",
        "command": "python benchmarks/bulk.py",
        "whole photos": part,
        "prepared faces": {**part, "cpu_seconds_a_photo": 0.0036},
        "bytes_a_row": 700.0,
        "wall_seconds": {"ray_times_longer": {"median": 1.5}},
        "photos": 400,
    }
    told = "\n".join(costs.cost_lines(bulk))
    assert "| whole photos | 36.0 ms | 10.0 core-hours | $0.40 | 1,000 core-hours | $40.00 |" in told
    assert "| prepared faces | 3.6 ms | 1.0 core-hours | $0.04 | 100 core-hours | $4.00 |" in told
    assert "0.70 GB for a million photos" in told


def test_workers_answer_and_turns_alternate(page, tmp_path):
    import measure

    script = tmp_path / "doubling.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from answering import answer\n"
        "answer({'double': lambda value: (print('noise'), 2 * value)[1]})\n"
    )
    with measure.Worker(sys.executable, str(script)) as worker:
        assert worker.ask(do="double", value=21) == 42
        assert worker.ask(do="memory") > 1
    order = []
    times = measure.in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert len(times["a"]) == 2
    assert measure.ratio([4.0, 9.0], [2.0, 3.0]) == {"median": 2.5, "least": 2.0, "most": 3.0}


def test_time_to_a_level_is_that_of_three_looks(page):
    import measure

    looks = [(1.0, 0.5), (2.0, 0.1), (3.0, 0.1), (4.0, 0.1), (5.0, 0.2)]
    assert measure.time_to(0.1, looks) == 4.0
    assert measure.time_to(0.3, looks) == 3.0
    assert measure.time_to(0.05, looks) is None


def test_patterns_tell_faces_apart_but_not_light_and_not_left_from_right(page):
    from patterns import _histograms, patterns

    faces = np.random.default_rng(0).integers(0, 120, (2, 112, 112, 3), dtype=np.uint8)
    told = patterns(np.concatenate([faces, faces[:, :, ::-1]]))
    assert told.shape == (4, 51035)
    np.testing.assert_array_equal(told[:2], told[2:])
    assert np.abs(told[0] - told[1]).mean() > 0.01
    level = faces[0, :, :, 0]
    np.testing.assert_array_equal(_histograms(level, 1), _histograms(2 * level + 5, 1))
    cells = np.square(_histograms(level, 2)).reshape(15 * 15, 59)
    np.testing.assert_allclose(cells.sum(axis=1), 1, rtol=1e-6)


def test_joint_bayes_finds_the_covariances_again_and_is_a_likelihood_ratio(page):
    from patterns import JointBayes, fit_covariances

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3000), rng.integers(1, 6, 3000))
    between, within = np.diag([4.0, 1.0, 0.25]), np.array([[1.0, 0.3, 0], [0.3, 0.5, 0], [0, 0, 1.0]])
    people = rng.multivariate_normal(np.zeros(3), between, 3000)
    rows = people[labels] + rng.multivariate_normal(np.zeros(3), within, len(labels))
    found = fit_covariances(rows, labels, rounds=50)
    np.testing.assert_allclose(found, (between, within), atol=0.25)
    model = JointBayes.fit(rows, labels, dimensions=3, rounds=50)
    one, other = (model.reduced(rng.normal(size=(5, 3))) for _ in range(2))
    ratios = model.scores(one, other)
    between, within = fit_covariances(model.reduced(rows), labels, rounds=50)
    together = np.block([[between + within, between], [between, between + within]])
    apart = np.block([[between + within, np.zeros((3, 3))], [np.zeros((3, 3)), between + within]])
    pairs = np.hstack([one, other])
    expected = np.einsum("md,de,me->m", pairs, np.linalg.inv(apart) - np.linalg.inv(together), pairs) / 2
    np.testing.assert_allclose(ratios, expected, rtol=1e-6)
