"""Verify signatures of signers who were not trained on.

    python examples/signatures.py [--steps 400]

The signatures are synthetic: each signer has a curve, which varies from one signature to the next. Replace them by a folder with
one sub-folder per signer: `visavis.load_dataset("signatures/", size=(64, 64), gray=True)`.
"""

import argparse

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import visavis

SIDE, STROKES = 64, 9


def sign(signer: np.random.Generator, hand: np.random.Generator) -> np.ndarray:
    """Draw one signature `(64, 64)`: `signer` determines the curve, `hand` the variation."""
    knots = np.cumsum(signer.normal([0.45, 0], [0.35, 0.8], (STROKES, 2)), axis=0)
    knots = (knots - knots.min(axis=0)) / np.ptp(knots, axis=0) - 0.5
    knots += hand.normal(0, 0.045, knots.shape)
    at = np.linspace(0, STROKES - 1, 120)
    weights = np.exp(-0.5 * ((at[:, None] - np.arange(STROKES)) / 0.55) ** 2)
    curve = weights @ knots / weights.sum(axis=1, keepdims=True)
    slant, turn, size = signer.normal(0, 0.3) + hand.normal(0, 0.06), hand.normal(0, 0.1), hand.uniform(0.75, 0.9)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[1, slant], [0, 0.6]])
    points = (curve @ matrix.T * size + 0.5 + hand.normal(0, 0.02, 2)) * SIDE * 4
    canvas = Image.new("L", (SIDE * 4, SIDE * 4), int(hand.integers(215, 256)))
    width = int(signer.integers(4, 8)) + int(hand.integers(0, 3))
    ImageDraw.Draw(canvas).line([tuple(point) for point in points], fill=int(hand.integers(10, 90)), width=width, joint="curve")
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(2)).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def signatures(signers: int, each: int) -> visavis.FaceDataset:
    """Draw signatures of synthetic signers."""
    drawn = [
        sign(np.random.default_rng([who, 0]), np.random.default_rng([who, 1, time]))
        for who in range(signers)
        for time in range(each)
    ]
    return visavis.read_arrays(np.stack(drawn), np.repeat(np.arange(signers), each), name="signatures")


def main() -> None:
    """Train on some signers, and compare signatures of held-out signers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--signers", type=int, default=150)
    options = parser.parse_args()
    split = visavis.split_people(signatures(options.signers, 8))
    mild = visavis.Augmentation(rotation=5, scale=0.1, shift=0.05, contrast=0.3, gamma=1.3, side_light=0, cutout=0)
    config = visavis.config_for(split.train, steps=options.steps, validate_every=100, augmentation=mild, flip=False)
    run = visavis.train(split, config)
    pixels = split.test.faces.reshape(len(split.test), -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    embeddings = visavis.embed(visavis.embedding_of(run.siamese), split.test.faces)
    for name, rows in (("raw pixels", pixels), ("embeddings", embeddings)):
        eer = visavis.evaluate_all_pairs(rows, split.test.labels).eer
        print(f"{name}: {eer:.1%} equal error rate on {len(split.test.people)} held-out signers")
    pairs, labels = visavis.generate_image_pairs(split.test.faces, split.test.labels)
    visavis.visualize(pairs, labels, n=5).savefig("signatures.png")


if __name__ == "__main__":
    main()
