"""The project's texts use standard English and the terms of the field."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "docs", "benchmarks", "recipes", "examples", "scripts")
SUFFIXES = {".css", ".html", ".ipynb", ".js", ".md", ".py", ".pyi", ".svg", ".toml", ".txt"}
# Not rewritten yet. This list only gets shorter.
REMAINING: tuple[str, ...] = ()
# Each is followed by what to write instead.
PHRASES = {
    r"told": "reported, stated",
    r"foretold": "predicted",
    r"in words": "describe()",
    r"anew": "again, from scratch",
    r"evened": "whitened",
    r"thawed": "unfrozen",
    r"strangers?": "non-mated, unseen people",
    r"made[ -]up": "synthetic, generated",
    r"in the place of": "instead of",
    r"the part of": "the fraction of, the share of",
    r"brought to": "adapted to, scaled to",
    r"nobody of": "no subject",
    r"nobody whom?": "no subject that",
    r"whom": "rephrase",
    r"somebody": "a person, a subject",
    r"g[ai]ven? no face|gives no face": "failure to acquire, no face detected",
    r"cut to the face": "cropped",
    r"look(s|ed|ing)? for": "detect, find, search",
    r"look(s|ed|ing)? at": "validate, inspect, review",
    r"read out of": "parsed, decoded",
    r"mended|mending": "fixed",
    r"in the box": "bundled",
    r"on (its|their) way": "in flight, pending",
    r"g(o|oes|oing|one) on from|went on from": "resume, continue from",
    r"out of patience": "stopped early",
    r"taught by": "distilled from",
    r"by heart": "overfit",
    r"never saw|never seen|not seen": "held-out, unseen",
    r"of a known kind": "in a supported format",
    r"whole or not at all": "atomically",
    r"handed over": "passed, returned",
    r"(is|are|be) to be had": "available",
    r"parted": "split, separated",
    r"uncovered": "exposed, left over",
    r"let go of": "release, close",
    r"resemblance": "comparison score",
    r"(is|are|the) most alike": "best match, highest score",
    r"said to be": "declared",
    r"as it should be": "valid, expected",
    r"missed at once": "reported immediately",
    r"errand": "task",
}
PATTERN = re.compile(
    "|".join(rf"(?<![a-z])(?P<p{number}>{phrase})(?![a-z])" for number, phrase in enumerate(PHRASES)), re.IGNORECASE
)
LINE_BREAK = re.compile(r"\s*\n\s*(?:#:?|//|\*|\|)?\s*")


def findings(text):
    """Return each phrase of the old idiom in a text with the words to use instead, across line breaks and in identifiers."""
    joined = LINE_BREAK.sub(" ", text.replace("_", " "))
    return [
        f"{joined[max(0, match.start() - 30) : match.end() + 30]!r}: use {list(PHRASES.values())[int(match.lastgroup[1:])]}"
        for match in PATTERN.finditer(joined)
    ]


def texts():
    """List the project's text files."""
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    for folder in FOLDERS:
        files += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in SUFFIXES and not path.name.startswith(("LICENSE", "NOTICE")) and path != Path(__file__)
        ]
    return sorted(files)


def is_remaining(path):
    """Return whether a file waits to be rewritten."""
    return any((ROOT / name) in (path, *path.parents) for name in REMAINING)


@pytest.mark.parametrize("path", [path for path in texts() if not is_remaining(path)], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_has_no_phrase_of_the_old_idiom(path):
    assert not findings(path.read_text(encoding="utf-8"))


def test_phrases_are_found_across_lines_in_identifiers_and_nowhere_else():
    assert len(findings("Returns what was told.\n# in the\n# place of strangers_of_lfw")) == 3
    assert not findings("The threshold is stated; departed, toldo, wholesome, instead of guests.")
    assert all(re.search(phrase, PATTERN.pattern) or phrase in PATTERN.pattern for phrase in PHRASES)


def test_what_remains_is_there():
    assert all((ROOT / name).exists() for name in REMAINING)
