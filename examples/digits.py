"""Verify handwritten digits of classes that were not trained on.

    python examples/digits.py [--steps 200]

scikit-learn's digits: five for training, two for validation, three for the test. Five classes are hardly enough to learn what
distinguishes digits; `examples/signatures.py` has a hundred.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import visavis


def main() -> None:
    """Train, and compare held-out digits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    bundled = load_digits()
    digits = visavis.read_arrays(bundled.images / 16, bundled.target, size=(32, 32), name="digits")
    split = visavis.split_people(digits, fractions=(0.5, 0.2, 0.3), seed=1)
    mild = visavis.Augmentation(rotation=8, scale=0.1, shift=0.08, contrast=0.1, gamma=1.1, side_light=0, cutout=0)
    run = visavis.train(split, visavis.config_for(split.train, steps=steps, validate_every=50, augmentation=mild, flip=False))
    pixels = split.test.faces.reshape(len(split.test), -1).astype(np.float32)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    embeddings = visavis.embed(visavis.embedding_of(run.siamese), split.test.faces)
    for name, rows in (("raw pixels", pixels), ("embeddings", embeddings)):
        eer = visavis.evaluate_all_pairs(rows, split.test.labels).eer
        print(f"{name}: {eer:.1%} equal error rate on the digits {', '.join(split.test.people)}")


if __name__ == "__main__":
    main()
