"""The page of benchmarks, its chart and the figures of README and docs are what the results give; helpers are right."""

import json
import re
import sys
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import page

    return page


def test_pages_are_what_the_results_give(page):
    for path, text in page.pages().items():
        assert path.read_text() == text, f"{path.name} is out of date: python benchmarks/page.py"


def test_a_new_figure_is_reported(page):
    results = page.read_results()
    before = page.page(results)
    size = results["allpairs"]["sizes"][0]
    size["times_faster"] = {"median": 123.4, "least": 100.0, "most": 150.0}
    assert "| 123 (100 .. 150) |" in page.page(results)
    assert page.page(results) != before
    assert page.page({}).count("\n| ") == page.page({}).count("\n| script |") + page.page({}).count("\n| ---") + 1


def test_figures_go_between_their_marks(page):
    results = page.read_results()
    folds = [{"eer_before": 0.02, "eer_after": 0.01, "best_step": 0}]
    results["encoder"]["fine_tuned_on_att"] = {
        "eer_before": 0.02,
        "eer_after": 0.0987,
        "folds": folds,
        "closed_form_of_other_draws": [0.01],
    }
    text = "before\n<!-- figures fine_tuning: how -->\nstale\n<!-- end of figures -->\nafter\n"
    filled = page.with_figures(text, results)
    assert filled.startswith("before\n<!-- figures fine_tuning: how -->\n\nOn AT&T")
    assert filled.endswith("<!-- end of figures -->\nafter\n")
    assert " 2.00 % before fine-tuning and 9.87 % after it (`python benchmarks/encoder.py" in filled
    assert "stale" not in filled


def test_losses_are_a_table_as_far_as_they_were_run(page):
    text = "<!-- figures losses: how -->\n<!-- end of figures -->\n"
    results = page.read_results()
    results.pop("losses", None)
    assert "`python benchmarks/losses.py` compares all losses" in page.with_figures(text, results)

    def row(mean, seconds):
        runs = {"0": {"people": int(seconds)}}
        return {"eer": {"mean": mean, "smallest": mean / 2, "largest": 2 * mean}, "seconds": seconds, "runs": runs}

    att = {"contrastive": row(0.04, 50), "triplet": row(0.02, 90)}
    results["losses"] = {
        "command": "python benchmarks/losses.py --seeds 3",
        "att": att,
        "lfw": {},
        "signatures": {"triplet": row(0.1, 5)},
    }
    filled = page.with_figures(text, results)
    assert "| loss | AT&T | signatures |\n| --- | --- | --- |\n" in filled
    assert "| `contrastive` | 4.0 % (2.0 % to 8.0 %), 50 s | |\n" in filled
    assert "| `triplet` | 2.0 % (1.0 % to 4.0 %), 1.5 min | 10.0 % (5.0 % to 20.0 %), 5.0 s |\n" in filled
    assert "The lowest mean: `triplet` on AT&T; `triplet` on signatures." in filled
    assert "are 50 on AT&T, 5 on signatures;" in filled


@pytest.mark.parametrize("text", ["<urlopen error [Errno -3]>", "a | b", "say `--out`", "``", "*x* _y_ [z](u) &lt; \\ $", "50 %"])
def test_output_of_a_program_is_shown_as_it_is(page, text):
    markdown = pytest.importorskip("markdown", reason="the docs need the extra docs")
    html = markdown.markdown(f"| a | b |\n| --- | --- |\n| x | {page.code_span(text)} |\n", extensions=["tables"])
    (cell,) = re.findall("<code>(.*?)</code>", html)
    assert unescape(cell) == text


def test_every_message_of_the_first_minutes_is_readable_on_its_page(page):
    markdown = pytest.importorskip("markdown", reason="the docs need the extra docs")
    html = markdown.markdown((ROOT / "docs" / "quick-start.md").read_text(), extensions=["tables"])
    text = unescape(re.sub("<[^>]*>", "", html))
    messages = [line for mistake in page.read_results()["first_minutes"]["mistakes"].values() for line in mistake["said"]]
    assert len(messages) > 10
    assert [message for message in messages if message not in text] == []


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
    lines = "\n".join(costs.cost_lines(bulk))
    assert "| whole photos | 36.0 ms | 10.0 core-hours | $0.40 | 1,000 core-hours | $40.00 |" in lines
    assert "| prepared faces | 3.6 ms | 1.0 core-hours | $0.04 | 100 core-hours | $4.00 |" in lines
    assert "0.70 GB for a million photos" in lines


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


@pytest.mark.parametrize(("backend", "prefix"), [(None, ""), ("tensorflow", ""), ("torch", "KERAS_BACKEND=torch ")])
def test_results_record_the_command_of_the_process(page, monkeypatch, tmp_path, backend, prefix):
    import record

    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["/some/where/benchmarks/sizes.py", "--loss", "triplet", "--note", "two words"])
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if backend:
        monkeypatch.setenv("KERAS_BACKEND", backend)
    written = json.loads(record.write_result("sizes", {"ratio": float("inf"), "rows": [1, float("nan")]}).read_text())
    assert written["command"] == f"{prefix}python benchmarks/sizes.py --loss triplet --note 'two words'"
    assert (written["ratio"], written["rows"]) == (None, [1, None])
