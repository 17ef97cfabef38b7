# %% [markdown]
# # From labelled faces to a measured verifier
#
# The faces are generated, so this runs anywhere. Replace them by your own `face_images` and `face_labels`.

# %%
import matplotlib.pyplot as plt
import numpy as np

import visavis
from visavis.evaluation.plots import plot_det, plot_scores

plt.ion()  # show figures
faces = visavis.generate_faces(people=60, photos=6, size=48, seed=1)
print(faces.summary())

# %% [markdown]
# Mated and non-mated pairs:

# %%
images_dataset, labels_dataset = visavis.generate_image_pairs(faces.faces, faces.labels)
visavis.visualize(images_dataset, labels_dataset, n=5)

# %% [markdown]
# People are split, not photos. The loss covers all pairs of a batch.

# %%
split = visavis.split_people(faces)
run = visavis.train(split, visavis.config_for(split.train, steps=120, validate_every=40))
print(f"validation people: equal error rate {run.validation_eer:.1%}")

# %% [markdown]
# The test people are held out. Each rate has its counts and an interval over people, which is wide for nine people.

# %%
embeddings = visavis.embed(visavis.embedding_of(run.siamese), split.test.faces, flip=True)
evaluation = visavis.evaluate_all_pairs(embeddings, split.test.labels, visavis.Claims(threshold=run.threshold))
print(evaluation)

# %% [markdown]
# The scores of mated and non-mated pairs, with the threshold chosen on the validation people:

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4))
plot_scores(evaluation.curve, evaluation.threshold, ax=axes[0])
plot_det(evaluation.curve, resampled=evaluation.resampled_curves, ax=axes[1])

# %% [markdown]
# One photo against five others:

# %%
anchor, others = embeddings[0], embeddings[1:11:2]
for score, label in zip(others @ anchor, split.test.labels[1:11:2], strict=True):
    truth = "the same" if label == split.test.labels[0] else "another"
    print(f"score {score:.3f}: {'same person' if score >= run.threshold else 'different people'}, actually {truth}")
visavis.test_visualize(split.test.faces[np.arange(1, 11, 2)], n=5)
