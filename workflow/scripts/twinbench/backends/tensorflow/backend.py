"""The TensorFlow backend, through Keras: see `twinbench.backends.backend`."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from twinbench.backends.backend import AfterStep, Tensors, with_prefix
from twinbench.backends.tensorflow import augmentation, network
from twinbench.files import written_atomically
from twinbench.networks.weights import Weights
from twinbench.recipe.augmentation import evaluation_matrices
from twinbench.recipe.epoch_plan import EpochPlan
from twinbench.recipe.schedule import Phase
from twinbench.training.job import Job
from twinbench.training.precision import choose

_EVALUATION_BATCH = 256


class Backend:
    libraries = ("tensorflow", "keras", "numpy")

    def __init__(self, job: Job) -> None:
        _configure(job)
        self.precision = choose(job.settings.precision, _compute_capability())
        mixed = self.precision == "bfloat16"
        keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
        self._job = job
        self.input_size = job.input_size
        self._network = _native_network(job) if job.native else _harmonised_network(job)
        # On the CPU: the augmentation runs there, one batch ahead of the training.
        with tf.device("cpu"):
            self._images = tf.constant(job.train.images)
            self._labels = tf.one_hot(job.train.labels, job.classes)
        self._probe = tf.function(self._probe_layers)
        self._resumed_metrics: Tensors = {}
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
                **({} if self._job.native else {"epsilon": settings.optimiser.epsilon}),
            ),
            keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=settings.label_smoothing
            ),
            metrics=["accuracy"],
            jit_compile=False,  # XLA halves the speed on CPUs
        )
        # Variables that Keras makes at the first step, made now: a restored state needs them.
        self._network.optimizer.build(self._network.trainable_variables)
        dummy = tf.zeros((1, self._job.classes))
        self._network.compute_metrics(None, dummy, dummy)

    def train_epoch(self, plan: EpochPlan, first_step: int, after_step: AfterStep) -> None:
        # One `fit` per epoch: each has its own sample order, and one may start in mid-epoch.
        resumed = self._resumed_metrics if first_step else {}
        schedule = ScheduleCallback(plan, first_step, after_step, resumed)
        self._network.fit(
            self._batches(plan, first_step), callbacks=[schedule], shuffle=False, verbose=0
        )
        self._resumed_metrics = {}

    def running_metrics(self, steps: int) -> tuple[float, float]:
        result = self._network.get_metrics_result()
        return float(result["loss"]), float(result["accuracy"])

    def logits(self, images: np.ndarray) -> np.ndarray:
        matrices = evaluation_matrices(len(images), self._job.image_size, self.input_size)
        batches = tf.data.Dataset.from_tensor_slices((images, matrices)).batch(_EVALUATION_BATCH)
        inputs = batches.map(partial(self._input, size=self.input_size))
        return self._network.predict(_prefetched(inputs), verbose=0)

    def probe(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        logits, dead = self._probe(self._evaluation_input(images))
        return logits.numpy(), {name: float(fraction) for name, fraction in dead.items()}

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        layers = [
            layer
            for layer in self._network.layers
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and layer.trainable
        ]
        with tf.GradientTape() as tape:
            logits = self._network(self._evaluation_input(images), training=False)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        gradients = tape.gradient(loss, [layer.kernel.value for layer in layers])
        return {layer.name: float(tf.norm(g)) for layer, g in zip(layers, gradients, strict=True)}

    def state(self) -> Tensors:
        return {
            f"{part}/{index}": network.to_array(variable)
            for part, variables in self._variables().items()
            for index, variable in enumerate(variables)
        }

    def restore(self, state: Tensors) -> None:
        for part, variables in self._variables().items():
            for index, variable in enumerate(variables):
                variable.assign(state[f"{part}/{index}"])
        # `fit` resets the running metrics at its start; in mid-epoch they are put back after that.
        self._resumed_metrics = with_prefix(state, "metrics/")

    def weights(self) -> Weights:
        return network.get_weights(self._network)

    def set_weights(self, weights: Weights) -> None:
        network.set_weights(self._network, weights)

    def save_model(self, path: Path) -> None:
        """The network as a `.keras` file, with Keras' own dropout layers."""
        job = self._job
        plain = network.build(
            job.layers,
            job.settings.batch_normalisation,
            job.input_size,
            own_dropout=job.settings.dropout,
            any_size=_changes_size(job),
        )
        network.set_weights(plain, self.weights())
        with written_atomically(path) as temporary:
            plain.save(temporary)

    def _batches(self, plan: EpochPlan, first_step: int) -> tf.data.Dataset:
        """The plan's steps: the network's inputs and one-hot labels, prepared one batch ahead."""

        def batch(chosen: tf.Tensor, matrices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = self._input(tf.gather(self._images, chosen), matrices, plan.input_size)
            return images, tf.gather(self._labels, chosen)

        steps = (plan.order[first_step:], plan.matrices[first_step:])
        return _prefetched(tf.data.Dataset.from_tensor_slices(steps).map(batch))

    def _input(self, images: tf.Tensor, matrices: tf.Tensor, size: int) -> tf.Tensor:
        if self._job.native:  # then the network's own first layers do it
            return tf.cast(images, tf.float32)
        fill = self._job.settings.augmentation.fill
        return augmentation.transform(images, matrices, self._job.normalisation, size, fill)

    def _evaluation_input(self, images: np.ndarray) -> tf.Tensor:
        """The network's input for uint8 images as they are."""
        matrices = evaluation_matrices(len(images), self._job.image_size, self.input_size)
        return self._input(tf.constant(images), tf.constant(matrices), self.input_size)

    def _probe_layers(self, images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Logits, and for each ReLU layer the fraction of its units that no image activates."""
        outputs, dead = images, {}
        for layer in self._network.layers:
            modes = {"training": False} if _has_modes(layer) else {}
            outputs = layer(outputs, **modes)
            if isinstance(layer, keras.layers.ReLU):
                active = tf.reduce_any(outputs > 0, axis=range(outputs.shape.rank - 1))
                fraction = tf.reduce_mean(tf.cast(active, tf.float32))
                dead[layer.name.removesuffix("_relu")] = 1 - fraction
        return outputs, dead

    def _variables(self) -> dict[str, list[keras.Variable]]:
        return {
            "network": self._network.variables,
            "optimiser": self._network.optimizer.variables,
            "metrics": self._network.metrics_variables,
        }


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam whose learning rate is multiplied for each trainable variable of the network.

    Only kernels decay, by learning rate times `decay` whatever the multiplier (decoupled, as in
    Loshchilov and Hutter 2019); Keras' own `weight_decay` decays biases too.
    """

    def __init__(self, multipliers: list[float], decay: float, **arguments) -> None:
        super().__init__(**arguments)
        self.multipliers = multipliers
        self.decay = decay

    def update_step(self, gradient, variable, learning_rate):
        if self.decay and len(variable.shape) > 1:
            self.assign_sub(variable, variable * learning_rate * self.decay)
        index = self._get_variable_index(variable)
        update = tf.cast(self.iterations + 1, tf.float32)
        # Keras' own arithmetic in one pass over memory instead of a dozen; a step on two cores is 1.2
        # times as fast.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**update,
            beta2_power=self.beta_2**update,
            lr=learning_rate * self.multipliers[index],
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class ScheduleCallback(keras.callbacks.Callback):
    """Sets the learning rate and dropout masks of each step from the plan, and reports each step.

    Keras' own schedules count from their own start; a plan counts from the start of the training.
    """

    def __init__(
        self, plan: EpochPlan, first_step: int, after_step: AfterStep, resumed_metrics: Tensors
    ) -> None:
        super().__init__()
        self._plan, self._first_step = plan, first_step
        self._after_step, self._resumed_metrics = after_step, resumed_metrics

    def on_epoch_begin(self, epoch, logs=None):
        for index, value in self._resumed_metrics.items():
            self.model.metrics_variables[int(index)].assign(value)

    def on_train_batch_begin(self, batch, logs=None):
        set_step(self.model, self._plan, self._first_step + batch)

    def on_train_batch_end(self, batch, logs=None):
        self._after_step(self._first_step + batch + 1)


def set_step(model: keras.Sequential, plan: EpochPlan, step: int) -> None:
    """Set the learning rate and the dropout masks of a step."""
    model.optimizer.learning_rate.assign(float(plan.learning_rates[step]))
    dropouts = [layer for layer in model.layers if isinstance(layer, network.MaskedDropout)]
    for layer, mask in zip(dropouts, plan.dropout_masks(step), strict=True):
        layer.mask.assign(mask)


def _harmonised_network(job: Job) -> keras.Sequential:
    return network.build(
        job.layers,
        job.settings.batch_normalisation,
        job.input_size,
        batch_size=job.settings.batch_size,
        any_size=_changes_size(job),
    )


def _changes_size(job: Job) -> bool:
    return job.settings.progressive_resizing.epochs > 0


def _native_network(job: Job) -> keras.Sequential:
    """The network with Keras' own initialisation, dropout and augmentation, from the run's seed."""
    keras.utils.set_random_seed(job.seed)
    plain = network.build(
        job.layers,
        job.settings.batch_normalisation,
        job.input_size,
        own_dropout=job.settings.dropout,
    )
    settings = job.settings.augmentation
    first = augmentation.native_layers(job.normalisation, job.input_size, settings)
    return keras.Sequential(
        [keras.Input((job.image_size, job.image_size, 3)), *first, *plain.layers]
    )


def _prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, one prepared ahead. Autotuning is off: its thread delays the end of each epoch,
    by up to the epoch's own duration on CPUs."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(1).with_options(options)


def _has_modes(layer: keras.layers.Layer) -> bool:
    """Whether the layer behaves differently in training."""
    modes = (keras.layers.BatchNormalization, keras.layers.Dropout, network.MaskedDropout)
    return isinstance(layer, modes + augmentation.NATIVE_LAYERS)


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
