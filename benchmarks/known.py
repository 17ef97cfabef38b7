"""Operating points, calibration and figures of the known encoders, as the package ships them.

    pip install 'visavis[recipe]' && python benchmarks/encoder.py && python benchmarks/known.py

SFace and dlib's network get operating points and calibration from the same people as the bundled encoder: LFW's validation people,
and people in the wild with numbers below 5000. The figures are those of `results/encoder.json`, on people who had no part in any
choice. Writes `src/visavis/encoders/known/NAME.json`. Some minutes, less where `runs/` has the embeddings.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from compared import embeddings, faces_of
from record import PHOTOS, RESULTS
from whiten import CHOOSING, VALIDATION, WILD, sides_of_lfw, with_operating_points

from visavis import __version__
from visavis.encoders.card import Card, DataSide
from visavis.encoders.registry import KnownEncoder, known_encoders
from visavis.files import atomic_write

COMMAND = "python benchmarks/known.py"
_WEIGHTS = {"sface": "the weights of face_recognition_sface_2021dec_int8bq.onnx, OpenCV Zoo's file of 8 bits, as float32"}


def measured_card(name: str, card: Card) -> Card:
    """Return an encoder's card with operating points from both populations."""
    lfw, wild = faces_of("lfw"), faces_of("wild")
    validation = sides_of_lfw(lfw, PHOTOS / "lfw-pairs.txt").validation
    below = np.flatnonzero([int(wild.people[label]) < CHOOSING for label in wild.labels])
    people = {
        VALIDATION: (embeddings(name, "lfw")[validation], lfw.labels[validation]),
        WILD: (embeddings(name, "wild")[below], wild.labels[below]),
    }
    used = lfw.select(validation)
    side = DataSide(used.people, len(used), used.digest())
    about = {"versions": {"visavis": __version__}, "created": datetime.now(UTC).isoformat(timespec="seconds"), "command": COMMAND}
    return with_operating_points(replace(card, sides={"calibration": side}, **about), people)


def figures_of(name: str, results: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what was measured of an encoder, as texts by population and measure."""
    view2 = results["lfw_view2"][name]
    found = {"LFW View 2, ten folds": {"accuracy": f"{view2['accuracy']:.2%} (standard error {view2['standard_error']:.2%})"}}
    populations = {
        "lfw_unseen_people": "LFW, people of folds 1 and 2, all pairs",
        "wild_unseen_people": "people in the wild (CelebA), all pairs",
        "att_unseen_people": "AT&T, all pairs",
    }
    for key, population in populations.items():
        rows = results[key][name]
        low, high = rows["eer_interval"]
        found[population] = {"people, photos": f"{results[key]['people']:,}, {results[key]['photos']:,}"}
        found[population]["EER"] = f"{rows['eer']:.2%} (95 %: {low:.2%} to {high:.2%})"
        for fmr, text in (("1e-03", "0.1 %"), ("1e-04", "0.01 %")):
            low, high = rows[f"tar_at_fmr_{fmr}_interval"]
            found[population][f"TAR at FMR {text}"] = f"{rows[f'tar_at_fmr_{fmr}']:.1%} (95 %: {low:.1%} to {high:.1%})"
    times = results["milliseconds_a_face"]
    found["time per face, one thread"] = {"against SFace": f"{times[name] / times['sface']:.2f} times"}
    return found


def write(encoder: KnownEncoder, results: dict[str, Any]) -> None:
    """Write what was measured beside an encoder's description."""
    values: dict[str, Any] = {"weights": _WEIGHTS.get(encoder.name, ""), "figures": figures_of(_short(encoder.name), results)}
    if encoder.origin != "bundled":
        values["card"] = measured_card(encoder.name, Card(encoder.card.crop)).to_json()
    with atomic_write(encoder.file.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(encoder.file.with_suffix(".json"))


def _short(name: str) -> str:
    return "visavis" if name == "pretrained" else name


def main() -> None:
    """Write the files of all encoders that `encoder.py` compared."""
    results = json.loads((RESULTS / "encoder.json").read_text(encoding="utf-8"))
    for name in ("pretrained", "sface", "dlib"):
        write(known_encoders()[name], results)


if __name__ == "__main__":
    main()
