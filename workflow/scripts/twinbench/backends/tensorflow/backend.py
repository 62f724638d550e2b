"""The TensorFlow backend, through Keras: see `twinbench.backends.backend`."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from twinbench.backends.backend import KEPT, Tensors, with_prefix
from twinbench.backends.tensorflow import augmentation, network
from twinbench.files import written_atomically
from twinbench.networks.architectures import AdaptiveAveragePooling
from twinbench.networks.weights import Weights
from twinbench.recipe.augmentation import evaluation_matrices
from twinbench.recipe.epoch_plan import EpochPlan
from twinbench.recipe.schedule import Phase
from twinbench.training.job import Job
from twinbench.training.precision import choose

_EVALUATION_BATCH = 256


class PlanTensors(NamedTuple):
    """An epoch's plan on the device, as of `EpochPlan`."""

    order: tf.Tensor
    matrices: tf.Tensor
    learning_rates: tf.Tensor
    dropout_keys: tf.Tensor


class Backend:
    libraries = ("tensorflow", "keras", "numpy")

    def __init__(self, job: Job) -> None:
        _configure(job)
        self.precision = choose(job.settings.precision, _compute_capability())
        mixed = self.precision == "bfloat16"
        keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
        self._job = job
        self.input_size = job.input_size
        self._network = (
            _native_network(job) if job.native else _built(job, any_size=_changes_size(job))
        )
        # A variable, since TensorFlow gathers bytes on a GPU from variables alone.
        self._images = tf.Variable(job.train.images, trainable=False)
        self._labels = tf.one_hot(job.train.labels, job.classes)
        self._metric_sums = keras.Variable(np.zeros(2), trainable=False, dtype="float64")
        self._kept: list[tf.Tensor] = []
        self._plan: EpochPlan
        self._plan_tensors: PlanTensors
        self._train_steps: Callable
        self._predict = _graph(self._logits, reduce_retracing=True)
        self._probe = _graph(self._probe_layers)
        self.set_weights(
            job.with_pretrained(self.weights()) if job.native else job.initial_weights()
        )

    @property
    def device(self) -> str:
        return _gpu_details().get("device_name", "gpu") if _gpus() else "cpu"

    def start_phase(self, phase: Phase) -> None:
        settings = self._job.settings
        for layer in self._network.layers:
            name = _table_name(layer)
            if name in phase.multipliers:
                layer.trainable = phase.trains(name)
        multipliers = [
            phase.multipliers[_table_name(layer)]
            for layer in self._network.layers
            for _ in layer.trainable_variables
        ]
        self._network.compile(
            LayerwiseAdam(
                multipliers,
                decay=settings.optimiser.weight_decay,
                beta_1=settings.optimiser.beta_1,
                beta_2=settings.optimiser.beta_2,
                corrected_epsilon=None if self._job.native else settings.optimiser.epsilon,
            ),
            keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=settings.label_smoothing
            ),
            jit_compile=False,  # XLA halves the speed on CPUs
        )
        # Keras would make its variables at the first step: a restored state needs them.
        self._network.optimizer.build(self._network.trainable_variables)
        self._train_steps = _graph(self._steps)  # a graph for this optimiser

    def start_epoch(self, plan: EpochPlan, first_step: int) -> None:
        if first_step == 0:
            self._metric_sums.assign(np.zeros(2))
        self._plan, self._plan_tensors = plan, plan_tensors(plan)

    def train(self, first: int, last: int) -> None:
        done = self._train_steps(
            self._plan_tensors, tf.constant(first), tf.constant(last), self._plan.input_size
        )
        done.numpy()  # waits for a GPU

    def _steps(self, plan: PlanTensors, first: tf.Tensor, last: tf.Tensor, size: int) -> tf.Tensor:
        """Train from one step to another, all in one graph: nothing in it waits for Python."""

        def one_step(step: tf.Tensor) -> tf.Tensor:
            self._set_step(plan, step)
            self._train_step(*self._batch(plan, step, size))
            return step + 1

        # One after another, as nothing is gained by preparing many batches ahead.
        tf.while_loop(lambda step: step < last, one_step, [first], parallel_iterations=1)
        return self._network.optimizer.iterations.value

    def _train_step(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """As Keras' own without its metrics, an eighth of the operations that a GPU launches one by one."""
        trained = self._network.trainable_variables
        with tf.GradientTape() as tape:
            logits = self._network(images, training=True)
            loss = self._network.loss(labels, logits)
        gradients = tape.gradient(loss, [variable.value for variable in trained])
        if trained:
            self._network.optimizer.apply(gradients, trained)
        right = tf.equal(tf.argmax(logits, axis=1), tf.argmax(labels, axis=1))
        accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        self._metric_sums.value.assign_add(tf.cast(tf.stack([loss, accuracy]), tf.float64))

    def _set_step(self, plan: PlanTensors, step: tf.Tensor | int) -> None:
        """Learning rate and dropout masks of a step."""
        self._network.optimizer.learning_rate.assign(plan.learning_rates[step])
        dropouts = [x for x in self._network.layers if isinstance(x, network.MaskedDropout)]
        for index, layer in enumerate(dropouts):
            layer.keys = plan.dropout_keys[step, index]

    def _batch(
        self, plan: PlanTensors, step: tf.Tensor | int, size: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The network's inputs and one-hot labels of a step."""
        chosen = plan.order[step]
        images = self._input(tf.gather(self._images, chosen), plan.matrices[step], size)
        return images, tf.gather(self._labels, chosen)

    def running_metrics(self, steps: int) -> tuple[float, float]:
        loss, accuracy = network.to_array(self._metric_sums) / steps
        return float(loss), float(accuracy)

    def logits(self, images: np.ndarray) -> np.ndarray:
        batches = [
            self._predict(tf.constant(images[start : start + _EVALUATION_BATCH]), self.input_size)
            for start in range(0, len(images), _EVALUATION_BATCH)
        ]
        return tf.concat(batches, axis=0).numpy()

    def _logits(self, images: tf.Tensor, size: int) -> tf.Tensor:
        return self._network(self._evaluation_input(images, size), training=False)

    def probe(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        logits, dead = self._probe(tf.constant(images), self.input_size)
        return logits.numpy(), {name: float(fraction) for name, fraction in dead.items()}

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        layers = [
            layer
            for layer in self._network.layers
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and layer.trainable
        ]
        with tf.GradientTape() as tape:
            inputs = self._evaluation_input(tf.constant(images), self.input_size)
            logits = self._network(inputs, training=False)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        gradients = tape.gradient(loss, [layer.kernel.value for layer in layers])
        return {layer.name: float(tf.norm(g)) for layer, g in zip(layers, gradients, strict=True)}

    def keep_weights(self) -> None:
        self._kept = [tf.identity(variable.value) for variable in self._network.variables]

    def use_kept_weights(self) -> None:
        for variable, value in zip(self._network.variables, self._kept, strict=True):
            variable.assign(value)

    def state(self) -> Tensors:
        kept = {f"{KEPT}{index}": value.numpy() for index, value in enumerate(self._kept)}
        return kept | {
            f"{part}/{index}": network.to_array(variable)
            for part, variables in self._variables().items()
            for index, variable in enumerate(variables)
        }

    def restore(self, state: Tensors) -> None:
        kept = with_prefix(state, KEPT)
        self._kept = [tf.constant(kept[str(index)]) for index in range(len(kept))]
        for part, variables in self._variables().items():
            for index, variable in enumerate(variables):
                variable.assign(state[f"{part}/{index}"])

    def weights(self) -> Weights:
        return network.get_weights(self._network)

    def set_weights(self, weights: Weights) -> None:
        network.set_weights(self._network, weights)

    def save_model(self, path: Path) -> None:
        """The network as a `.keras` file of Keras' own layers, and in it, as `twinbench.json`, what its
        user has to know."""
        job = self._job
        grids = [x.size for x in job.layers if isinstance(x, AdaptiveAveragePooling)]
        pools = any(size > 1 for size in grids)
        plain = _built(
            job,
            self.input_size if pools else None,
            own_masks=True,
            any_size=_changes_size(job) and not pools,
            to_exchange=True,
        )
        network.set_weights(plain, self.weights())
        facts = json.dumps(job.model_facts(self.input_size))
        with written_atomically(path) as temporary:
            plain.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(zipfile.ZipInfo("twinbench.json"), facts)

    def _input(self, images: tf.Tensor, matrices: tf.Tensor, size: int) -> tf.Tensor:
        if self._job.native:  # then the network's own first layers do it
            return tf.cast(images, tf.float32)
        fill = self._job.settings.augmentation.fill
        return augmentation.transform(images, matrices, self._job.normalisation, size, fill)

    def _evaluation_input(self, images: tf.Tensor, size: int) -> tf.Tensor:
        """The network's input for uint8 images as they are."""
        matrix = tf.constant(evaluation_matrices(1, self._job.image_size, size))
        matrices = tf.broadcast_to(matrix, (tf.shape(images)[0], 2, 3))
        return self._input(images, matrices, size)

    def _probe_layers(self, images: tf.Tensor, size: int) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Logits, and for each ReLU layer the fraction of its units that no image activates."""
        outputs, dead = self._evaluation_input(images, size), {}
        for layer in self._network.layers:
            outputs = layer(outputs, training=False)
            if isinstance(layer, keras.layers.ReLU):
                active = tf.reduce_any(outputs > 0, axis=range(outputs.shape.rank - 1))
                fraction = tf.reduce_mean(tf.cast(active, tf.float32))
                dead[layer.name.removesuffix("_relu")] = 1 - fraction
        return outputs, dead

    def _variables(self) -> dict[str, list[keras.Variable]]:
        return {
            "network": self._network.variables,
            "optimiser": self._network.optimizer.variables,
            "metrics": [self._metric_sums],
        }


class AdamScalars(NamedTuple):
    """What an update of `LayerwiseAdam` needs besides tensors of the variables' shapes; `rates` by
    multiplier."""

    beta_1_power: tf.Tensor
    beta_2_power: tf.Tensor
    epsilon: tf.Tensor | float
    rates: dict[float, tf.Tensor]
    decay: tf.Tensor


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam whose learning rate is multiplied for each trainable variable of the network.

    Only kernels decay, by learning rate times `decay` whatever the multiplier (decoupled, as in
    Loshchilov and Hutter 2019); Keras' own `weight_decay` decays biases too. `corrected_epsilon` is
    added to the root of the corrected second moment, as in algorithm 1 of Kingma and Ba 2015 and in
    PyTorch; None leaves Keras its own epsilon, beside the raw moment.
    """

    def __init__(
        self, multipliers: list[float], decay: float, corrected_epsilon: float | None, **arguments
    ) -> None:
        super().__init__(**arguments)
        self.multipliers = multipliers
        self.decay = decay
        self.corrected_epsilon = corrected_epsilon
        self._scalars: AdamScalars

    def apply(self, grads, trainable_variables=None):
        self._scalars = self._scalars_of_update()
        super().apply(grads, trainable_variables)

    def _scalars_of_update(self) -> AdamScalars:
        """Computed once for all variables: on a GPU each takes as long as a small layer."""
        update = tf.cast(self.iterations + 1, tf.float32)
        rate = tf.convert_to_tensor(self.learning_rate)
        return AdamScalars(
            beta_1_power=self.beta_1**update,
            beta_2_power=self.beta_2**update,
            epsilon=self.raw_epsilon(update),
            rates={multiplier: rate * multiplier for multiplier in set(self.multipliers)},
            decay=rate * self.decay,
        )

    def update_step(self, gradient, variable, learning_rate):
        scalars = self._scalars
        if self.decay and len(variable.shape) > 1:
            # The variable minus `decay` times itself.
            tf.raw_ops.ResourceApplyGradientDescent(
                var=variable.handle, alpha=scalars.decay, delta=variable
            )
        index = self._get_variable_index(variable)
        # Keras' own arithmetic in one pass over memory instead of a dozen; a step on two cores is 1.2
        # times as fast.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=scalars.beta_1_power,
            beta2_power=scalars.beta_2_power,
            lr=scalars.rates[self.multipliers[index]],
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=scalars.epsilon,
            grad=gradient,
        )

    def raw_epsilon(self, update: tf.Tensor) -> tf.Tensor | float:
        """What is added to the root of the raw second moment at an update, counted from 1.

        The corrected moment is the raw one divided by 1 - beta_2**update, and epsilon shrinks with it
        (Kingma and Ba 2015, end of section 2).
        """
        if self.corrected_epsilon is None:
            return self.epsilon
        return self.corrected_epsilon * tf.sqrt(1 - self.beta_2**update)


def _graph(function: Callable, reduce_retracing: bool = False) -> Callable:
    """The function as a graph. Without AutoGraph, which would first translate its source and Keras', in a
    second of each job's start."""
    return tf.function(function, reduce_retracing=reduce_retracing, autograph=False)


def plan_tensors(plan: EpochPlan) -> PlanTensors:
    return PlanTensors(
        order=tf.constant(plan.order),
        matrices=tf.constant(plan.matrices),
        learning_rates=tf.constant(plan.learning_rates, tf.float32),
        # TensorFlow computes with int32 on the host even where a GPU is used, with uint32 on the GPU.
        dropout_keys=tf.constant(plan.dropout_keys.astype(np.uint32)),
    )


def _built(job: Job, input_size: int | None = None, **options: bool) -> keras.Sequential:
    """The job's network; `options` are those of `network.build`."""
    return network.build(
        job.layers,
        job.settings.batch_normalisation,
        input_size or job.input_size,
        dropout=job.settings.dropout,
        **options,
    )


def _changes_size(job: Job) -> bool:
    return job.settings.progressive_resizing.epochs > 0


def _native_network(job: Job) -> keras.Sequential:
    """The network with Keras' own initialisation, dropout and augmentation, from the run's seed."""
    keras.utils.set_random_seed(job.seed)
    plain = _built(job, own_masks=True)
    settings = job.settings.augmentation
    first = augmentation.native_layers(job.normalisation, job.input_size, settings)
    return keras.Sequential(
        [keras.Input((job.image_size, job.image_size, 3)), *first, *plain.layers]
    )


def _table_name(layer: keras.layers.Layer) -> str:
    """The name of the layer in the architecture's table that this one belongs to."""
    return layer.name.removesuffix("_normalisation")


def _configure(job: Job) -> None:
    """Threads, determinism and memory: what TensorFlow keeps for the whole process."""
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    # float32 means float32 on GPUs too, as in the twin.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for device in _gpus():
        tf.config.experimental.set_memory_growth(device, True)


def _gpus() -> list[tf.config.PhysicalDevice]:
    return tf.config.list_physical_devices("GPU")


def _gpu_details() -> dict:
    return tf.config.experimental.get_device_details(_gpus()[0])


def _compute_capability() -> tuple[int, int] | None:
    return _gpu_details().get("compute_capability") if _gpus() else None
