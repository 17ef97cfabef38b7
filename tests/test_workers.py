"""Several processes do tasks in order, and the death of one costs no task."""

import os
import signal
import subprocess
import sys

import pytest

from visavis.errors import VisavisError
from visavis.workers.tasks import run_tasks


def double(number):
    return 2 * number


def die_once(task):
    """Kill this process unless it was done before; a marker file records it."""
    number, marker = task
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_order_and_few_tasks_are_taken_ahead():
    taken = []

    def tasks():
        for number in range(20):
            taken.append(number)
            yield number

    results = run_tasks(double, tasks(), workers=2)
    assert [next(results), next(results)] == [0, 2]
    assert len(taken) <= 2 * 2 + 1
    assert list(results) == [2 * number for number in range(2, 20)]
    assert list(run_tasks(double, [1, 2], workers=1)) == [2, 4]


def test_a_killed_process_costs_no_task(tmp_path):
    tasks = [(number, tmp_path / "died") for number in range(8)]
    assert list(run_tasks(die_once, tasks, workers=2)) == list(range(8))
    assert (tmp_path / "died").exists()


def test_a_task_that_always_kills_ends_in_an_error():
    with pytest.raises(VisavisError, match="killed 3 times in a row"):
        list(run_tasks(die, [1, 2], workers=2))


def test_a_program_from_standard_input_runs_its_tasks_in_its_own_process():
    code = "import operator\nfrom visavis.workers.tasks import run_tasks\nprint(list(run_tasks(operator.neg, [1, 2], workers=2)))\n"
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[-1, -2]\n", "")
