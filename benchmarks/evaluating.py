"""Time and memory of an evaluation: all intervals of 400 people, and the full report of LFW with a standard report.

    python benchmarks/evaluating.py

Random embeddings of 400 people with four photos each are evaluated with 1,000 resamples. Then all pairs of LFW, with searches and
the report in the form of ISO/IEC 19795-1, from cached embeddings of the bundled encoder: needs `runs/lfw-faces`, see
`recipes/README.md`. Each runs in a process of its own, whose peak memory is measured. Writes `results/evaluating.json`. About 3
minutes on 2 cores, and a few more for the embeddings.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from decisions import Cached, embedded
from record import RUNS, write_result

from visavis.encoders import load_encoder
from visavis.evaluation import evaluate_all_pairs
from visavis.evaluation.evaluate import EvaluationOptions, evaluate_model
from visavis.metrics import unit_rows
from visavis.metrics.intervals import RESAMPLES

PEOPLE, PHOTOS, DIMENSIONS = 400, 4, 128


def resamples() -> float:
    """Return the seconds that all intervals of some hundred people take."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(PEOPLE), PHOTOS)
    rows = unit_rows(rng.normal(size=(PEOPLE, DIMENSIONS))[labels] + rng.normal(size=(len(labels), DIMENSIONS)))
    start = time.perf_counter()
    result = evaluate_all_pairs(rows, labels)
    assert result.intervals and len(result.resampled_curves.fmr) == RESAMPLES + 1
    return time.perf_counter() - start


def report() -> float:
    """Return the seconds that the full report of LFW takes."""
    encoder = load_encoder("pretrained")
    embeddings = embedded("pretrained", encoder, "lfw")[1]
    with tempfile.TemporaryDirectory() as folder:
        options = EvaluationOptions(enrol=1, standard_report=Path(folder) / "standard")
        start = time.perf_counter()
        evaluate_model(Cached(encoder, embeddings), str(RUNS / "lfw-faces"), people="all", options=options, out=folder)
        return time.perf_counter() - start


PARTS = {"resamples_of_400_people": resamples, "report_of_lfw": report}


def main() -> None:
    """Measure each part in a process of its own, and write."""
    if len(sys.argv) > 1:
        seconds = PARTS[sys.argv[1]]()
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = {"seconds": seconds, "cpu_seconds_with_loading": used.ru_utime + used.ru_stime}
        print(json.dumps({**spent, "peak_gigabytes": used.ru_maxrss * 1024 / 1e9}))
        return
    figures = {}
    for name in PARTS:
        run = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
        figures[name] = json.loads(run.stdout.splitlines()[-1])
        print(name, figures[name], flush=True)
    write_result("evaluating", figures)


if __name__ == "__main__":
    main()
