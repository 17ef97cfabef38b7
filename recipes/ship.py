"""Put a trained encoder into the package: one ONNX file to run, and its weights in 16 bits to train on from.

    python recipes/ship.py runs/encoder

Both have the same weights, those of the run rounded to 16 bits. Look at the run's figures before; commit the two files after.
"""

import sys
from pathlib import Path

from visavis.encoders import PRETRAINED_FILE
from visavis.encoders.export import export_model
from visavis.encoders.keras import load_model, save_pretrained


def main() -> None:
    """Round, write, and say how large it is."""
    export_model(save_pretrained(load_model(Path(sys.argv[1]))), PRETRAINED_FILE)
    for file in (PRETRAINED_FILE, PRETRAINED_FILE.with_suffix(".npz")):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
