"""Evaluate a detector of presentation attacks as ISO/IEC 30107-3 does: APCER by attack type, BPCER and ACER, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics import Rate
from visavis.metrics.intervals import PeopleWeights, limits_of, people_interval
from visavis.wording import counted

__all__ = ["BONA_FIDE", "AttackType", "PadEvaluation", "Presentation", "evaluate_pad"]

BONA_FIDE = "bona-fide"
"""The folder of bona fide presentations; every other folder is an attack type."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Presentation:
    """A photo of a person or of an attack instrument.

    Attributes:
        kind: `BONA_FIDE`, or the attack type.
        source: The person, or the attack instrument, such as a mask or a printed photo; presentations of one depend on each other.
        score: The detector's; None: no face was acquired.
    """

    kind: str
    source: str
    score: float | None


@dataclass(frozen=True)
class AttackType:
    """The errors on one type of attack.

    Attributes:
        name: The attack type (PAI species).
        instruments: How many attack instruments.
        apcer: Attack presentation classification error rate: the share of attacks classified as bona fide, over instruments.
        no_response: Share of attacks from which no face was acquired (APNRR); they are not in `apcer`.
    """

    name: str
    instruments: int
    apcer: Rate
    no_response: Rate

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {"apcer": self.apcer.to_json(), "no_response": self.no_response.to_json()}
        return {"name": self.name, "instruments": self.instruments, **rates}


@dataclass(frozen=True)
class PadEvaluation:
    """The errors of a detector at its threshold.

    Attributes:
        threshold: Below this score, a presentation was classified as an attack.
        attacks: The errors on each type of attack.
        people: Number of people with bona fide presentations.
        bpcer: Bona fide presentation classification error rate: the share of these classified as attacks, over people.
        no_response: Share of bona fide presentations from which no face was acquired (BPNRR); they are not in `bpcer`.
        acer: Average classification error rate: the mean of BPCER and the highest APCER of all types.
        acer_interval: Its 95 % interval.
    """

    threshold: float
    attacks: tuple[AttackType, ...]
    people: int
    bpcer: Rate
    no_response: Rate
    acer: float
    acer_interval: tuple[float, float]

    @property
    def worst(self) -> AttackType:
        """The type with the highest APCER."""
        return max(self.attacks, key=lambda attack: attack.apcer.value)

    def __str__(self) -> str:
        """Return a summary of one line for each rate."""
        width = max(len(f"APCER {attack.name}") for attack in self.attacks)
        low, high = self.acer_interval
        lines = [f"at threshold {self.threshold:.3f}:"]
        lines += [
            f"  {f'APCER {attack.name}':<{width}} {attack.apcer}{_missing(attack.no_response)}; instruments: {attack.instruments:,}"
            for attack in self.attacks
        ]
        lines.append(f"  {'BPCER':<{width}} {self.bpcer}{_missing(self.no_response)}; people: {self.people:,}")
        lines.append(f"  {'ACER':<{width}} {self.acer:.2%} ({low:.2%} .. {high:.2%}), with the APCER of {self.worst.name}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "threshold": self.threshold,
            "attacks": [attack.to_json() for attack in self.attacks],
            "people": self.people,
            "bpcer": self.bpcer.to_json(),
            "no_response": self.no_response.to_json(),
            "worst_attack": self.worst.name,
            "acer": self.acer,
            "acer_interval": list(self.acer_interval),
        }


def evaluate_pad(presentations: Sequence[Presentation], *, threshold: float) -> PadEvaluation:
    """Count the errors of a detector.

    Args:
        presentations: Bona fide presentations and attacks.
        threshold: The lowest score that is classified as bona fide.

    Raises:
        DataError: If bona fide presentations or attacks with a score are missing.
    """
    by_kind: dict[str, list[Presentation]] = {}
    for one in presentations:
        by_kind.setdefault(one.kind, []).append(one)
    bona_fide = _Errors.of(by_kind.pop(BONA_FIDE, []), lambda score: score < threshold)
    attacks = {name: _Errors.of(some, lambda score: score >= threshold) for name, some in sorted(by_kind.items())}
    for name, errors in {BONA_FIDE: bona_fide, **attacks}.items():
        if not errors.trials.sum():
            raise DataError(f"{name}: at least one photo with a face is needed, got {errors.all_trials.sum():.0f} without")
    if not attacks:
        raise DataError("attacks: at least one folder of an attack type is needed beside that of bona fide presentations, got none")
    types = tuple(AttackType(name, len(one.trials), one.rate, one.no_response) for name, one in attacks.items())
    sides = [one.resampled(seed) for seed, one in enumerate((bona_fide, *attacks.values()))]
    best, worst = ((of[0] + np.max(of[1:], axis=0)) / 2 for of in ([side[0] for side in sides], [side[1] for side in sides]))
    acer = (bona_fide.rate.value + max(one.rate.value for one in attacks.values())) / 2
    return PadEvaluation(
        threshold, types, len(bona_fide.trials), bona_fide.rate, bona_fide.no_response, acer, limits_of(best, worst)
    )


@dataclass(frozen=True, eq=False)
class _Errors:
    """Errors, presentations with a score and all presentations of each person or instrument, `(p,)` each."""

    events: Floats
    trials: Floats
    all_trials: Floats

    @classmethod
    def of(cls, presentations: Sequence[Presentation], wrong: Any) -> "_Errors":
        sources = {source: number for number, source in enumerate(dict.fromkeys(one.source for one in presentations))}
        counts = np.zeros((3, len(sources)))
        for one in presentations:
            counts[:, sources[one.source]] += (one.score is not None and wrong(one.score), one.score is not None, 1)
        return cls(*counts)

    @property
    def rate(self) -> Rate:
        return Rate(int(self.events.sum()), int(self.trials.sum()), people_interval(self.events, self.trials))

    @property
    def no_response(self) -> Rate:
        missing = self.all_trials - self.trials
        return Rate(int(missing.sum()), int(self.all_trials.sum()), people_interval(missing, self.all_trials))

    def resampled(self, seed: int) -> tuple[Floats, Floats]:
        """Return the rate of resampled people or instruments, `(r,)`, with one more unobserved one at its best and at its worst."""
        with_trials = self.trials > 0
        events, trials = self.events[with_trials], self.trials[with_trials]
        weights = PeopleWeights.draw(len(trials), seed=seed)
        share, unseen = weights.shares(events[:, None], trials)[:, 0], weights.unseen_share(trials)
        return (1 - unseen) * share, unseen + (1 - unseen) * share


def _missing(rate: Rate) -> str:
    return f"; without a face: {rate.count:,} of {counted(rate.trials, 'photo')}" if rate.count else ""
