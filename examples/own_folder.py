"""Error rates on a folder with one sub-folder per person: python examples/own_folder.py PHOTOS --out figures.

Use `--aligned` if the photos are face crops already.
"""

import argparse
from pathlib import Path

import visavis


def main() -> None:
    """Detect the faces, evaluate the bundled encoder on them, and compare one photo with all others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--aligned", action="store_true")
    options = parser.parse_args()
    faces = options.photos
    if not options.aligned:
        faces = options.out / "faces"
        print(visavis.prepare_photos(options.photos, faces, progress=False))
    dataset = visavis.load_dataset(faces)
    print(visavis.audit_dataset(dataset))
    if not options.aligned:
        result = visavis.evaluate_model("pretrained", str(faces), out=options.out)
        print(f"{result.evaluation}\nreport: {result.report}")
    verifier = visavis.Verifier(aligned=True)
    verdicts = verifier.compare(dataset.faces[0], dataset.faces[1:])
    for source, verdict in sorted(zip(dataset.sources[1:], verdicts, strict=True), key=lambda pair: -pair[1].score)[:5]:
        print(f"{dataset.sources[0]} and {source}: {verdict.describe()}")


if __name__ == "__main__":
    main()
