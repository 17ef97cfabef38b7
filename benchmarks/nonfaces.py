"""Pictures without a face: does the detector find one, and which people do they match with `--aligned`?

    python benchmarks/faces.py && python benchmarks/nonfaces.py

Sixty pictures of each of five kinds: corners of LFW's photos, noise, clouds (smoothed noise), stripes and chessboards, pages of
letters. Each is searched as a whole photo, as the commands do (also turned, and thoroughly where nothing is found), and by the
detector's first search alone. Then each is passed as a declared face crop, which should cause a warning,
and compared with one face of each person of LFW that the bundled encoder was not trained on, at its thresholds. For comparison:
how often these people, and the photos of AT&T, cause a warning, and how often these people match each other. Writes
`results/nonfaces.json`. Under a minute.
"""

import argparse
import string
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from record import LFW, PHOTOS, RUNS, write_result

from visavis import FaceFinder, Verifier, read_image
from visavis.data import load_dataset, open_photos
from visavis.faces import CANONICAL_SIDE
from visavis.faces.orientation import detect_any_turn

Picture = npt.NDArray[np.uint8]
EACH, SIDE = 60, 250


def corner(number: int, rng: np.random.Generator) -> Picture:
    """Return a corner of a photo of LFW, away from its face."""
    with open_photos(LFW) as files:
        photo = read_image(files.fetch(files.photos[int(rng.integers(len(files.photos)))][0]))
    return np.asarray(Image.fromarray(photo[:64, :64] if number % 2 else photo[:64, -64:]).resize((SIDE, SIDE)))


def noise(number: int, rng: np.random.Generator) -> Picture:
    """Return random levels or colours, each several pixels wide."""
    wide = 1 + number % 8
    return np.kron(rng.integers(0, 256, (SIDE // wide + 1,) * 2 + (3,)), np.ones((wide, wide, 1)))[:SIDE, :SIDE].astype(np.uint8)


def clouds(number: int, rng: np.random.Generator) -> Picture:
    """Return noise smoothed over several pixels and stretched to all levels."""
    image = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).filter(ImageFilter.GaussianBlur(3 + number % 30))
    levels = np.asarray(image, dtype=np.float64)
    return (255 * (levels - levels.min()) / np.ptp(levels)).astype(np.uint8)


def stripes(number: int, rng: np.random.Generator) -> Picture:
    """Return stripes or a chessboard in two colours."""
    first, second = rng.integers(0, 256, (2, 3))
    wide = int(rng.integers(4, 64))
    y, x = np.indices((SIDE, SIDE)) // wide
    return np.where(((x + (y if number % 2 else 0)) % 2 == 0)[:, :, None], first, second).astype(np.uint8)


def letters(number: int, rng: np.random.Generator) -> Picture:
    """Return a page of letters."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    for top in range(5, SIDE, 14 + number % 10):
        line = "".join(rng.choice(list(string.ascii_letters + " " * 10), 45))
        ImageDraw.Draw(image).text((5, top), line, fill=tuple(int(level) for level in rng.integers(0, 120, 3)))
    return np.asarray(image)


KINDS: dict[str, Callable[[int, np.random.Generator], Picture]] = {
    "corners of photos": corner,
    "noise": noise,
    "clouds": clouds,
    "stripes and chessboards": stripes,
    "letters": letters,
}


def warned(verifier: Verifier, crops: Iterable[Picture]) -> int:
    """Count the crops with a warning that no face fills them."""
    return sum("no face" in text for crop in crops for text in verifier.acquire(crop).found.warnings)


def main() -> None:
    """Generate, detect, compare, write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rng = np.random.default_rng(0)
    verifier, finder = Verifier(aligned=True), FaceFinder()
    card = verifier.card
    thresholds = {f"{100 * rule.target_fmr:g} %": rule.score for rule in card.rules}
    data = load_dataset(str(RUNS / "lfw-faces"))
    names, firsts = np.unique(data.labels, return_index=True)
    chosen = [first for name, first in zip(names, firsts, strict=True) if not card.has_seen(data.people[name])]
    people = verifier.embed(data.faces[chosen])
    nonmated = (people @ people.T)[np.triu_indices(len(people), 1)]
    kinds = {}
    for name, draw in KINDS.items():
        pictures = [draw(number, rng) for number in range(EACH)]
        crops = [np.asarray(Image.fromarray(picture).resize((CANONICAL_SIDE,) * 2)) for picture in pictures]
        scores = verifier.embed(crops) @ people.T
        kinds[name] = {
            "pictures": EACH,
            "taken_for_faces": sum(len(detect_any_turn(picture, finder)) > 0 for picture in pictures),
            "taken_for_faces_in_one_search": sum(len(finder.detect(picture)) > 0 for picture in pictures),
            "warned_of": warned(verifier, crops),
            "false_match_rate": {target: float((scores >= score).mean()) for target, score in thresholds.items()},
        }
    att = load_dataset(str(PHOTOS / "att_faces.tar"))
    figures = {
        "people": len(people),
        "people_warned_of": warned(verifier, data.faces[chosen]),
        "att_photos": len(att),
        "att_photos_warned_of": warned(verifier, att.faces),
        "unseen_people": {target: float((nonmated >= score).mean()) for target, score in thresholds.items()},
        "kinds": kinds,
    }
    print(figures)
    write_result("nonfaces", figures)


if __name__ == "__main__":
    main()
