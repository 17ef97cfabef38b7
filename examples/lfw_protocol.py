"""Evaluate an encoder on LFW's View 2: python examples/lfw_protocol.py FACES PAIRS --model pretrained.

FACES is the output of `visavis prepare lfw-deepfunneled.tar --face centre --out FACES`, PAIRS is LFW's pairs.txt. The people of
the first two folds were held out from the training of the bundled encoder, so it is tested on these: 1,200 pairs.
"""

import argparse
from pathlib import Path

import visavis


def main() -> None:
    """Score the pairs, each fold at the threshold that is best on the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--out", type=Path, default=Path("lfw-figures"))
    options = parser.parse_args()
    result = visavis.evaluate_model(
        options.model, str(options.faces), options=visavis.EvaluationOptions(pairs=options.pairs), out=options.out
    )
    print(result.evaluation)
    print(result.evaluation.folded)


if __name__ == "__main__":
    main()
