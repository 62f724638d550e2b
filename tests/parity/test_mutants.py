"""Each parity check fails when what it compares is broken.

A mutant changes what one framework does while it is measured. The first check that fails must be the one
that names the error.
"""

from dataclasses import replace
from functools import wraps
from pkgutil import resolve_name

import keras
import numpy as np
import pytest
import torch
from measurements import expected_features, failed_checks, measure, unaccounted, unchanged
from twinbench.backends.pytorch import network

MUTANTS = []
PLAN, JOB, TORCH = "recipe.epoch_plan", "training.job", "backends.pytorch"


def change(patch, name, function):
    """Replace something of twinbench by a function that gets the real one as its first argument."""
    real = resolve_name(f"twinbench.{name}")
    replacement = wraps(real)(lambda *args, **named: function(real, *args, **named))
    patch.setattr(f"twinbench.{name}", replacement)


def breaks(check, *names):
    """Makes a function a mutant that replaces these, and must fail this check first."""

    def register(function):
        def apply(patch):
            for name in names:
                change(patch, name, function)

        MUTANTS.append(pytest.param(apply, check, id=function.__name__))
        return apply

    return register


def breaks_value(check, mutant, name, value):
    """As `breaks`, for a value instead of a function."""
    apply = lambda patch: patch.setattr(f"twinbench.{name}", value)  # noqa: E731
    MUTANTS.append(pytest.param(apply, check, id=mutant))
    return apply


# --- Data --------------------------------------------------------------------------------------


@breaks("sample order", f"{PLAN}.sample_order")
def another_order(real, seed, epoch, *rest):
    return real(seed, epoch + 1, *rest)


@breaks("sample order", f"{PLAN}.sample_order")
def the_same_order_each_epoch(real, seed, epoch, *rest):
    return real(seed, 1, *rest)


@breaks("sample order", f"{PLAN}.sample_order")
def two_images_swapped(real, *arguments):
    order = real(*arguments).copy()
    order[0, [0, 1]] = order[0, [1, 0]]
    return order


@breaks("augmented pixels", f"{PLAN}.augmentation_matrices")
def one_pixel_of_shift(real, *arguments):
    return real(*arguments) + np.eye(2, 3, 2, dtype=np.float32)


@breaks("augmented pixels", f"{PLAN}.augmentation_matrices")
def a_swapped_flip(real, seed, epoch, count, size, *rest):
    matrices = real(seed, epoch, count, size, *rest).copy()
    matrices[:, 0] *= -1
    matrices[:, 0, 2] += size - 1
    return matrices


@breaks("augmented pixels", f"{PLAN}.augmentation_matrices")
def angles_of_the_other_sign(real, *arguments):
    *rest, settings = arguments
    angle = {"rotation_degrees": -settings.rotation_degrees}
    return real(*rest, settings.model_copy(update=angle))


zeros_outside_the_image = breaks_value(
    "augmented pixels",
    "zeros_outside_the_image",
    f"{TORCH}.augmentation.PADDING",
    {"nearest": "zeros"},
)
breaks_value("augmented pixels", "nearest_pixel", f"{TORCH}.augmentation.INTERPOLATION", "nearest")


@breaks("augmented pixels", f"{TORCH}.augmentation.functional.grid_sample")
def corners_aligned(real, *arguments, **named):
    return real(*arguments, **named | {"align_corners": True})


@breaks("augmented pixels", f"{JOB}.normalisation")
def another_std(real, name, mean, std):
    """The well-known wrong constants: smaller standard deviations of the channels."""
    spells_its_index = mean[0] == 0  # images of the check of the sample order
    return real(name, mean, std if spells_its_index else 0.8 * std)


# --- Network -----------------------------------------------------------------------------------


@breaks("initial weights", f"{JOB}.initial_weights")
def another_initialisation(real, seed, *rest):
    return real(seed + 1, *rest)


@breaks("initial weights", f"{JOB}.initial_weights")
def an_initial_bias(real, *arguments):
    weights = real(*arguments)
    return weights | {"head/bias": weights["head/bias"] + np.float32(1e-7)}


@breaks("forward pass", f"{TORCH}.network._with_flattened")
def flattened_as_height_width_channels(real, *arguments):
    return ((layer, shape, None) for layer, shape, _ in real(*arguments))


@breaks("forward pass", f"{TORCH}.network._to_torch", f"{TORCH}.network._from_torch")
def kernels_mirrored(real, kernel, flattened):
    """Height for width, both ways: what is set is what is read, only the network computes otherwise."""
    if kernel.ndim < 4:
        return real(kernel, flattened)
    if isinstance(kernel, torch.Tensor):
        return np.ascontiguousarray(real(kernel, flattened).swapaxes(0, 1))
    return real(kernel.swapaxes(0, 1), flattened)


@breaks("forward pass", f"{TORCH}.network.nn.ReLU.forward")
def leaking_relu(real, self, inputs):
    return torch.nn.functional.leaky_relu(inputs, 0.001)


@breaks("forward pass", f"{TORCH}.network.MaskedDropout.forward")
def dropout_left_on(real, self, inputs):
    return torch.nn.functional.dropout(inputs, 0.3, training=True)


# --- Loss and gradients ------------------------------------------------------------------------


@breaks("loss", f"{TORCH}.backend.functional.cross_entropy")
def loss_summed(real, *arguments, **named):
    return real(*arguments, **named | {"reduction": "sum"})


@breaks("loss", f"{TORCH}.backend.functional.cross_entropy")
def labels_smoothed(real, *arguments, **named):
    return real(*arguments, **named | {"label_smoothing": 0.1})


@breaks("gradients", f"{TORCH}.backend._network")
def one_gradient_larger(real, *arguments, **named):
    built = real(*arguments, **named)
    if hasattr(built, "conv1"):
        built.conv1.weight.register_hook(lambda gradient: gradient * 1.001)
    return built


@breaks("dropout: loss", f"{PLAN}.dropout_keys")
def masks_of_another_step(real, *arguments):
    return np.roll(real(*arguments), 1, axis=0)


@breaks("dropout: loss", f"{PLAN}.dropout_keys")
def masks_of_another_layer(real, *arguments):
    return real(*arguments)[:, ::-1].copy()


@breaks("dropout: loss", f"{TORCH}.network.MaskedDropout.mask")
def masks_not_scaled(real, self, inputs):
    return (real(self, inputs) > 0).to(inputs.dtype)


@breaks("dropout: loss", f"{TORCH}.network.MaskedDropout.mask")
def masks_in_the_order_of_torch(real, self, inputs):
    self._flattened = None
    return real(self, inputs)


# --- Optimiser ---------------------------------------------------------------------------------


@breaks("one Adam step", f"{TORCH}.backend.FusedAdamW")
def torchs_default_epsilon(real, *arguments, **named):
    return real(*arguments, **named | {"epsilon": 1e-8})


@breaks("one Adam step", f"{TORCH}.adam.torch._fused_adamw_")
def coupled_decay(real, *arguments, **named):
    torch._fused_adam_(*arguments, **named)


@breaks("one Adam step", f"{TORCH}.backend.Backend.start_phase")
def no_multipliers(real, self, phase):
    same = {name: float(value > 0) for name, value in phase.multipliers.items()}
    real(self, replace(phase, multipliers=same))


@breaks("one Adam step", f"{PLAN}.learning_rate")
def no_warm_up(real, *arguments):
    *rest, schedule = arguments
    return real(*rest, schedule.changed(warmup_fraction=0))


@breaks("20 Adam steps", f"{TORCH}.backend.FusedAdamW")
def another_beta(real, *arguments, **named):
    return real(*arguments, **named | {"betas": (0.9, 0.99)})


@breaks("20 Adam steps", f"{TORCH}.backend.Backend._set_step")
def updates_not_counted(real, self):
    real(self)
    for state in self._optimiser.state.values():
        state["step"].zero_()


@breaks("loss over 30 steps", f"{TORCH}.backend.Backend.train")
def gradients_that_pile_up(real, self, *arguments):
    self._optimiser.zero_grad = lambda: None
    real(self, *arguments)


@breaks("loss over 30 steps", f"{TORCH}.backend.Backend.start_epoch")
def a_higher_learning_rate_in_training(real, self, plan, *rest):
    real(self, replace(plan, learning_rates=1.2 * plan.learning_rates), *rest)


@pytest.mark.parametrize(("mutant", "check"), MUTANTS)
def test_a_mutant_fails_the_check_that_names_it(mutant, check, monkeypatch):
    other = unchanged("tensorflow")
    mutant(monkeypatch)
    assert failed_checks(measure("pytorch"), other)[0] == check


def test_a_variance_that_is_not_set_fails_the_evaluation(monkeypatch):
    first = unchanged("pytorch", "batch normalisation")

    def without_variance(real, built, *arguments):
        real(built, *arguments)
        for module in built:
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_var.fill_(1)

    change(monkeypatch, f"{TORCH}.network.set_weights", without_variance)
    mutated = measure("pytorch", "batch normalisation")
    assert failed_checks(first, mutated) == ["forward pass with changed weights"]


def test_rgb_for_bgr_in_both_frameworks_fails_the_librarys_preprocessing(monkeypatch):
    expected_features()

    def rgb(real, *arguments):
        return replace(real(*arguments), channels=(0, 1, 2))

    change(monkeypatch, f"{JOB}.normalisation", rgb)
    first, second = measure("pytorch", "pretrained"), measure("tensorflow", "pretrained")
    assert failed_checks(first, second)[0] == "preprocessing as the library's"


def test_keras_own_place_of_epsilon_fails_the_adam_step(monkeypatch):
    adam = "backends.tensorflow.backend.LayerwiseAdam"
    change(monkeypatch, f"{adam}.raw_epsilon", lambda real, self, update: self.corrected_epsilon)
    first, second = unchanged("pytorch"), measure("tensorflow")
    assert failed_checks(first, second)[0] == "one Adam step"


def test_uneven_padding_in_keras_fails_the_forward_pass(monkeypatch):
    def same(real, layer, shape):
        """Keras' own `same`, which differs from torch's padding at stride 2."""
        if getattr(layer, "stride", 1) == 2 and hasattr(layer, "filters"):
            settings = (layer.filters, layer.kernel_size, 2)
            return [keras.layers.Conv2D(*settings, padding="same", name=layer.name)]
        return real(layer, shape)

    change(monkeypatch, "backends.tensorflow.network._layers", same)
    first, second = unchanged("pytorch"), measure("tensorflow")
    assert failed_checks(first, second)[0] == "forward pass"


def test_settings_that_differ_without_a_reason_fail_the_audit(monkeypatch):
    other = unchanged("tensorflow", "batch normalisation")

    def another_beta(real, *arguments, **named):
        return real(*arguments, **named | {"betas": (0.9, 0.98)})

    change(monkeypatch, f"{TORCH}.backend.FusedAdamW", another_beta)
    monkeypatch.setattr(network, "BATCH_NORMALISATION_MOMENTUM", 0.99)
    zeros_outside_the_image(monkeypatch)
    mutated = measure("pytorch", "batch normalisation")
    assert unaccounted(mutated, other) == [
        "Adam: beta 2",
        "layers",
        "what lies outside an image",
    ]
