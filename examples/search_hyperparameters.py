"""Search for hyperparameters, with whole people in a fold: a grid by scikit-learn, or Optuna.

    python examples/search_hyperparameters.py [photos.npz] [--optuna] [--loss arcface ...] [--steps 200] [--folds 3] [--trials 20]

Without a file (`images`, `labels`), generated faces are used. Every candidate is scored by one minus the equal error rate on people
that it was not trained on. Optuna is not part of visavis: pip install optuna. Report the error of the winner on further people: on
those that chose it, the best of many candidates looks better than it is.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

import visavis

LOSSES = ["contrastive", "supervised-contrastive", "arcface"]


@dataclass(frozen=True)
class Search:
    """What to search over, and on which photos `(n, h, w, c)` of which people `(n,)`."""

    photos: np.ndarray
    people: np.ndarray
    losses: list[str]
    steps: int
    folds: int

    def by_grid(self) -> tuple[dict, float]:
        """Return the best of every combination, and its mean score."""
        verifier = visavis.SiameseVerifier(steps=self.steps, random_state=0)
        grid = {"loss": self.losses, "embedding_size": [32, 128]}
        search = GridSearchCV(verifier, grid, cv=GroupKFold(self.folds), refit=False, error_score="raise")
        search.fit(self.photos, self.people, groups=self.people)
        return search.best_params_, float(search.best_score_)

    def by_optuna(self, trials: int) -> tuple[dict, float]:
        """Return the best of some combinations that Optuna tries one after the other, and its mean score."""
        import optuna

        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
        study.optimize(self._score, n_trials=trials)
        return study.best_params, study.best_value

    def _score(self, trial) -> float:
        verifier = visavis.SiameseVerifier(
            loss=trial.suggest_categorical("loss", self.losses),
            embedding_size=trial.suggest_int("embedding_size", 16, 256, log=True),
            steps=self.steps,
            random_state=0,
        )
        scores = cross_val_score(verifier, self.photos, self.people, groups=self.people, cv=GroupKFold(self.folds))
        return float(scores.mean())


def main() -> None:
    """Search, and print the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="?", help="a .npz file with images and labels")
    parser.add_argument("--optuna", action="store_true", help="search by Optuna instead of a grid")
    parser.add_argument("--loss", action="append", help="may be given several times")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20, help="number of combinations that Optuna tries")
    options = parser.parse_args()
    faces = visavis.generate_faces(30, 5, size=32) if options.photos is None else visavis.load_dataset(options.photos)
    people = np.array(faces.people)[faces.labels]
    search = Search(faces.faces, people, options.loss or LOSSES, options.steps, options.folds)
    best, score = search.by_optuna(options.trials) if options.optuna else search.by_grid()
    print(f"best: {best}, equal error rate {1 - score:.1%} on held-out people")


if __name__ == "__main__":
    main()
