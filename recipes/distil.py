"""The encoder in the box: a small network that learns to place faces where dlib's network places them.

    python recipes/distil.py --pictures runs/pictures --faces runs/lfw-faces --out runs/encoder-first
    python recipes/distil.py --pictures runs/pictures --faces runs/lfw-faces --out runs/encoder \
        --start runs/encoder-first --network deeper --steps 9000 --rate 1.5e-3

Learns from what `recipes/pictures.py` made: photos of LFW and composites, each with the teacher's descriptor. A batch is changed at
random as in any training, but the descriptor is that of the unchanged picture, so the student learns to see past light, blur and
cut-outs. The descriptors are brought to unit length; the loss is their distance to the student's embedding, plus its
square. Every so often the validation people's equal error rate is looked at. Nothing is done with the folds that were left out.
`--start RUN` goes on from the network of an earlier run, which may have fewer residual blocks, or from the encoder that comes with
visavis (`pretrained`), with a schedule of its own; another `--seed` draws other batches than that run saw. `--resume` after an
interruption.
"""

import argparse
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from pictures import KEPT, LEFT, TOP
from PIL import Image

from visavis.data import Split, load_dataset
from visavis.encoders.card_calibration import with_rules
from visavis.encoders.keras import load_model, load_pretrained, save_model
from visavis.encoders.loading import CHECKPOINT
from visavis.faces import CANONICAL_SIDE
from visavis.models import build_embedding, build_siamese, embed, embedding_of, head_of, products
from visavis.training.augmentation import Augmentation, augment
from visavis.training.cards import make_card
from visavis.training.checkpoints import load_checkpoint
from visavis.training.configuration import TrainingConfig
from visavis.training.trainer import Trainer

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

TARGET_FMRS = (1e-2, 1e-3)  # by the first one's threshold the encoder decides if nobody asks for another

CHANGES = {
    "strong": Augmentation(
        rotation=8, scale=0.08, shift=0.04, contrast=0.4, gamma=1.6, side_light=0.6, cutout=0.4, blur=0.25, grey=0.2
    ),
    "mild": Augmentation(
        rotation=5, scale=0.05, shift=0.03, contrast=0.25, gamma=1.3, side_light=0.3, cutout=0.15, blur=0.15, grey=0.15
    ),
}


class DistanceToTeacher(keras.losses.Loss):
    """The mean distance of embeddings to the teacher's, plus the mean of its square."""

    def __init__(self, name: str = "distance_to_teacher") -> None:
        """Give it a name."""
        super().__init__(name=name)

    def call(self, targets: keras.KerasTensor, embeddings: keras.KerasTensor) -> keras.KerasTensor:
        """Return it for each of `(b, d)` targets and embeddings, rows of unit length."""
        squares = ops.sum(ops.square(targets - embeddings), axis=-1)
        return squares + ops.sqrt(squares + 1e-6)


class Lessons:
    """Batches of pictures with the teacher's targets: a part of them photos, the others composites."""

    def __init__(
        self,
        pictures: Pixels,
        targets: Floats,
        photos: Indices,
        *,
        first_composite: int,
        side: int,
        batch: int,
        changes: Augmentation,
        seed: int = 41,
    ) -> None:
        """Keep the pictures in memory, at the size that the student sees.

        Args:
            pictures: `(m, 102, 102, 3)`, photos first, then composites.
            targets: `(m, d)`, rows of unit length.
            photos: Which of the photos to learn from.
            first_composite: Where the composites begin.
            side: Of the student's pictures, pixels.
            batch: How many pictures a batch has: three eighths of them photos, the others composites.
            changes: How pictures are changed at random.
            seed: Draws the batches.
        """
        self.batch, self.changes, self.seed = batch, changes, seed
        scale = side / CANONICAL_SIDE
        left, top = int(LEFT * scale), int(TOP * scale)
        width = side + 2 * left
        self.frame = (top, left, side, side)
        kept = KEPT * CANONICAL_SIDE / (CANONICAL_SIDE + 2 * LEFT) / side  # pixels of what was kept for one of the student's
        corner = np.array([LEFT * scale - left, TOP * scale - top]) * kept
        self.box = (*corner, *(corner + width * kept))
        self.pictures = np.empty((len(pictures), width, width, 3), dtype=np.uint8)
        for index, picture in enumerate(pictures):
            self.pictures[index] = self._resized(picture, width)
        self.targets, self.photos, self.first_composite = targets, photos, first_composite

    def _resized(self, picture: Pixels, width: int) -> Pixels:
        left, top, right, bottom = self.box
        return np.asarray(
            Image.fromarray(picture).resize((width, width), Image.Resampling.BICUBIC, (left, top, right, min(bottom, KEPT)))
        )

    def __getitem__(self, step: int) -> tuple[Pixels, Floats]:
        """The batch of one step."""
        rng = np.random.default_rng([step, self.seed])
        photos = self.batch * 3 // 8
        composites = rng.integers(self.first_composite, len(self.pictures), self.batch - photos)
        chosen = np.concatenate([rng.choice(self.photos, photos), composites])
        return augment(self.pictures[chosen], rng, self.changes, frame=self.frame), self.targets[chosen]


def targets_of(descriptors: Floats, photos: Indices) -> Floats:
    """Bring the teacher's descriptors to unit length, a third of their mean over the training photos taken away before.

    They lie in a narrow cone: as they are, strangers' cosine is 0.83. All of the mean taken away costs accuracy, a third of it
    little: see `recipes/README.md`.
    """
    centred = descriptors - descriptors[photos].mean(axis=0) / 3
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def student(network: str, side: int, targets: Floats, start: str | None, *, dtype: str) -> keras.Model:
    """Build a network whose embeddings have the mean and the spread of the teacher's from the start, and keep them.

    Left to itself it would first learn to answer with the mean alone, and then hardly anything else. From the run `start`, if
    there is one, it takes its weights.
    """
    model = build_embedding(network, (side, side, 3), embedding_size=targets.shape[1], dtype=dtype)
    if start and start.endswith(CHECKPOINT):
        build_siamese(model).set_weights(load_checkpoint(Path(start)).mean)
    elif start:
        earlier = load_pretrained() if start == "pretrained" else load_model(start)
        take_weights(model, embedding_of(earlier.siamese))
    last = model.layers[-2]
    last.beta.assign(targets.mean(axis=0))
    last.gamma.assign(targets.std(axis=0))
    last.beta.trainable = last.gamma.trainable = False
    return model


def take_weights(model: keras.Model, earlier: keras.Model) -> None:
    """Give a network the weights of one with fewer residual blocks; a block that it has more does nothing at first.

    Each product of the earlier network, in their order, finds the first one of its shape that is left (net2net; Chen, Goodfellow
    and Shlens, 2016). A block that finds none has the scale of its second normalisation at zero.
    """
    waiting = products(earlier)
    left_over = 0
    for product, normalisation in products(model):
        if waiting and waiting[0][0].kernel.shape == product.kernel.shape:
            for own, other in zip((product, normalisation), waiting.pop(0), strict=True):
                own.set_weights(other.get_weights())
        else:
            left_over += 1
            if left_over % 2 == 0:
                normalisation.gamma.assign(np.zeros(normalisation.gamma.shape))
    if waiting:
        raise ValueError(f"the network to start from has another shape: no place for its {waiting[0][0].name}")


def main() -> None:
    """Teach, choose the thresholds, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--pictures", "--faces", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--network", default="deep")
    parser.add_argument("--side", type=int, default=80)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--start", help="a run folder, pretrained, or a checkpoint, whose mean weights are those of its last step")
    parser.add_argument("--fixed-statistics", action="store_true", help="leave the batch normalisations as they are")
    parser.add_argument("--seed", type=int, default=41, help="draws the batches")
    parser.add_argument("--changes", choices=list(CHANGES), default="mild")
    parser.add_argument("--mixed-precision", action="store_true", help="faster where the processor has AVX-512 for 16 bits")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    start = time.perf_counter()
    known = np.load(options.pictures / "photos.npz")
    faces = load_dataset(options.faces, size=(options.side, options.side))
    split = Split(faces.select(known["training"]), faces.select(known["validation"]), None)
    descriptors = np.load(options.pictures / "descriptors.npy")
    made = int(np.append(np.isnan(descriptors[:, 0]), True).argmax())  # an interrupted recipes/pictures.py leaves NaN behind
    descriptors, pictures = descriptors[:made], np.load(options.pictures / "pictures.npy", mmap_mode="r")[:made]
    targets = targets_of(descriptors, known["training"])
    lessons = Lessons(
        pictures,
        targets,
        known["training"],
        first_composite=len(faces),
        side=options.side,
        batch=options.batch,
        changes=CHANGES[options.changes],
        seed=options.seed,
    )
    config = TrainingConfig(
        network=options.network,
        augmentation=CHANGES[options.changes],
        steps=options.steps,
        learning_rate=options.rate,
        averaging=0.998,
        validate_every=min(1000, options.steps // 4),
        flip=False,
        mixed_precision=options.mixed_precision,
    )
    dtype = "mixed_bfloat16" if options.mixed_precision else "float32"
    network = student(options.network, options.side, targets[known["training"]], options.start, dtype=dtype)
    if options.fixed_statistics:
        for _, normalise in products(network):
            normalise.trainable = False
    trainer = Trainer(split, config, network=network, out=options.out, batches=lessons, loss=DistanceToTeacher())
    if options.resume and (options.out / CHECKPOINT).is_file():
        trainer.restore()
    trainer.run(progress=True, watch=None)
    run = trainer.finish()
    exact = build_embedding(options.network, faces.shape, embedding_size=targets.shape[1])
    exact.set_weights(embedding_of(run.siamese).get_weights())
    card = make_card(run, split, data="LFW, taught by dlib's network", command=shlex.join(["python", *sys.argv]))
    card = replace(card, training={**card.training, "loss": trainer.loss.name}, licence="MIT")
    validation = known["validation"]
    embeddings = embed(exact, faces.faces[validation])
    card = with_rules(card, embeddings, faces.labels[validation], TARGET_FMRS, chosen_on="validation people")
    save_model(options.out, build_siamese(exact, head_of(run.siamese)), card)
    print(f"validation EER {run.validation_eer:.2%}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
