"""The usual PyTorch script: a Dataset with torchvision's transforms in a DataLoader.

The same network as `alexnet32` and the same augmentation, written as tutorials write it: in float32 and
batches of 64, or, tuned, in bfloat16 and batches of 128. The benchmark compares with it; the workflow
does not use it.
"""

import os
import time
from collections.abc import Iterable

import torch
from measuring import noise
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Images(Dataset):
    def __init__(self, count: int) -> None:
        self._split = noise(count)
        self._transform = transforms.Compose(
            [
                transforms.RandomAffine(15, translate=(0.1, 0.1)),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
            ]
        )

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self._split.images[index])
        return self._transform(image), int(self._split.labels[index])


def network() -> nn.Module:
    def convolution(inside: int, outside: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]

    return nn.Sequential(
        *convolution(3, 64),
        nn.MaxPool2d(2),
        *convolution(64, 192),
        nn.MaxPool2d(2),
        *convolution(192, 384),
        *convolution(384, 256),
        *convolution(256, 256),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(256 * 4 * 4, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 10),
    )


class Script:
    """A training as the script does it, with as many loader processes as there are cores."""

    def __init__(self, tuned: bool) -> None:
        self.batch_size = 128 if tuned else 64
        self.precision = "bfloat16" if tuned else "float32"
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = network().to(self._device)
        self._loss = nn.CrossEntropyLoss()
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=1e-3)

    @property
    def device(self) -> str:
        return torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"

    def images_per_second(self, images: int, warm_up: int) -> float:
        """Speed of training on these and evaluating a ninth as many, without the first steps."""
        loader = self._loader(images)
        training = self._train(loader, len(loader), warm_up)
        evaluated = DataLoader(Images(images // 9), batch_size=self.batch_size)
        start = time.perf_counter()
        self._model.eval()
        with torch.no_grad(), self._autocast():
            for inputs, labels in evaluated:
                predicted = self._model(inputs.to(self._device)).argmax(1)
                (predicted == labels.to(self._device)).sum().item()
        validation = (time.perf_counter() - start) / (images // 9)
        return 1 / (training + validation / 9)

    def steps_images_per_second(self, images: int, warm_up: int) -> float:
        """Speed of the training steps alone, with a batch that is on the device already."""
        inputs, labels = next(iter(self._loader(self.batch_size)))
        batch = inputs.to(self._device), labels.to(self._device)
        steps = images // self.batch_size
        return 1 / self._train((batch for _ in range(steps)), steps, warm_up, report=False)

    def _loader(self, images: int) -> DataLoader:
        return DataLoader(
            Images(images),
            batch_size=self.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=os.cpu_count() or 1,
            pin_memory=self._device.type == "cuda",
        )

    def _train(self, batches: Iterable, steps: int, warm_up: int, report: bool = True) -> float:
        """Seconds for each image; with `report` each step's loss is read, as the usual script does."""
        start, loss = 0.0, torch.zeros(())
        self._model.train()
        for step, (inputs, labels) in enumerate(batches):
            if step == warm_up:
                loss.item()  # waits for a GPU
                start = time.perf_counter()
            inputs = inputs.to(self._device, non_blocking=True)
            labels = labels.to(self._device, non_blocking=True)
            self._optimiser.zero_grad()
            with self._autocast():
                loss = self._loss(self._model(inputs), labels)
            loss.backward()
            self._optimiser.step()
            if report:
                loss.item()
        loss.item()
        return (time.perf_counter() - start) / ((steps - warm_up) * self.batch_size)

    def _autocast(self) -> torch.autocast:
        enabled = self.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=enabled)
