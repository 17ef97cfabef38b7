"""The demo: train, evaluate and compare on generated faces."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visavis.data import FaceDataset
from visavis.evaluation.evaluate import Evaluated, EvaluationOptions, evaluate_model
from visavis.training.experiments import DataSource, train_model
from visavis.training.run_options import RunOptions
from visavis.verification import Verdict, Verifier
from visavis.verification.comparisons import compare_photos

__all__ = ["DemoResult", "run_demo"]

TARGET_FMR = 0.03
"""A lax operating point: a minute of training on generated faces gives a weak model, which at 1 % rejects most mated pairs."""


@dataclass(frozen=True)
class DemoResult:
    """Result of `run_demo`.

    Attributes:
        out: The run folder.
        evaluated: The error rates on the test people.
        verdicts: One anchor against five photos: the file, the true label (same person or not), and the verdict.
    """

    out: Path
    evaluated: Evaluated
    verdicts: tuple[tuple[Path, bool, Verdict], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        compared = [{"photo": str(path), "truly_same": truth, **verdict.to_json()} for path, truth, verdict in self.verdicts]
        return {"run": str(self.out), **self.evaluated.evaluation.to_json(), "compared": compared}

    def __str__(self) -> str:
        """Summarise the results and suggest the next commands."""
        answers = [
            f"  {path.name}: {verdict.describe()}, actually {'the same person' if truth else 'another person'}"
            for path, truth, verdict in self.verdicts
        ]
        return "\n".join(
            [
                str(self.evaluated.evaluation),
                f"one anchor against five photos, at the threshold for an estimated FMR of {TARGET_FMR:.0%}:",
                *answers,
                f"everything is in {self.out}; open {self.evaluated.report}",
                "next, on real faces:",
                "  visavis train olivetti --out runs/olivetti && visavis evaluate runs/olivetti olivetti",
                "  visavis train lfw --out runs/lfw && visavis evaluate runs/lfw lfw",
                "  visavis train YOUR/PHOTOS --out runs/mine     (one sub-folder per person)",
            ]
        )


def run_demo(out: Path | str, *, steps: int | None = None, overwrite: bool = False, progress: bool = True) -> DemoResult:
    """Train, evaluate and compare on generated faces, and write everything to a run folder.

    Args:
        out: The run folder.
        steps: Number of training steps; default: that of `train_model`.
        overwrite: Whether to replace a run in `out`.
        progress: Whether to show a progress bar on standard error.

    Raises:
        TrainingError: If `out` holds a run and `overwrite` is false.
    """
    out = Path(out)
    config = {"target_fmrs": (TARGET_FMR,), "chosen_as": "estimated"} | ({"steps": steps} if steps else {})
    source = DataSource("synthetic")
    options = RunOptions(overwrite=overwrite, progress=progress, command="visavis demo")
    encoder = train_model(source, out, config=config, options=options)
    faces = source.load()
    evaluated = evaluate_model(encoder, faces, options=EvaluationOptions(command="visavis demo"), out=out, overwrite=True)
    test = faces.select_people(encoder.card.sides["test"].people)
    anchor, others, truth = _demo_photos(test, out / "photos")
    compared = compare_photos(Verifier(encoder), anchor, others, out=out / "pictures" / "comparison.png")
    return DemoResult(out, evaluated, tuple((path, path.name in truth, verdict) for path, verdict in compared.ranked))


def _demo_photos(test: FaceDataset, folder: Path) -> tuple[Path, list[Path], set[str]]:
    """Write six photo files: an anchor, three more of the same person, and two of other people."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {"anchor.png": (0, 0), "a.png": (0, 1), "b.png": (1, 0), "c.png": (0, 2), "d.png": (2, 0), "e.png": (0, 3)}
    for name, (person, photo) in chosen.items():
        index = np.flatnonzero(test.labels == person)[photo]
        face = test.gather([index])[0]
        Image.fromarray(face[:, :, 0] if face.shape[2] == 1 else face).save(folder / name)
    paths = [folder / name for name in chosen]
    return paths[0], paths[1:], {name for name, (person, _) in chosen.items() if person == 0}
