"""Template inversion: improve a picture by the answers of searches until it is accepted as an enrolled person.

    python benchmarks/inversion.py [--targets 100] [--requests 2000] [--key read] [--subjects 100]

The attacker has no photo of the target. It starts with the average face of people who are not enrolled, and adds random
combinations of their principal components (eigenfaces); a change is kept if the answer is better. An answer is what a key of the
scope `--key` (`decide`, `read`, or `all` for all scores) sees of a search: the decision at the threshold that a gallery of
`--subjects` subjects uses by default, and the scores that `service/disclosure.py` lets through. The layer that decides and
discloses is called in this process, without HTTP, rate limit and lockout: this is the attack with the lockout disabled. A target
is accepted if its score reaches the strictest threshold of the model.

Needs `../shared/data`. Writes `results/inversion.json`, or `results/inversion_KEY.json` for another key. Ten minutes: while
all answers are alike, each target gets the same faces, which are embedded once. With `--key all`, a target takes a minute.
"""

import argparse
import tarfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from record import LFW, write_result

from visavis.encoders import Encoder, load_encoder
from visavis.errors import ImageError
from visavis.gallery.search_rules import choose_rule
from visavis.service.access import Caller
from visavis.service.disclosure import Disclosure
from visavis.verification import Verifier

Floats = npt.NDArray[np.floating]
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
        rows = faces.reshape(len(faces), -1).astype(np.float32)
        mean = rows.mean(axis=0)
        _, sizes, components = np.linalg.svd(rows - mean, full_matrices=False)
        count = min(COMPONENTS, len(sizes) - 1)
        return cls(mean, components[:count] * (sizes[:count, None] / np.float32(np.sqrt(len(rows)))), faces.shape[1:])

    def draw(self, weights: Floats) -> npt.NDArray[np.uint8]:
        """Return the faces of weights `(n, k)`."""
        rows = self.mean + weights.astype(np.float32) @ self.components
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

    def __init__(self, encoder: Encoder, key: str, subjects: int) -> None:
        """Take the default threshold of a gallery of this many subjects.

        Raises:
            SystemExit: If the encoder has none.
        """
        chosen, undecided = choose_rule(encoder.card, None, subjects)
        if chosen is None:
            raise SystemExit(undecided)
        self.threshold, self.strictest = chosen.rule.score, max(rule.score for rule in encoder.card.rules)
        self.verifier = Verifier(encoder, target_fmr=chosen.rule.target_fmr)
        self.disclosure = Disclosure.of(KEYS[key], encoder.card)

    def ask(self, score: float) -> float:
        """Return how good a score looks: the score where it is disclosed, otherwise -1 where it is rejected and -0.5."""
        verdict = self.verifier.decide(score)
        figures = self.disclosure.apply(verdict, self.verifier)
        return figures.score if figures is not None else -0.5 if verdict.same else -1.0


@dataclass(frozen=True)
class Attacker:
    """Someone who can draw faces and search.

    Attributes:
        encoder: Embeds what is searched for.
        model: Draws faces.
        first: Weights of the faces that are tried on each target as long as the answers say nothing `(requests, k)`.
        embeddings: Their embeddings.
    """

    encoder: Encoder
    model: Eigenfaces
    first: Floats
    embeddings: Floats

    @classmethod
    def of(cls, encoder: Encoder, model: Eigenfaces, requests: int) -> "Attacker":
        """Draw and embed the first faces."""
        first = SCALE * np.random.default_rng(0).normal(size=(requests, len(model.components)))
        parts = [encoder.embed(model.draw(first[start : start + BATCH])) for start in range(0, requests, BATCH)]
        return cls(encoder, model, first, np.concatenate(parts))

    def attack(self, target: Floats, oracle: Oracle, rng: np.random.Generator) -> Attack:
        """Climb towards one target; stop where it is accepted at the strictest threshold."""
        state, requests = Attack(np.zeros(self.first.shape[1])), len(self.first)
        while state.requests < requests and state.score < oracle.strictest:
            left = slice(state.requests, min(state.requests + BATCH, requests))
            if state.answer == -1:
                proposals, embeddings = self.first[left], self.embeddings[left]
            else:
                proposals = state.weights + STEP * rng.normal(size=self.first[left].shape)
                embeddings = self.encoder.embed(self.model.draw(proposals))
            for proposal, score in zip(proposals, (embeddings @ target).tolist(), strict=True):
                answer = oracle.ask(score)
                state.requests += 1
                if answer > state.answer or (answer == state.answer > -1):
                    state.weights, state.answer = proposal, answer
                state.score = max(state.score, score)
                if score >= oracle.strictest:
                    break
        return state


def main() -> None:
    """Attack all targets and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--key", choices=list(KEYS), default="read")
    parser.add_argument("--subjects", type=int, nargs="+", default=[100])
    options = parser.parse_args()
    encoder = load_encoder()
    enrolled, known = crops(Verifier(encoder), options.targets)
    attacker = Attacker.of(encoder, Eigenfaces.of(known), options.requests)
    targets = encoder.embed(enrolled)
    galleries = {}
    for subjects in options.subjects:
        oracle, states = Oracle(encoder, options.key, subjects), list[Attack]()
        for number, target in enumerate(targets):
            states.append(attacker.attack(target, oracle, np.random.default_rng(number)))
            print(f"{subjects} subjects, target {number}: {states[-1].score:.3f} after {states[-1].requests} requests", flush=True)
        accepted = [state.requests for state in states if state.score >= oracle.strictest]
        galleries[str(subjects)] = {
            "threshold": oracle.threshold,
            "strictest": oracle.strictest,
            "reached": sum(state.score >= oracle.threshold for state in states),
            "accepted": len(accepted),
            "requests_until_accepted": sorted(accepted),
            "best_scores": {f"p{part}": float(np.percentile([state.score for state in states], part)) for part in (50, 90, 100)},
        }
    figures = {"key": options.key, "targets": len(targets), "requests": options.requests, "galleries": galleries}
    print(figures)
    name = "inversion" if options.key == "read" else f"inversion_{options.key}"
    write_result(name, figures)


if __name__ == "__main__":
    main()
