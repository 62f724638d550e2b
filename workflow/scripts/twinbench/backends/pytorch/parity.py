"""What the parity suite needs of PyTorch: see `twinbench.parity.measuring`."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights

from twinbench.backends.pytorch import audit, network
from twinbench.backends.pytorch.backend import Backend
from twinbench.backends.pytorch.weights import read_state
from twinbench.networks.architectures import Architecture
from twinbench.networks.weights import Weights
from twinbench.parity.measuring import LibraryReference, Setting
from twinbench.recipe.epoch_plan import EpochPlan


class ParityBackend(Backend):
    def batch(self, plan: EpochPlan, step: int) -> tuple[np.ndarray, np.ndarray]:
        self._go_to(plan, step)
        images, labels = self._batch()
        return images.permute(0, 2, 3, 1).cpu().numpy(), labels.cpu().numpy()

    def loss_and_gradients(self, plan: EpochPlan, step: int) -> tuple[float, Weights]:
        job = self._job
        self._set_training_mode()
        self._go_to(plan, step)
        self._set_step()
        images, labels = self._batch()
        self._optimiser.zero_grad()
        loss, _ = self._loss(images, labels)
        if loss.requires_grad:  # not with every layer frozen
            loss.backward()
        return loss.item(), network.get_gradients(self._network, job.layers, job.input_size)

    def update(self, plan: EpochPlan, step: int, gradients: Weights) -> None:
        job = self._job
        network.set_gradients(self._network, gradients, job.layers, job.input_size)
        self._go_to(plan, step)
        self._set_step()
        self._optimiser.step()

    def _go_to(self, plan: EpochPlan, step: int) -> None:
        self._set_plan(plan)
        self._step.fill_(step)

    def describe(self) -> dict[str, Setting]:
        types = self._output_types()
        return audit.describe(self._job, self._network, self._optimiser, types, self._metric_sums)

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


def library_reference(
    architecture: Architecture, published: Path, images: np.ndarray, size: int
) -> LibraryReference:
    """torchvision's own preprocessing, and its own network with the published file."""
    assert architecture.published is not None and architecture.published.library_name is not None
    name = architecture.published.library_name
    # The preset resizes to 256 and crops 224: here both are the study's size, so nothing is cropped.
    preset = get_model_weights(name)["IMAGENET1K_V1"]
    transforms = preset.transforms(crop_size=size, resize_size=size)
    pixels = transforms(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    library = get_model(name)
    library.classifier[-1] = nn.Identity()
    library.load_state_dict(read_state(published, architecture))
    with torch.inference_mode():
        features = library.eval()(pixels)
    return LibraryReference(pixels.permute(0, 2, 3, 1).contiguous().numpy(), features.numpy())
