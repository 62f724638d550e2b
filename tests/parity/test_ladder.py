"""The ladder holds between the frameworks, and each rung breaks when what it watches is broken.

A mutant changes PyTorch's or Keras' side alone, while that side is measured. The first rung that fails
must be the one that names the fault.
"""

from dataclasses import replace
from functools import cache, wraps

import keras
import numpy as np
import pytest
import torch
from small import SMALL, STEPS, failed_rungs, measured, missed_settings, small_job
from twinbench import parity, protocol
from twinbench.analysis import ladder
from twinbench.architecture import (
    AdaptiveAveragePooling,
    Architecture,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
)
from twinbench.job import Job
from twinbench.pytorch import augment as pytorch_augment
from twinbench.pytorch import network as pytorch_network
from twinbench.pytorch.arm import PyTorchArm
from twinbench.pytorch.measured import MeasuredArm as PyTorch
from twinbench.tensorflow import network as tensorflow_network
from twinbench.tensorflow.measured import MeasuredArm as TensorFlow

LIBRARY_RUNG = "preprocessing as the library's"


def pretrained_job():
    """A job that starts from given weights, and so wants its net's own normalisation."""
    job = small_job()
    random = np.random.default_rng(5)
    weights = {
        name: random.normal(0, 0.1, value.shape).astype(np.float32)
        for name, value in job.initial_weights().items()
    }
    return replace(job, pretrained=weights, net_normalisation=True)


JOBS = {
    "plain": small_job,
    "batch normalisation": lambda: small_job(batch_normalisation=True),
    "bfloat16": lambda: small_job(precision="bfloat16"),
    "pretrained": pretrained_job,
}


def library(model, official, images, size):
    """Keras' own preprocessing; the features are those of the small net that nothing has touched."""
    pixels = keras.applications.vgg16.preprocess_input(images.astype(np.float32))
    return parity.Reference(pixels, untouched_features())


@cache
def untouched_features() -> np.ndarray:
    return parity.measure_library(pretrained_job(), TensorFlow, lambda *_: None, None)["features"]


def measure(framework: str, kind: str, trained=None):
    make_arm = {"pytorch": PyTorch, "tensorflow": TensorFlow}[framework]
    own = library if kind == "pretrained" and framework == "tensorflow" else None
    if kind == "pretrained":
        untouched_features()
        own = own or (lambda *_: None)
    return measured(framework, JOBS[kind](), make_arm, trained, own)


@cache
def sound(framework: str, kind: str):
    """A framework's measurement, untouched. Keras' evaluates what PyTorch trained."""
    trained = None if framework == "pytorch" else sound("pytorch", kind)[1]
    return measure(framework, kind, trained)


@pytest.mark.parametrize("kind", JOBS)
def test_all_rungs_and_the_audit_hold(kind):
    first, second = sound("pytorch", kind)[0], sound("tensorflow", kind)[0]
    held = set(ladder.compare([first, second])["rung"])
    if kind != "bfloat16":  # the quantities of all but the audit are measured in float32
        assert failed_rungs(first, second) == []
    assert missed_settings(first, second) == []
    assert (LIBRARY_RUNG in held) == (kind == "pretrained")


# --- Mutants -----------------------------------------------------------------------------------

protocols_order = protocol.sample_order
protocols_matrices = protocol.augmentation_matrices
protocols_weights = protocol.initial_weights
protocols_mask = protocol.dropout_mask
protocols_rate = protocol.learning_rate


def another_order(patch):
    patch.setattr(
        protocol, "sample_order", lambda seed, epoch, *rest: protocols_order(seed, epoch + 1, *rest)
    )


def the_same_order_each_epoch(patch):
    patch.setattr(
        protocol, "sample_order", lambda seed, epoch, *rest: protocols_order(seed, 1, *rest)
    )


def two_images_swapped(patch):
    def swapped(*arguments):
        order = protocols_order(*arguments).copy()
        order[0, [0, 1]] = order[0, [1, 0]]
        return order

    patch.setattr(protocol, "sample_order", swapped)


def one_pixel_of_shift(patch):
    def shifted(*arguments):
        matrices = protocols_matrices(*arguments).copy()
        matrices[:, 0, 2] += 1
        return matrices

    patch.setattr(protocol, "augmentation_matrices", shifted)


def a_swapped_flip(patch):
    def flipped(seed, epoch, count, size, output, settings):
        matrices = protocols_matrices(seed, epoch, count, size, output, settings).copy()
        matrices[:, 0] *= -1
        matrices[:, 0, 2] += size - 1
        return matrices

    patch.setattr(protocol, "augmentation_matrices", flipped)


def angles_of_the_other_sign(patch):
    def turned(seed, epoch, count, size, output, settings):
        other = {**settings, "rotation_degrees": -settings["rotation_degrees"]}
        return protocols_matrices(seed, epoch, count, size, output, other)

    patch.setattr(protocol, "augmentation_matrices", turned)


def zeros_outside_the_image(patch):
    patch.setitem(pytorch_augment.PADDING, "nearest", "zeros")


def corners_aligned(patch):
    sample = torch.nn.functional.grid_sample
    patch.setattr(
        pytorch_augment.functional,
        "grid_sample",
        lambda *a, **k: sample(*a, **{**k, "align_corners": True}),
    )


def nearest_pixel_instead_of_bilinear(patch):
    patch.setattr(pytorch_augment, "INTERPOLATION", "nearest")


def another_deviation(patch):
    """The well-known wrong constants: smaller deviations of the channels."""
    normalisation = Job.normalisation.fget

    def wrong(job):
        if job.architecture.name == "marker":
            return normalisation(job)
        return replace(normalisation(job), deviation=normalisation(job).deviation * 0.8)

    patch.setattr(Job, "normalisation", property(wrong))


def rgb_for_bgr(patch):
    normalisation = Job.normalisation.fget

    def wrong(job):
        return replace(normalisation(job), channels=(0, 1, 2))

    patch.setattr(Job, "normalisation", property(wrong))


def another_initialisation(patch):
    patch.setattr(
        protocol, "initial_weights", lambda seed, *rest: protocols_weights(seed + 1, *rest)
    )


def an_initial_bias(patch):
    def biased(*arguments):
        weights = protocols_weights(*arguments)
        return weights | {"head/bias": weights["head/bias"] + np.float32(1e-7)}

    patch.setattr(protocol, "initial_weights", biased)


def flattened_as_height_width_channels(patch):
    patch.setattr(
        pytorch_network,
        "_with_flattened",
        lambda layers, size, real=pytorch_network._with_flattened: (
            (layer, shape, None) for layer, shape, _ in real(layers, size)
        ),
    )


def kernels_mirrored(patch):
    """Height for width, both ways: what is set is what is read, only the net computes otherwise."""
    to, back = pytorch_network._to_torch, pytorch_network._from_torch

    def turned(array):
        return array.swapaxes(0, 1) if array.ndim == 4 else array

    patch.setattr(pytorch_network, "_to_torch", lambda kernel, shape: to(turned(kernel), shape))
    patch.setattr(
        pytorch_network,
        "_from_torch",
        lambda tensor, shape: np.ascontiguousarray(turned(back(tensor, shape))),
    )


def padded_unevenly(patch):
    """Keras' own `same` at stride 2."""
    real = tensorflow_network._layers

    def same(layer, shape):
        if getattr(layer, "stride", 1) == 2 and hasattr(layer, "filters"):
            return [
                keras.layers.Conv2D(
                    layer.filters, layer.kernel_size, 2, padding="same", name=layer.name
                )
            ]
        return real(layer, shape)

    patch.setattr(tensorflow_network, "_layers", same)


def leaking_relu(patch):
    def leaking(self, inputs):
        return torch.nn.functional.leaky_relu(inputs, 0.001)

    patch.setattr(torch.nn.ReLU, "forward", leaking)


def dropout_left_on(patch):
    def dropped(self, inputs):
        return torch.nn.functional.dropout(inputs, 0.3, training=True)

    patch.setattr(pytorch_network.MaskedDropout, "forward", dropped)


def loss_summed(patch):
    patch_loss(patch, reduction="sum")


def labels_smoothed(patch):
    patch_loss(patch, label_smoothing=0.1)


def patch_loss(patch, **changes):
    cross_entropy = torch.nn.functional.cross_entropy

    @wraps(cross_entropy)
    def changed(*arguments, **named):
        return cross_entropy(*arguments, **{**named, **changes})

    patch.setattr(torch.nn.functional, "cross_entropy", changed)


def one_gradient_larger(patch):
    build = pytorch_network.build

    def hooked(*arguments, **named):
        net = build(*arguments, **named)
        if hasattr(net, "conv1"):
            net.conv1.weight.register_hook(lambda gradient: gradient * 1.001)
        return net

    patch.setattr(pytorch_network, "build", hooked)


def masks_of_another_step(patch):
    patch.setattr(
        protocol,
        "dropout_mask",
        lambda seed, epoch, step, *rest: protocols_mask(seed, epoch, step + 1, *rest),
    )


def masks_not_scaled(patch):
    patch.setattr(protocol, "dropout_mask", lambda *a: (protocols_mask(*a) > 0).astype(np.float32))


def masks_in_the_order_of_torch(patch):
    def plain(self, mask, device):
        self._mask = torch.from_numpy(mask).to(device)

    patch.setattr(pytorch_network.MaskedDropout, "set_mask", plain)


def torchs_default_epsilon(patch):
    patch.setattr(protocol, "torch_epsilon", lambda *_: 1e-8)


def keras_epsilon_in_torchs_place(patch):
    patch.setattr(protocol, "torch_epsilon", lambda epsilon, beta_2, update: epsilon)


def coupled_decay(patch):
    patch.setattr(torch.optim, "AdamW", torch.optim.Adam)


def no_factors_on_the_rate(patch):
    start = PyTorchArm.start_phase

    def flat(self, phase):
        same = {name: float(factor > 0) for name, factor in phase.factors.items()}
        start(self, replace(phase, factors=same))

    patch.setattr(PyTorchArm, "start_phase", flat)


def no_warm_up(patch):
    patch.setattr(
        protocol,
        "learning_rate",
        lambda phase, epoch, step, steps, schedule: protocols_rate(
            phase, epoch, step, steps, {**schedule, "warmup_fraction": 0}
        ),
    )


def another_beta(patch):
    patch_adam(patch, betas=(0.9, 0.99))


def patch_adam(patch, **changes):
    adam = torch.optim.AdamW
    patch.setattr(
        torch.optim, "AdamW", lambda groups, **named: adam(groups, **{**named, **changes})
    )


def updates_not_counted(patch):
    """A moment that is never corrected: each phase's update counter stays at one."""
    prepare = PyTorchArm._prepare_update

    def first_again(self, rate):
        self._updates = 0
        prepare(self, rate)

    patch.setattr(PyTorchArm, "_prepare_update", first_again)


def gradients_that_pile_up_in_training(patch):
    train = PyTorchArm.train_epoch

    def piling(self, *arguments):
        self._optimiser.zero_grad = lambda: None
        return train(self, *arguments)

    patch.setattr(PyTorchArm, "train_epoch", piling)


def rate_of_training_raised(patch):
    train = PyTorchArm.train_epoch
    patch.setattr(
        PyTorchArm,
        "train_epoch",
        lambda self, phase, epoch, first, factor, after: train(
            self, phase, epoch, first, 1.2 * factor, after
        ),
    )


def variance_not_taken_up(patch):
    named = pytorch_network._named_parameters
    set_weights = pytorch_network.set_weights

    def without(*arguments):
        patch.setattr(
            pytorch_network,
            "_named_parameters",
            lambda *a: (entry for entry in named(*a) if not entry[0].endswith("/variance")),
        )
        set_weights(*arguments)
        patch.setattr(pytorch_network, "_named_parameters", named)

    patch.setattr(pytorch_network, "set_weights", without)


MUTANTS = [
    (another_order, "sample order"),
    (the_same_order_each_epoch, "sample order"),
    (two_images_swapped, "sample order"),
    (one_pixel_of_shift, "augmented pixels"),
    (a_swapped_flip, "augmented pixels"),
    (angles_of_the_other_sign, "augmented pixels"),
    (zeros_outside_the_image, "augmented pixels"),
    (corners_aligned, "augmented pixels"),
    (nearest_pixel_instead_of_bilinear, "augmented pixels"),
    (another_deviation, "augmented pixels"),
    (another_initialisation, "initial weights"),
    (an_initial_bias, "initial weights"),
    (flattened_as_height_width_channels, "forward pass"),
    (kernels_mirrored, "forward pass"),
    (leaking_relu, "forward pass"),
    (dropout_left_on, "forward pass"),
    (loss_summed, "loss"),
    (labels_smoothed, "loss"),
    (one_gradient_larger, "gradients"),
    (masks_of_another_step, "dropout: loss"),
    (masks_not_scaled, "dropout: loss"),
    (masks_in_the_order_of_torch, "dropout: loss"),
    (torchs_default_epsilon, "one Adam step"),
    (keras_epsilon_in_torchs_place, "one Adam step"),
    (coupled_decay, "one Adam step"),
    (no_factors_on_the_rate, "one Adam step"),
    (no_warm_up, "one Adam step"),
    (another_beta, "20 Adam steps"),
    (updates_not_counted, "20 Adam steps"),
    (gradients_that_pile_up_in_training, "loss over 25 steps"),
    (rate_of_training_raised, "loss over 25 steps"),
]


@pytest.mark.parametrize(
    ("mutant", "rung"), MUTANTS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_mutant_is_caught_by_its_rung(mutant, rung, monkeypatch):
    other = sound("tensorflow", "plain")[0]
    trained = sound("pytorch", "plain")[1]
    mutant(monkeypatch)
    assert failed_rungs(measure("pytorch", "plain", trained)[0], other)[0] == rung


def test_a_variance_that_is_not_taken_up_is_caught_by_the_evaluation(monkeypatch):
    other, trained = sound("pytorch", "batch normalisation")
    sound("tensorflow", "batch normalisation")
    variance_not_taken_up(monkeypatch)
    mutated, _ = measure("pytorch", "batch normalisation", trained)
    assert failed_rungs(other, mutated) == ["evaluation of the same trained weights"]


def test_rgb_for_bgr_in_both_is_caught_by_the_librarys_preprocessing(monkeypatch):
    sound("pytorch", "pretrained")
    rgb_for_bgr(monkeypatch)
    first, trained = measure("pytorch", "pretrained")
    second, _ = measure("tensorflow", "pretrained", trained)
    assert failed_rungs(first, second)[0] == LIBRARY_RUNG


def test_padding_that_is_uneven_is_caught_by_the_forward_pass_and_the_audit(monkeypatch):
    first, trained = sound("pytorch", "plain")
    padded_unevenly(monkeypatch)
    second, _ = measure("tensorflow", "plain", trained)
    assert failed_rungs(first, second)[0] == "forward pass"


def test_a_number_that_is_none_fails_its_rung():
    first, second = sound("pytorch", "plain")[0], sound("tensorflow", "plain")[0]
    broken = {**second.quantities, "small:loss": np.array(np.nan)}
    assert failed_rungs(first, replace(second, quantities=broken)) == ["loss"]


# --- Audit -------------------------------------------------------------------------------------


def test_a_setting_that_differs_unaccounted_fails_the_audit(monkeypatch):
    other = sound("tensorflow", "batch normalisation")[0]
    monkeypatch.setattr(protocol, "BATCH_NORMALISATION_MOMENTUM", 0.99)
    patch_adam(monkeypatch, amsgrad=True)
    zeros_outside_the_image(monkeypatch)
    mutated, _ = measure("pytorch", "batch normalisation")
    assert missed_settings(mutated, other) == [
        "Adam: largest second moment (AMSGrad)",
        "layers",
        "what lies outside an image",
    ]


def test_another_arithmetic_fails_the_audit():
    first, second = sound("pytorch", "bfloat16")[0], sound("tensorflow", "plain")[0]
    assert missed_settings(first, second) == ["arithmetic of the layers"]


def _with_gradients(framework: str, *batches: float) -> ladder.Measurement:
    quantities = {
        f"net:gradients of batch {number}/conv1/kernel": np.array([1.0, value])
        for number, value in enumerate(batches, 1)
    }
    return ladder.Measurement(framework, ["net"], quantities, {"net": {}})


@pytest.mark.parametrize(
    ("others", "passed"), [((5, 2, 2), True), ((5, 2, 5), True), ((5, 5, 5), False)]
)
def test_a_batch_in_which_rounding_moved_a_gradient_fails_no_rung(others, passed):
    table = ladder.compare(
        [_with_gradients("pytorch", 2, 2, 2), _with_gradients("tensorflow", *others)]
    )
    (row,) = table[table["rung"] == "gradients"].to_dict("records")
    assert row["passed"] is passed


def test_a_batch_that_one_framework_lacks_is_no_agreement():
    table = ladder.compare([_with_gradients("pytorch", 2), _with_gradients("tensorflow")])
    assert not table.loc[table["rung"] == "gradients", "passed"].item()


ANY_SIZE = Architecture(
    name="any-size",
    title="A net for images of any size",
    layers=(
        Convolution("conv1", 6, 3, padding=1),
        MaxPooling("pool1", 2, 2),
        AdaptiveAveragePooling("average", 2),
        Flatten("flatten"),
        Dropout("dropout1"),
        Dense("dense1", 16),
    ),
    normalisation="dataset",
    input_size=32,
    smallest_input=32,
    pretrained=False,
)


@pytest.mark.parametrize("arm_of", [PyTorch, TensorFlow])
@pytest.mark.parametrize(("net", "size"), [(ANY_SIZE, 32), (SMALL, 48)], ids=["any", "one"])
def test_gradients_are_those_of_the_smallest_images_and_all_else_of_the_studys(net, size, arm_of):
    sizes = set()

    def make_arm(job):
        arm = arm_of(job)
        gradients = arm.loss_and_gradients

        def recorded(*arguments):
            sizes.add(job.input_size)
            return gradients(*arguments)

        arm.loss_and_gradients = recorded
        return arm

    job = replace(small_job(input_size=48), architecture=net)
    found, _ = parity.measure(job, make_arm, None, STEPS)
    assert sizes == {size}
    assert found["augmented pixels"].shape[1:] == (48, 48, 3)
