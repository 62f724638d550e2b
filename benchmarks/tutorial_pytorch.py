"""The usual PyTorch script: a Dataset with torchvision's transforms in a DataLoader, float32, batch 64.

The same network as `alexnet32` and the same augmentation, written as tutorials write it. The benchmark
compares with it; the workflow does not use it.
"""

import os
import time

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from twinbench.data.synthetic import generate_split

BATCH = 64


class Images(Dataset):
    def __init__(self, count: int) -> None:
        self._split = generate_split("target", count, 1)
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


def images_per_second(images: int, warm_up: int) -> float:
    """Speed of training on these and evaluating a ninth as many, without the first steps."""
    loader = DataLoader(
        Images(images), batch_size=BATCH, shuffle=True, drop_last=True, num_workers=os.cpu_count()
    )
    evaluated = DataLoader(Images(images // 9), batch_size=BATCH)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = network().to(device)
    loss_function = nn.CrossEntropyLoss()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    start = 0.0
    model.train()
    for step, (inputs, labels) in enumerate(loader):
        if step == warm_up:
            start = time.perf_counter()
        inputs, labels = inputs.to(device), labels.to(device)
        optimiser.zero_grad()
        loss = loss_function(model(inputs), labels)
        loss.backward()
        optimiser.step()
        loss.item()  # what the usual script prints
    training = (time.perf_counter() - start) / ((len(loader) - warm_up) * BATCH)
    model.eval()
    start = time.perf_counter()
    with torch.no_grad():
        for inputs, labels in evaluated:
            correct = model(inputs.to(device)).argmax(1) == labels.to(device)
            correct.sum().item()
    validation = (time.perf_counter() - start) / (images // 9)
    return 1 / (training + validation / 9)
