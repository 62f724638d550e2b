"""PyTorch's part in a training: see `twinbench.training.Arm`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from twinbench import protocol
from twinbench.feature_cache import FeatureCache, first_computed_layer
from twinbench.files import written_atomically
from twinbench.job import Job
from twinbench.precision import choose
from twinbench.protocol import Phase, Weights
from twinbench.pytorch import augment, network
from twinbench.training import AfterStep

_EVALUATION_BATCH = 256


class PyTorchArm:
    libraries = ("torch", "torchvision", "numpy")

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Else each new tensor is filled before it is written; without that a step on two cores is 1.08
        # times as fast.
        torch.utils.deterministic.fill_uninitialized_memory = False
        # float32 means float32 on GPUs too, as in the twin.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self._job = job
        self.input_size = job.input_size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = choose(job.settings["precision"], self._multiply)
        torch.manual_seed(job.seed)
        self._network = network.build(
            job.layers,
            job.settings["batch_normalisation"],
            job.input_size,
            own_dropout=job.settings["dropout"] if job.native else None,
        ).to(self._device, memory_format=torch.channels_last)
        self._dropouts = [
            module for module in self._network if isinstance(module, network.MaskedDropout)
        ]
        self._images = torch.from_numpy(job.train.images).to(self._device)
        self._labels = torch.from_numpy(job.train.labels).to(self._device)
        self._optimiser: torch.optim.Optimizer
        self._cache: FeatureCache | None = None
        self._updates = 0
        self._sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        self.set_weights(
            job.with_pretrained(self.weights()) if job.native else job.initial_weights()
        )

    @property
    def device(self) -> str:
        return torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"

    def start_phase(self, phase: Phase) -> None:
        settings = self._job.settings["optimiser"]
        modules = dict(self._network.named_children())
        groups = []
        for name in self._job.architecture.weighted_layers():
            for part in (modules[name], modules.get(f"{name}_normalisation")):
                if part is None:
                    continue
                part.requires_grad_(phase.trained(name))
                if phase.trained(name):
                    groups += _parameter_groups(part, phase.factors[name], settings["weight_decay"])
        # torch refuses to train nothing; the collapse guard is what tells of that.
        groups = groups or [{"params": [torch.nn.Parameter(torch.zeros(1))], "factor": 0.0}]
        self._optimiser = torch.optim.AdamW(
            groups, betas=(settings["beta_1"], settings["beta_2"]), fused=True
        )
        self._updates = 0
        self._cut(phase)

    def _cut(self, phase: Phase) -> None:
        """Part the net in frozen layers, whose features are cached, and those that a step computes."""
        first = first_computed_layer(self._job, phase)
        names = [name for name, _ in self._network.named_children()]
        index = names.index(first) if first else 0
        self._cache = FeatureCache(self._job, phase) if first else None
        self._frozen, self._computed = self._network[:index], self._network[index:]

    def train_epoch(
        self, phase: Phase, epoch: int, first_step: int, rate_factor: float, after_step: AfterStep
    ) -> None:
        job, settings = self._job, self._job.settings
        steps = job.steps_per_epoch
        if first_step == 0:
            self._sums.zero_()
        self._set_mode(phase)
        if self._cache and not self._cache.holds(epoch):
            self._cache.fill(epoch, self._features(self._cache.matrices(epoch)))
        for step, (images, labels) in self._batches(epoch, first_step):
            rate = protocol.learning_rate(phase, epoch, step, steps, settings["schedule"])
            self._prepare_update(rate * rate_factor)
            self._set_dropout(epoch, step)
            self._optimiser.zero_grad()
            loss, logits = self._loss(images, labels)
            if loss.requires_grad:  # not with every layer frozen, which the collapse guard tells of
                loss.backward()
            self._optimiser.step()
            correct = (logits.argmax(dim=1) == labels).float().mean()
            self._sums += torch.stack([loss.detach(), correct]).double()
            after_step(step + 1)

    def means(self, steps: int) -> tuple[float, float]:
        loss, accuracy = (self._sums / steps).tolist()
        return loss, accuracy

    def _loss(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss of a batch, and its logits."""
        with self._autocast():
            logits = self._computed(images)
        loss = functional.cross_entropy(
            logits, labels, label_smoothing=self._job.settings["label_smoothing"]
        )
        return loss, logits

    def _features(self, matrices: np.ndarray) -> Iterator[np.ndarray]:
        """What the frozen layers make of all training images, in parts, as the cache holds it."""
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(matrices), _EVALUATION_BATCH):
                part = slice(start, start + _EVALUATION_BATCH)
                outputs = self._frozen(self._prepare(self._images[part], matrices[part]))
                yield _to_cache(outputs)

    def inspect(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        with self._evaluating(), torch.inference_mode(), self._autocast():
            outputs = self._plain(images)
            dead = {}
            for name, module in self._network.named_children():
                outputs = module(outputs)
                if isinstance(module, torch.nn.ReLU):
                    active = outputs.transpose(0, 1).flatten(1).gt(0).any(dim=1)
                    dead[name.removesuffix("_relu")] = 1 - active.float().mean().item()
        return outputs.float().cpu().numpy(), dead

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        kernels = {
            name: module.weight
            for name, module in self._network.named_children()
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and module.weight.requires_grad
        }
        with self._evaluating():
            with self._autocast():
                logits = self._network(self._plain(images))
            loss = functional.cross_entropy(
                logits.float(), torch.from_numpy(labels).to(self._device)
            )
            gradients = torch.autograd.grad(loss, list(kernels.values()))
        return {n: g.norm().item() for n, g in zip(kernels, gradients, strict=True)}

    def _autocast(self) -> torch.autocast:
        enabled = self.precision.name == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=enabled)

    def _multiply(self, dtype: str, side: int) -> Callable[[], object]:
        """See `twinbench.precision.choose`."""
        matrix = torch.ones(side, side, dtype=getattr(torch, dtype), device=self._device)
        return lambda: (matrix @ matrix)[0, 0].item()

    def logits(self, images: np.ndarray) -> np.ndarray:
        outputs = []
        with self._evaluating(), torch.inference_mode(), self._autocast():
            for start in range(0, len(images), _EVALUATION_BATCH):
                batch = self._plain(images[start : start + _EVALUATION_BATCH])
                outputs.append(self._network(batch).float().cpu().numpy())
        return np.concatenate(outputs)

    def state(self) -> dict[str, np.ndarray]:
        tensors = {f"network/{n}": t for n, t in self._network.state_dict().items()}
        for index, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{name}": t for name, t in moments.items()}
        tensors["sums"] = self._sums
        tensors["updates"] = torch.tensor(self._updates)
        # Copies, since the net trains on while they are written; memory order is not kept in a file.
        return {n: np.array(t.detach().cpu().numpy(), order="C") for n, t in tensors.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        tensors = {name: _in_memory_order(torch.from_numpy(t)) for name, t in state.items()}
        self._network.load_state_dict(_part(tensors, "network/"))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _part(tensors, "optimiser/").items():
            index, moment = name.split("/")
            moments.setdefault(int(index), {})[moment] = tensor
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self._sums.copy_(tensors["sums"])
        self._updates = int(tensors["updates"])

    def weights(self) -> Weights:
        return network.get_weights(self._network, self._job.layers, self._job.input_size)

    def set_weights(self, weights: Weights) -> None:
        network.set_weights(self._network, weights, self._job.layers, self._job.input_size)

    def save_model(self, path: Path) -> None:
        """The net's state dict as safetensors."""
        state = self._network.state_dict()
        with written_atomically(path) as temporary:
            save_file({n: t.cpu().contiguous() for n, t in state.items()}, temporary)

    def _batches(
        self, epoch: int, first_step: int
    ) -> Iterator[tuple[int, tuple[torch.Tensor, torch.Tensor]]]:
        """(step, (inputs, labels)) of an epoch, augmented."""
        job = self._job
        order = protocol.sample_order(job.seed, epoch, len(job.train), job.settings["batch_size"])
        matrices = protocol.augmentation_matrices(
            job.seed,
            epoch,
            order.size,
            job.image_size,
            self.input_size,
            job.settings["augmentation"],
        ).reshape(*order.shape, 2, 3)
        for step in range(first_step, len(order)):
            chosen = torch.from_numpy(order[step]).to(self._device)
            if self._cache:
                images = _from_cache(self._cache.features(epoch)[order[step]], self.precision.name)
                yield step, (images.to(self._device), self._labels[chosen])
                continue
            images = self._images[chosen]
            if job.native:
                # Its augmentation and dropout draw from the global generator.
                torch.manual_seed(protocol.native_seed(job.seed, epoch, step))
                images = self._prepare_natively(images, job.settings["augmentation"])
            else:
                images = self._prepare(images, matrices[step])
            yield step, (images, self._labels[chosen])

    def _plain(self, images: np.ndarray) -> torch.Tensor:
        """The net's input for images as they are."""
        job = self._job
        batch = torch.from_numpy(images).to(self._device)
        if job.native:
            return self._prepare_natively(batch)
        matrices = protocol.plain_matrices(len(images), job.image_size, self.input_size)
        return self._prepare(batch, matrices)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Within the block nothing is dropped; after it each layer is in the mode it was in."""
        modes = [(module, module.training) for module in self._network]
        self._network.eval()
        yield
        for module, mode in modes:
            module.train(mode)

    def _prepare(self, images: torch.Tensor, matrices: np.ndarray) -> torch.Tensor:
        return augment.prepare(
            images,
            torch.tensor(matrices, device=images.device),
            self._job.normalisation,
            self.input_size,
            self._job.settings["augmentation"]["fill"],
        )

    def _prepare_natively(
        self, images: torch.Tensor, augmentation: dict | None = None
    ) -> torch.Tensor:
        job = self._job
        return augment.prepare_natively(images, job.normalisation, job.input_size, augmentation)

    def _prepare_update(self, rate: float) -> None:
        """Set each group's rate and, unless native, the epsilon that gives Keras' Adam step."""
        settings = self._job.settings["optimiser"]
        self._updates += 1
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["factor"]
            if self._job.native:
                continue
            group["eps"] = protocol.torch_epsilon(
                settings["epsilon"], settings["beta_2"], self._updates
            )

    def _set_dropout(self, epoch: int, step: int) -> None:
        job = self._job
        for index, dropout in enumerate(self._dropouts):
            shape = (job.settings["batch_size"], dropout.units)
            mask = protocol.dropout_mask(
                job.seed, epoch, step, index, shape, job.settings["dropout"]
            )
            dropout.set_mask(mask, self._device)

    def _set_mode(self, phase: Phase) -> None:
        """Training mode, but for batch normalisation of frozen layers, which keeps its averages."""
        self._network.train()
        for name, module in self._network.named_children():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train(phase.trained(name.removesuffix("_normalisation")))


def _to_cache(features: torch.Tensor) -> np.ndarray:
    """Channels last, as in memory; NumPy has no bfloat16, so its bits go as int16."""
    if features.dim() == 4:
        features = features.permute(0, 2, 3, 1)
    features = features.contiguous().cpu()
    return (features.view(torch.int16) if features.dtype == torch.bfloat16 else features).numpy()


def _from_cache(features: np.ndarray, precision: str) -> torch.Tensor:
    tensor = torch.from_numpy(features).view(getattr(torch, precision))
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor


def _parameter_groups(module: torch.nn.Module, factor: float, weight_decay: float) -> list[dict]:
    """Groups of one layer: only kernels decay, and by `rate * weight_decay` whatever the factor."""
    return [
        {
            "params": [parameter],
            "factor": factor,
            "weight_decay": weight_decay / factor if parameter.ndim > 1 else 0.0,
        }
        for parameter in module.parameters()
    ]


def _in_memory_order(tensor: torch.Tensor) -> torch.Tensor:
    """The order of the net's own tensors: the fused optimiser pairs them up by memory, not by index."""
    if tensor.ndim < 4:
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
