"""The PyTorch backend: see `twinbench.backends.backend`."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from twinbench.backends.backend import AfterStep, Tensors, with_prefix
from twinbench.backends.pytorch import augmentation, network
from twinbench.files import written_atomically
from twinbench.networks.weights import Weights
from twinbench.recipe.augmentation import evaluation_matrices
from twinbench.recipe.epoch_plan import EpochPlan
from twinbench.recipe.schedule import Phase
from twinbench.training.job import Job
from twinbench.training.precision import choose

_EVALUATION_BATCH = 256


class Backend:
    libraries = ("torch", "torchvision", "numpy")

    def __init__(self, job: Job) -> None:
        _configure(job)
        self._job = job
        self.input_size = job.input_size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = choose(job.settings.precision, _compute_capability(self._device))
        torch.manual_seed(job.seed)
        self._network = network.build(
            job.layers,
            job.settings.batch_normalisation,
            job.input_size,
            own_dropout=job.settings.dropout if job.native else None,
        )
        self._network.to(self._device).to(memory_format=torch.channels_last)
        self._images = torch.from_numpy(job.train.images).to(self._device)
        self._labels = torch.from_numpy(job.train.labels).to(self._device)
        self._phase: Phase
        self._optimiser: torch.optim.Optimizer
        self._metric_sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        self.set_weights(
            job.with_pretrained(self.weights()) if job.native else job.initial_weights()
        )

    @property
    def device(self) -> str:
        return torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"

    def start_phase(self, phase: Phase) -> None:
        settings = self._job.settings.optimiser
        modules = dict(self._network.named_children())
        groups = []
        for name in self._job.architecture.weighted_layers():
            for part in (modules[name], modules.get(f"{name}_normalisation")):
                if part is None:
                    continue
                part.requires_grad_(phase.trains(name))
                if phase.trains(name):
                    groups += _parameter_groups(
                        part, phase.multipliers[name], settings.weight_decay
                    )
        # torch refuses to train nothing; the collapse detector reports it.
        groups = groups or [{"params": [torch.nn.Parameter(torch.zeros(1))], "multiplier": 0.0}]
        self._optimiser = torch.optim.AdamW(
            groups, betas=(settings.beta_1, settings.beta_2), fused=True
        )
        self._phase = phase

    def train_epoch(self, plan: EpochPlan, first_step: int, after_step: AfterStep) -> None:
        if first_step == 0:
            self._metric_sums.zero_()
        self._set_training_mode()
        for step in range(first_step, plan.steps):
            images, labels = self._batch(plan, step)
            self._set_step(plan, step)
            self._optimiser.zero_grad()
            loss, logits = self._loss(images, labels)
            if loss.requires_grad:  # not with every layer frozen, see `start_phase`
                loss.backward()
            self._optimiser.step()
            accuracy = (logits.argmax(dim=1) == labels).float().mean()
            self._metric_sums += torch.stack([loss.detach(), accuracy]).double()
            after_step(step + 1)

    def running_metrics(self, steps: int) -> tuple[float, float]:
        loss, accuracy = (self._metric_sums / steps).tolist()
        return loss, accuracy

    def logits(self, images: np.ndarray) -> np.ndarray:
        outputs = []
        with self._evaluating(), torch.inference_mode(), self._autocast():
            for start in range(0, len(images), _EVALUATION_BATCH):
                batch = self._evaluation_input(images[start : start + _EVALUATION_BATCH])
                outputs.append(self._network(batch).cpu().numpy())
        return np.concatenate(outputs)

    def probe(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        with self._evaluating(), torch.inference_mode(), self._autocast():
            outputs = self._evaluation_input(images)
            dead = {}
            for name, module in self._network.named_children():
                outputs = module(outputs)
                if isinstance(module, torch.nn.ReLU):
                    active = outputs.transpose(0, 1).flatten(1).gt(0).any(dim=1)
                    dead[name.removesuffix("_relu")] = 1 - active.float().mean().item()
        return outputs.cpu().numpy(), dead

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        kernels = {
            name: module.weight
            for name, module in self._network.named_children()
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and module.weight.requires_grad
        }
        with self._evaluating():
            with self._autocast():
                logits = self._network(self._evaluation_input(images))
            loss = functional.cross_entropy(logits, torch.from_numpy(labels).to(self._device))
            gradients = torch.autograd.grad(loss, list(kernels.values()))
        return {n: g.norm().item() for n, g in zip(kernels, gradients, strict=True)}

    def state(self) -> Tensors:
        tensors = {f"network/{n}": t for n, t in self._network.state_dict().items()}
        for index, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{name}": t for name, t in moments.items()}
        tensors["sums"] = self._metric_sums
        # Copies, since training goes on while they are written; memory order is not kept in a file.
        return {n: np.array(t.detach().cpu().numpy(), order="C") for n, t in tensors.items()}

    def restore(self, state: Tensors) -> None:
        tensors = {name: _channels_last(torch.from_numpy(t)) for name, t in state.items()}
        self._network.load_state_dict(with_prefix(tensors, "network/"))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in with_prefix(tensors, "optimiser/").items():
            index, moment = name.split("/")
            moments.setdefault(int(index), {})[moment] = tensor
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self._metric_sums.copy_(tensors["sums"])

    def weights(self) -> Weights:
        return network.get_weights(self._network, self._job.layers, self._job.input_size)

    def set_weights(self, weights: Weights) -> None:
        network.set_weights(self._network, weights, self._job.layers, self._job.input_size)

    def save_model(self, path: Path) -> None:
        """The network's state dict as safetensors."""
        state = self._network.state_dict()
        with written_atomically(path) as temporary:
            save_file({n: t.cpu().contiguous() for n, t in state.items()}, temporary)

    def _batch(self, plan: EpochPlan, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's input and the labels of a step."""
        chosen = torch.from_numpy(plan.order[step]).to(self._device)
        images, labels = self._images[chosen], self._labels[chosen]
        if self._job.native:
            # Native augmentation and dropout use the global generator.
            torch.manual_seed(int(plan.step_seeds[step]))
            return self._native_input(images, training=True), labels
        return self._input(images, plan.matrices[step], plan.input_size), labels

    def _set_step(self, plan: EpochPlan, step: int) -> None:
        """Learning rates, epsilon and dropout masks of a step."""
        self._set_update(float(plan.learning_rates[step]), int(plan.updates[step]))
        dropouts = [m for m in self._network if isinstance(m, network.MaskedDropout)]
        for layer, mask in zip(dropouts, plan.dropout_masks(step), strict=True):
            layer.set_mask(mask, self._device)

    def _set_update(self, learning_rate: float, update: int) -> None:
        """Each group's learning rate and, unless native, the epsilon that gives Keras' Adam step."""
        settings = self._job.settings.optimiser
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate * group["multiplier"]
            if not self._job.native:
                group["eps"] = adam_epsilon(settings.epsilon, settings.beta_2, update)

    def _loss(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss of a batch, and its logits."""
        with self._autocast():
            logits = self._network(images)
        smoothing = self._job.settings.label_smoothing
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing), logits

    def _autocast(self) -> torch.autocast:
        enabled = self.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=enabled)

    def _evaluation_input(self, images: np.ndarray) -> torch.Tensor:
        """The network's input for uint8 images as they are."""
        batch = torch.from_numpy(images).to(self._device)
        if self._job.native:
            return self._native_input(batch, training=False)
        matrices = evaluation_matrices(len(images), self._job.image_size, self.input_size)
        return self._input(batch, matrices, self.input_size)

    def _input(self, images: torch.Tensor, matrices: np.ndarray, size: int) -> torch.Tensor:
        fill = self._job.settings.augmentation.fill
        transforms = torch.tensor(matrices, device=images.device)
        return augmentation.transform(images, transforms, self._job.normalisation, size, fill)

    def _native_input(self, images: torch.Tensor, training: bool) -> torch.Tensor:
        job = self._job
        settings = job.settings.augmentation if training else None
        return augmentation.transform_natively(images, job.normalisation, job.input_size, settings)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Within the block nothing is dropped; after it each layer is in the mode it was in."""
        modes = [(module, module.training) for module in self._network]
        self._network.eval()
        yield
        for module, mode in modes:
            module.train(mode)

    def _set_training_mode(self) -> None:
        """Training mode, but batch normalisation of frozen layers keeps its averages."""
        self._network.train()
        for name, module in self._network.named_children():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train(self._phase.trains(name.removesuffix("_normalisation")))


def adam_epsilon(epsilon_hat: float, beta_2: float, update: int) -> float:
    """The epsilon with which torch's Adam takes Keras' step, at update number `update`, from 1.

    Keras adds epsilon to the root of the raw second moment (epsilon-hat in Kingma and Ba 2015,
    section 2), torch to the root of the corrected one, which is larger by 1 / sqrt(1 -
    beta_2**update).
    """
    return epsilon_hat / math.sqrt(1 - beta_2**update)


def _configure(job: Job) -> None:
    """Threads and determinism: what torch keeps for the whole process."""
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Otherwise each new tensor is filled before it is written; a step on two cores takes 1.08 times
    # as long.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # float32 means float32 on GPUs too, as in the twin.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def _compute_capability(device: torch.device) -> tuple[int, int] | None:
    return torch.cuda.get_device_capability() if device.type == "cuda" else None


def _parameter_groups(
    module: torch.nn.Module, multiplier: float, weight_decay: float
) -> list[dict]:
    """A group for each parameter. Kernels decay by the schedule's learning rate times
    `weight_decay`, biases not at all. AdamW multiplies with the group's learning rate, so the
    multiplier is divided out."""
    return [
        {
            "params": [parameter],
            "multiplier": multiplier,
            "weight_decay": weight_decay / multiplier if parameter.ndim > 1 else 0.0,
        }
        for parameter in module.parameters()
    ]


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    """The memory order of the network's own tensors, by which the fused optimiser pairs entries."""
    if tensor.ndim < 4:
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)
