"""Template inversion: improve a picture by the answers of searches until it is accepted as an enrolled person.

    python benchmarks/inversion.py [--targets 100] [--requests 2000] [--key read]

The attacker has no photo of the target. It starts with the average face of people who are not enrolled, and adds random
combinations of their principal components (eigenfaces); a change is kept if the answer is better. An answer is what a key of the
scope `--key` (`decide`, `read`, or `all` for all scores) sees of a search: what `service/disclosure.py` lets through at each
threshold of the model, most lenient first. The layer that decides and discloses is called in this process, without HTTP, rate
limit and lockout: this is the attack with the lockout disabled. A target is accepted if its score reaches the strictest threshold.

Needs `../shared/data`. Writes `results/inversion.json`, or `results/inversion_KEY.json` for another key. Takes an hour or two on
two cores; `--targets 8 --requests 600` takes two minutes.
"""

import argparse
import tarfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from record import LFW, write_result

from visavis.encoders import Encoder, load_encoder
from visavis.errors import ImageError
from visavis.service.access import Caller
from visavis.service.disclosure import Disclosure
from visavis.verification import Verifier

Floats = npt.NDArray[np.float64]
KEYS = {
    "decide": Caller("a", "decide", all_scores=False),
    "read": Caller("a", "read", all_scores=False),
    "all": Caller("a", "read", all_scores=True),
}
COMPONENTS, SCALE, STEP, BATCH = 100, 0.7, 0.25, 8


def crops(verifier: Verifier, count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return faces of people of LFW, one of each: of those who are enrolled, and of 4 times as many that the attacker has."""
    faces, people = [], set[str]()
    with tarfile.open(LFW) as tar:
        for member in tar:
            person = member.name.split("/")[-2] if member.name.endswith(".jpg") else ""
            if not person or person in people or len(faces) == 5 * count:
                continue
            people.add(person)
            file = tar.extractfile(member)
            assert file is not None
            try:
                faces.append(verifier.acquire(file.read()).pixels)
            except ImageError:
                continue
    pixels = np.stack(faces)
    return pixels[:count], pixels[count:]


@dataclass
class Eigenfaces:
    """A linear model of faces.

    Attributes:
        mean: `(h * w * c,)`.
        components: `(k, h * w * c)`, scaled to one standard deviation.
    """

    mean: Floats
    components: Floats
    shape: tuple[int, ...]

    @classmethod
    def of(cls, faces: npt.NDArray[np.uint8]) -> "Eigenfaces":
        """Fit the model."""
        rows = faces.reshape(len(faces), -1).astype(np.float64)
        mean = rows.mean(axis=0)
        _, sizes, components = np.linalg.svd(rows - mean, full_matrices=False)
        count = min(COMPONENTS, len(sizes) - 1)
        return cls(mean, components[:count] * (sizes[:count, None] / np.sqrt(len(rows))), faces.shape[1:])

    def draw(self, weights: Floats) -> npt.NDArray[np.uint8]:
        """Return the faces of weights `(n, k)`."""
        rows = self.mean + weights @ self.components
        return np.clip(np.rint(rows), 0, 255).astype(np.uint8).reshape(-1, *self.shape)


@dataclass
class Attack:
    """The state of the attack on one target: the best weights, the best answer, and the requests that it took."""

    weights: Floats
    answer: float = -1.0
    score: float = -1.0
    requests: int = 0


class Oracle:
    """Answers searches as the service does."""

    def __init__(self, encoder: Encoder, key: str) -> None:
        """Create a verifier for each threshold, most lenient first."""
        self.rules = sorted(encoder.card.rules, key=lambda rule: rule.score)
        self.verifiers = [Verifier(encoder, target_fmr=rule.target_fmr) for rule in self.rules]
        self.disclosure = Disclosure.of(KEYS[key], encoder.card)

    def ask(self, score: float, best: float) -> tuple[float, int]:
        """Return how good a score looks (higher is better), and how many requests that took.

        The next threshold is asked for only where the answer so far is at least as good as the best one.
        """
        answer, requests = -1.0, 0
        for number, verifier in enumerate(self.verifiers):
            requests += 1
            verdict = verifier.decide(score)
            figures = self.disclosure.apply(verdict, verifier)
            if figures is not None:
                return figures.score + (0 if self.disclosure.scores == "all" else 100), requests
            if not verdict.same:
                break
            answer = float(number)
            if answer < best:
                break
        return answer, requests


def attack(encoder: Encoder, target: Floats, model: Eigenfaces, oracle: Oracle, requests: int, rng: np.random.Generator) -> Attack:
    """Climb towards one target; stop where it is accepted at the strictest threshold."""
    state = Attack(np.zeros(len(model.components)))
    strictest = oracle.rules[-1].score
    while state.requests < requests and state.score < strictest:
        blind = state.answer < 0
        spread = SCALE if blind else STEP
        base = 0 if blind else state.weights
        proposals = base + spread * rng.normal(size=(BATCH, len(model.components)))
        scores = encoder.embed(model.draw(proposals)) @ target
        for proposal, score in zip(proposals, scores.tolist(), strict=True):
            answer, count = oracle.ask(score, state.answer)
            state.requests += count
            if answer > state.answer or (answer == state.answer >= 0):
                state.weights, state.answer = proposal, answer
            state.score = max(state.score, score)
            if state.requests >= requests or score >= strictest:
                break
    return state


def main() -> None:
    """Attack all targets and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--key", choices=list(KEYS), default="read")
    options = parser.parse_args()
    encoder = load_encoder()
    enrolled, known = crops(Verifier(encoder), options.targets)
    model, oracle = Eigenfaces.of(known), Oracle(encoder, options.key)
    targets = encoder.embed(enrolled).astype(np.float64)
    states = []
    for number, target in enumerate(targets):
        states.append(attack(encoder, target, model, oracle, options.requests, np.random.default_rng(number)))
        print(f"target {number}: best score {states[-1].score:.3f} after {states[-1].requests} requests", flush=True)
    strictest = oracle.rules[-1].score
    accepted = [state.requests for state in states if state.score >= strictest]
    figures = {
        "key": options.key,
        "targets": len(states),
        "requests": options.requests,
        "threshold": strictest,
        "accepted": len(accepted),
        "requests_until_accepted": sorted(accepted),
        "best_scores": {f"p{part}": float(np.percentile([state.score for state in states], part)) for part in (50, 90, 100)},
    }
    print(figures)
    name = "inversion" if options.key == "read" else f"inversion_{options.key}"
    command = f"python benchmarks/inversion.py --targets {options.targets} --requests {options.requests} --key {options.key}"
    write_result(name, figures, command=command)


if __name__ == "__main__":
    main()
