"""The `classic` network and its training step in PyTorch with pytorch-metric-learning; a worker of `training.py`."""

import sys

import numpy as np
import torch
from answering import answer
from pytorch_metric_learning.losses import SupConLoss
from torch import nn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Classic(nn.Module):
    """`build_embedding("classic", (64, 64, 1))`, layer for layer."""

    def __init__(self) -> None:
        """Initialise the weights."""
        super().__init__()
        stages: list[nn.Module] = []
        for taken, given, stride, pooled in ((1, 32, 2, True), (32, 64, 1, True), (64, 128, 1, True), (128, 128, 1, False)):
            stages += [nn.Conv2d(taken, given, 3, stride, 1, bias=False)]
            stages += [nn.BatchNorm2d(given, momentum=0.02, eps=1e-3), nn.ReLU()]
            stages += [nn.MaxPool2d(2)] if pooled else []
        self.stages = nn.Sequential(*stages, nn.Flatten(), nn.Linear(128 * 4 * 4, 128, bias=False))
        self.last = nn.BatchNorm1d(128, momentum=0.02, eps=1e-3)
        for layer in self.stages:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """Turn `(n, 1, 64, 64)` levels into embeddings of unit length."""
        centred = photos - photos.mean(dim=(1, 2, 3), keepdim=True)
        standard = centred / centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-4)
        return nn.functional.normalize(self.last(self.stages(standard)))


class Trainer:
    """Trains on prepared batches."""

    def __init__(self, folder: str) -> None:
        """Open the batches."""
        self.photos, self.labels = np.load(f"{folder}/photos.npy", mmap_mode="r"), np.load(f"{folder}/labels.npy")
        self.validation = np.load(f"{folder}/validation.npy")
        self.loss = SupConLoss(temperature=0.1)
        self.begin(0)

    def begin(self, seed: int) -> bool:
        """Start from random weights."""
        torch.manual_seed(seed)
        self.model, self.step = Classic().to(DEVICE), 0
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-3, weight_decay=0.004)
        return True

    def train(self, steps: int) -> bool:
        """Train for some steps."""
        self.model.train()
        for _ in range(steps):
            batch = self.step % len(self.photos)
            photos = on_device(self.photos[batch])
            self.optimizer.zero_grad()
            self.loss(self.model(photos), torch.from_numpy(self.labels[batch]).to(DEVICE)).backward()
            self.optimizer.step()
            self.step += 1
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return True

    def embed(self, path: str, averaged: bool = False) -> bool:
        """Write the embeddings of the validation people, by the weights of the last step."""
        assert not averaged
        self.model.eval()
        with torch.no_grad():
            np.save(path, self.model(on_device(self.validation)).cpu().numpy())
        return True


def on_device(photos: np.ndarray) -> torch.Tensor:
    """Return photos `(n, h, w, 1)` uint8 as levels `(n, 1, h, w)` on the device."""
    return torch.from_numpy(np.array(photos).transpose(0, 3, 1, 2)).to(DEVICE).float()


if __name__ == "__main__":
    trainer = Trainer(sys.argv[1])
    answer({"begin": trainer.begin, "train": trainer.train, "embed": trainer.embed})
