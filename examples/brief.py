"""A classic Siamese network on arrays of faces: python examples/brief.py [--epochs 8].

`face_images` and `face_labels` are generated here; replace them by your own.
"""

import argparse

from sklearn.metrics import accuracy_score, f1_score, recall_score

import visavis
from visavis import build_embedding, build_siamese, generate_image_pairs, test_visualize, visualize


def main() -> None:
    """Generate pairs, draw them, train, and test on training people and on held-out people."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    epochs = parser.parse_args().epochs
    generated = visavis.generate_faces(people=80, photos=8, size=32, gray=True)
    split = visavis.split_people(generated)

    face_images, face_labels = split.train.faces, split.train.labels
    images_dataset, labels_dataset = generate_image_pairs(face_images, face_labels)
    visualize(images_dataset, labels_dataset, n=5).savefig("pairs.png")

    siamese_model = build_siamese(build_embedding("classic", face_images.shape[1:]))
    siamese_model.compile("adam", "binary_crossentropy")
    siamese_model.fit([images_dataset[:, 0], images_dataset[:, 1]], labels_dataset, epochs=epochs, verbose=2)

    for name, side in (("training people", split.train), ("held-out people", split.test)):
        images_dataset, labels_dataset = generate_image_pairs(side.faces, side.labels)
        pred_scores = siamese_model.predict([images_dataset[:, 0, :], images_dataset[:, 1, :]], verbose=0)
        predicted_labels = (pred_scores > 0.5).astype(int).flatten()
        print(
            f"{name}: accuracy {accuracy_score(labels_dataset, predicted_labels):.3f}, "
            f"recall {recall_score(labels_dataset, predicted_labels):.3f}, F1 {f1_score(labels_dataset, predicted_labels):.3f}"
        )
    test_visualize(split.test.faces, n=5).savefig("test.png")


if __name__ == "__main__":
    main()
