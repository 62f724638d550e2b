"""The PyTorch backend: see `twinbench.backends.backend`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from twinbench.backends.backend import KEPT, Tensors, with_prefix
from twinbench.backends.pytorch import augmentation, network
from twinbench.backends.pytorch.adam import FusedAdamW, Group
from twinbench.backends.pytorch.cuda_graph import captured
from twinbench.files import written_atomically
from twinbench.networks.weights import Weights
from twinbench.recipe.augmentation import evaluation_matrices
from twinbench.recipe.epoch_plan import EpochPlan
from twinbench.recipe.schedule import Phase
from twinbench.training.job import Job
from twinbench.training.precision import choose

_EVALUATION_BATCH = 256
_OWN_EPSILON = 1e-8  # the default of torch's Adam


class Backend:
    libraries = ("torch", "torchvision", "numpy")

    def __init__(self, job: Job) -> None:
        _configure(job)
        self._job = job
        self.input_size = job.input_size
        self._device = _device()
        self.precision = choose(job.settings.precision, _compute_capability(self._device))
        torch.manual_seed(job.seed)
        self._network = _network(job, self._device)
        self._images = torch.from_numpy(job.train.images).to(self._device)
        self._labels = torch.from_numpy(job.train.labels).to(self._device)
        self._normaliser = augmentation.Normaliser(job.normalisation, self._device)
        self._phase: Phase
        self._optimiser: FusedAdamW
        self._plan: EpochPlan
        self._plan_tensors: dict[str, torch.Tensor] = {}
        self._step = torch.zeros(1, dtype=torch.int64, device=self._device)  # the next one's number
        self._metric_sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        self._kept: dict[str, torch.Tensor] = {}
        self._execute: Callable[[], None] | None = None
        self.set_weights(
            job.with_pretrained(self.weights()) if job.native else job.initial_weights()
        )

    @property
    def device(self) -> str:
        return torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"

    def start_phase(self, phase: Phase) -> None:
        settings = self._job.settings.optimiser
        parameters: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        for layer, parameter in self._parameters_by_layer():
            multiplier = phase.multipliers[layer]
            parameter.requires_grad_(phase.trains(layer))
            if phase.trains(layer):
                # Kernels decay by the schedule's learning rate times the setting, biases not at all.
                # The kernel multiplies with the group's learning rate, so the multiplier is divided out.
                own_decay = settings.weight_decay / multiplier if parameter.ndim > 1 else 0.0
                parameters.setdefault((multiplier, own_decay), []).append(parameter)
        self._optimiser = FusedAdamW(
            [
                Group(alike, multiplier, own_decay, torch.zeros((), device=self._device))
                for (multiplier, own_decay), alike in parameters.items()
            ],
            betas=(settings.beta_1, settings.beta_2),
            epsilon=_OWN_EPSILON if self._job.native else settings.epsilon,
        )
        self._phase = phase
        self._execute = None

    def _parameters_by_layer(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        modules = dict(self._network.named_children())
        for name in self._job.architecture.weighted_layers():
            for part in (modules[name], modules.get(f"{name}_normalisation")):
                for parameter in part.parameters() if part is not None else ():
                    yield name, parameter

    def start_epoch(self, plan: EpochPlan, first_step: int) -> None:
        if first_step == 0:
            self._metric_sums.zero_()
        self._set_plan(plan)

    def _set_plan(self, plan: EpochPlan) -> None:
        """Put the plan on the device: where the one before it was, if that had the same shapes."""
        tensors = {
            "order": torch.from_numpy(plan.order),
            "matrices": torch.from_numpy(plan.matrices),
            "learning_rates": torch.from_numpy(plan.learning_rates).float(),
            "dropout_keys": torch.from_numpy(plan.dropout_keys),
        }
        before = {name: tensor.shape for name, tensor in self._plan_tensors.items()}
        if before != {name: tensor.shape for name, tensor in tensors.items()}:
            self._plan_tensors = {
                name: torch.empty_like(t, device=self._device) for name, t in tensors.items()
            }
            self._execute = None
        elif plan.input_size != self._plan.input_size:
            self._execute = None
        for name, tensor in tensors.items():
            self._plan_tensors[name].copy_(tensor)
        self._plan = plan

    def train(self, first: int, last: int) -> None:
        native = self._job.native
        self._set_training_mode()
        self._step.fill_(first)
        if self._execute is None:
            # Native augmentation draws from torch's generator on the host, which a graph cannot.
            graph = self._device.type == "cuda" and not native
            self._execute = (
                captured(self._train_step, self._changing().values()) if graph else self._train_step
            )
        for step in range(first, last):
            if native:  # its augmentation and dropout use the global generator
                torch.manual_seed(int(self._plan.step_seeds[step]))
            self._execute()
            self._step += 1
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def _train_step(self) -> None:
        """One step of the plan, its number in `_step`. Nothing here waits for the device."""
        images, labels = self._batch()
        self._set_step()
        self._optimiser.zero_grad()
        loss, logits = self._loss(images, labels)
        if loss.requires_grad:  # not with every layer frozen
            loss.backward()
        self._optimiser.step()
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        self._metric_sums += torch.stack([loss.detach(), accuracy]).double()

    def running_metrics(self, steps: int) -> tuple[float, float]:
        loss, accuracy = (self._metric_sums / steps).tolist()
        return loss, accuracy

    def logits(self, images: np.ndarray) -> np.ndarray:
        on_device = torch.from_numpy(images).to(self._device)
        self._network.eval()
        with torch.inference_mode(), self._autocast():
            outputs = [
                self._network(self._evaluation_input(batch))
                for batch in on_device.split(_EVALUATION_BATCH)
            ]
            return torch.cat(outputs).cpu().numpy()

    def probe(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        self._network.eval()
        with torch.inference_mode(), self._autocast():
            outputs = self._evaluation_input(torch.from_numpy(images).to(self._device))
            dead = {}
            for name, module in self._network.named_children():
                outputs = module(outputs)
                if isinstance(module, torch.nn.ReLU):
                    active = outputs.transpose(0, 1).flatten(1).gt(0).any(dim=1)
                    dead[name.removesuffix("_relu")] = 1 - active.float().mean()
        return outputs.cpu().numpy(), {name: fraction.item() for name, fraction in dead.items()}

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        kernels = {
            name: module.weight
            for name, module in self._network.named_children()
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and module.weight.requires_grad
        }
        inputs = torch.from_numpy(images).to(self._device)
        self._network.eval()
        with self._autocast():
            logits = self._network(self._evaluation_input(inputs))
        loss = functional.cross_entropy(logits, torch.from_numpy(labels).to(self._device))
        gradients = torch.autograd.grad(loss, list(kernels.values()))
        return {n: g.norm().item() for n, g in zip(kernels, gradients, strict=True)}

    def keep_weights(self) -> None:
        self._kept = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}

    def use_kept_weights(self) -> None:
        self._network.load_state_dict(self._kept)

    def state(self) -> Tensors:
        kept = {KEPT + name: tensor for name, tensor in self._kept.items()}
        # Copies, since training goes on while they are written; memory order is not kept in a file.
        return {
            name: np.array(tensor.detach().cpu().numpy(), order="C")
            for name, tensor in (self._changing() | kept).items()
        }

    def restore(self, state: Tensors) -> None:
        tensors = {name: torch.from_numpy(array) for name, array in state.items()}
        self._kept = {n: t.to(self._device) for n, t in with_prefix(tensors, KEPT).items()}
        with torch.no_grad():
            for name, tensor in self._changing().items():
                tensor.copy_(tensors[name])

    def _changing(self) -> dict[str, torch.Tensor]:
        """The tensors themselves that a step changes, by name."""
        tensors = {f"network/{n}": t for n, t in self._network.state_dict().items()}
        for index, parameter in enumerate(self._optimiser.parameters()):
            moments = self._optimiser.state[parameter]
            tensors |= {f"optimiser/{index}/{name}": t for name, t in moments.items()}
        return tensors | {"sums": self._metric_sums}

    def weights(self) -> Weights:
        return network.get_weights(self._network, self._job.layers, self._job.input_size)

    def set_weights(self, weights: Weights) -> None:
        network.set_weights(self._network, weights, self._job.layers, self._job.input_size)

    def save_model(self, path: Path) -> None:
        """The network's state dict as safetensors, with torchvision's names if it is torchvision's, and
        what its user has to know as metadata."""
        state = self._network.state_dict()
        published = self._job.architecture.published
        if published and published.backend == "pytorch":
            theirs = dict(network.library_names(self._job.architecture))
            state = {theirs.get(name, name): tensor for name, tensor in state.items()}
        facts = json.dumps(self._job.model_facts(self.input_size))
        with written_atomically(path) as temporary:
            tensors = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
            save_file(tensors, temporary, {"twinbench": facts})

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's input and the labels of the step."""
        chosen = self._of_step("order")
        images, labels = self._images.index_select(0, chosen), self._labels.index_select(0, chosen)
        if self._job.native:
            return self._native_input(images, training=True), labels
        return self._input(images, self._of_step("matrices"), self._plan.input_size), labels

    def _set_step(self) -> None:
        """Learning rates and dropout masks of the step."""
        learning_rate = self._of_step("learning_rates")
        for group in self._optimiser.groups:
            group.learning_rate.copy_(learning_rate * group.multiplier)
        dropouts = [m for m in self._network if isinstance(m, network.MaskedDropout)]
        for layer, keys in zip(dropouts, self._of_step("dropout_keys"), strict=True):
            layer.keys = keys

    def _of_step(self, name: str) -> torch.Tensor:
        return self._plan_tensors[name].index_select(0, self._step)[0]

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

    def _evaluation_input(self, images: torch.Tensor) -> torch.Tensor:
        """The network's input for uint8 images as they are."""
        if self._job.native:
            return self._native_input(images, training=False)
        matrices = evaluation_matrices(len(images), self._job.image_size, self.input_size)
        on_device = torch.tensor(matrices, device=self._device)
        return self._input(images, on_device, self.input_size)

    def _input(self, images: torch.Tensor, matrices: torch.Tensor, size: int) -> torch.Tensor:
        fill = self._job.settings.augmentation.fill
        return augmentation.transform(images, matrices, self._normaliser, size, fill)

    def _native_input(self, images: torch.Tensor, training: bool) -> torch.Tensor:
        settings = self._job.settings.augmentation if training else None
        size = self._job.input_size
        return augmentation.transform_natively(images, self._normaliser, size, settings)

    def _set_training_mode(self) -> None:
        """Training mode, but batch normalisation of frozen layers keeps its averages."""
        self._network.train()
        for name, module in self._network.named_children():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train(self._phase.trains(name.removesuffix("_normalisation")))


def _network(job: Job, device: torch.device) -> torch.nn.Sequential:
    """The network on the device; where torch does not initialise it, its weights are not set yet."""
    with torch.device("cpu" if job.native else "meta"):
        result = network.build(
            job.layers,
            job.settings.batch_normalisation,
            job.input_size,
            dropout=job.settings.dropout,
            own_masks=job.native,
        )
    result = result.to(device) if job.native else result.to_empty(device=device)
    for module in result:
        if isinstance(module, torch.nn.BatchNorm2d) and module.num_batches_tracked is not None:
            module.num_batches_tracked.zero_()  # the one tensor that is no weight
    return result.to(memory_format=torch.channels_last)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _configure(job: Job) -> None:
    """Threads and determinism: what torch keeps for the whole process."""
    torch.set_num_threads(job.threads)
    # As use_deterministic_algorithms(True), which imports the compiler in a second.
    torch.set_deterministic_debug_mode("error")
    # Otherwise each new tensor is filled before it is written; a step on two cores takes 1.08 times
    # as long.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # float32 means float32 on GPUs too, as in the twin.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def _compute_capability(device: torch.device) -> tuple[int, int] | None:
    return torch.cuda.get_device_capability() if device.type == "cuda" else None
