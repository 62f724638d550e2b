"""PyTorch's part in the parity ladder: see `twinbench.parity.Measurable` and `Library`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.models import AlexNet_Weights, alexnet

from twinbench import protocol
from twinbench.parity import Reference, Setting
from twinbench.protocol import Phase, Weights
from twinbench.pytorch import audit, network
from twinbench.pytorch.arm import PyTorchArm


class MeasuredArm(PyTorchArm):
    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _, (images, labels) in self._batches(epoch, first_step):
            yield images.permute(0, 2, 3, 1).cpu().numpy(), labels.cpu().numpy()

    def loss_and_gradients(self, phase: Phase, epoch: int, step: int) -> tuple[float, Weights]:
        job = self._job
        self._set_mode(phase)
        self._set_dropout(epoch, step)
        _, (images, labels) = next(self._batches(epoch, step))
        self._optimiser.zero_grad()
        loss, _ = self._loss(images, labels)
        loss.backward()
        return loss.item(), network.get_gradients(self._network, job.layers, job.input_size)

    def update(self, phase: Phase, epoch: int, step: int, gradients: Weights) -> None:
        job = self._job
        network.set_gradients(self._network, gradients, job.layers, job.input_size)
        schedule = job.settings["schedule"]
        self._prepare_update(
            protocol.learning_rate(phase, epoch, step, job.steps_per_epoch, schedule)
        )
        self._optimiser.step()

    def describe(self) -> dict[str, Setting]:
        self._prepare_update(self._job.settings["learning_rate"])
        return audit.describe(
            self._job, self._network, self._optimiser, self._updates, self._output_types()
        )

    def _output_types(self) -> dict[str, torch.dtype]:
        """The type in which each convolution and dense layer computes, seen in a forward pass."""
        types: dict[str, torch.dtype] = {}
        hooks = [
            module.register_forward_hook(
                lambda module, inputs, output, name=name: types.update({name: output.dtype})
            )
            for name, module in self._network.named_children()
            if isinstance(module, nn.Conv2d | nn.Linear)
        ]
        self.logits(self._job.validation.images[:1])
        for hook in hooks:
            hook.remove()
        return types


def library(model: str, official: Path, images: np.ndarray, size: int) -> Reference | None:
    """torchvision's own preprocessing, and its own AlexNet with the official file."""
    if model != "alexnet":
        return None
    # The preset resizes to 256 and crops 224: here both are the study's side, so nothing is cropped.
    transforms = AlexNet_Weights.IMAGENET1K_V1.transforms(crop_size=size, resize_size=size)
    pixels = transforms(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    net = alexnet()
    net.load_state_dict(torch.load(official, map_location="cpu", weights_only=True))
    net.classifier[-1] = nn.Identity()
    with torch.inference_mode():
        features = net.eval()(pixels)
    return Reference(pixels.permute(0, 2, 3, 1).contiguous().numpy(), features.numpy())
