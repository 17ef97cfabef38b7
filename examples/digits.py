"""Not faces: are these two handwritten digits the same, for digits that the network was never trained on?

    python examples/digits.py [--steps 400]

Five digits are few to learn from, so each of them, turned by quarters and mirrored, counts as a kind of its own (a usual step with
handwritten characters). Two other digits choose the weights, and the last three are compared in the end.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import visavis

TRAINED, VALIDATED, TESTED = (2, 3, 4, 5, 6), (7,), (0, 1, 8)


def kinds_of(digits: tuple[int, ...], *, turned: bool) -> visavis.FaceDataset:
    """Pictures of some digits with what they show; turned and mirrored ones have kinds of their own."""
    bundled = load_digits()
    pictures, kinds = [], []
    for digit in digits:
        upright = bundled.images[bundled.target == digit] / 16
        for quarters in range(4 if turned else 1):
            for mirrored in (False, True) if turned else (False,):
                changed = np.rot90(upright, quarters, axes=(1, 2))
                pictures.append(changed[:, :, ::-1] if mirrored else changed)
                kinds += [f"{digit}, turned {quarters}{', mirrored' if mirrored else ''}"] * len(upright)
    return visavis.read_arrays(np.concatenate(pictures), kinds, size=(32, 32), name=f"digits {digits}")


def main() -> None:
    """Train, and compare digits that were never seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    split = visavis.Split(kinds_of(TRAINED, turned=True), kinds_of(VALIDATED, turned=True), kinds_of(TESTED, turned=False))
    mild = visavis.Augmentation(rotation=8, scale=0.1, shift=0.08, contrast=0.2, gamma=1.2, side_light=0, cutout=0.2)
    config = visavis.config_for(split.train, steps=steps, validate_every=100, augmentation=mild, flip=False)
    run = visavis.train(split, config)
    pixels = split.test.faces.reshape(len(split.test), -1).astype(np.float32)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    embeddings = visavis.embed(visavis.embedding_of(run.siamese), split.test.faces)
    for name, rows in (("pixels as they are", pixels), ("embeddings", embeddings)):
        print(f"{name}: {visavis.evaluate_all_pairs(rows, split.test.labels).eer:.1%} equal error rate on digits {TESTED}")


if __name__ == "__main__":
    main()
