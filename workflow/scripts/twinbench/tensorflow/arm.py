"""TensorFlow's part in a training, through Keras: see `twinbench.training.Arm`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from twinbench import protocol
from twinbench.feature_cache import FeatureCache, first_computed_layer
from twinbench.files import written_atomically
from twinbench.job import Job
from twinbench.precision import choose
from twinbench.protocol import Phase, Weights
from twinbench.tensorflow import augment, network
from twinbench.training import AfterStep

_EVALUATION_BATCH = 256


class TensorFlowArm:
    libraries = ("tensorflow", "keras", "numpy")

    def __init__(self, job: Job) -> None:
        _configure(job)
        self.precision = choose(job.settings["precision"], _multiply)
        mixed = self.precision.name == "bfloat16"
        keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
        self._job = job
        self.input_size = job.input_size
        self._network = _native_network(job) if job.native else _network(job)
        # On the CPU: the augmentation runs there, one batch ahead of the training.
        with tf.device("cpu"):
            self._images = tf.constant(job.train.images)
            self._labels = tf.one_hot(job.train.labels, job.classes)
        self._cache: FeatureCache | None = None
        self._inspect = tf.function(self._look_through)
        self.set_weights(
            job.with_pretrained(self.weights()) if job.native else job.initial_weights()
        )

    @property
    def device(self) -> str:
        devices = tf.config.list_physical_devices("GPU")
        if not devices:
            return "cpu"
        return tf.config.experimental.get_device_details(devices[0]).get("device_name", "gpu")

    def start_phase(self, phase: Phase) -> None:
        settings = self._job.settings
        for layer in self._network.layers:
            name = _canonical_name(layer)
            if name in phase.factors:
                layer.trainable = phase.trained(name)
        factors = [
            phase.factors[_canonical_name(layer)]
            for layer in self._network.layers
            for _ in layer.trainable_variables
        ]
        self._cut(phase)
        self._trained.compile(
            LayerwiseAdam(
                factors,
                decay=settings["optimiser"]["weight_decay"],
                beta_1=settings["optimiser"]["beta_1"],
                beta_2=settings["optimiser"]["beta_2"],
                **({} if self._job.native else {"epsilon": settings["optimiser"]["epsilon"]}),
            ),
            keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=settings["label_smoothing"]
            ),
            metrics=["accuracy"],
            jit_compile=False,  # XLA halves the speed on CPUs
        )
        # Variables that Keras makes at the first step, made now: a restored state needs them.
        self._trained.optimizer.build(self._trained.trainable_variables)
        anything = tf.zeros((1, self._job.classes))
        self._trained.compute_metrics(None, anything, anything)
        self._sums: dict[str, np.ndarray] = {}

    def _cut(self, phase: Phase) -> None:
        """Part the net in frozen layers, whose features are cached, and the model that is trained."""
        first = first_computed_layer(self._job, phase)
        self._cache = FeatureCache(self._job, phase) if first else None
        self._trained = self._network
        if first:
            layers = self._network.layers
            index = [layer.name for layer in layers].index(first)
            frozen = keras.Sequential([keras.Input(self._network.input_shape[1:]), *layers[:index]])
            self._frozen = tf.function(
                lambda images, matrices: frozen(self._prepare(images, matrices), training=False)
            )
            shape, dtype = layers[index - 1].output.shape[1:], layers[index - 1].compute_dtype
            self._trained = keras.Sequential([keras.Input(shape, dtype=dtype), *layers[index:]])

    def train_epoch(
        self, phase: Phase, epoch: int, first_step: int, rate_factor: float, after_step: AfterStep
    ) -> None:
        # One `fit` an epoch: each has its own sample order, and one may start in mid-epoch.
        steering = Steering(
            self._job, phase, epoch, first_step, rate_factor, after_step, self._sums
        )
        if self._cache and not self._cache.holds(epoch):
            self._cache.fill(epoch, self._features(self._cache.matrices(epoch)))
        self._trained.fit(
            self._batches(epoch, first_step), callbacks=[steering], shuffle=False, verbose=0
        )
        self._sums = {}

    def means(self, steps: int) -> tuple[float, float]:
        result = self._trained.get_metrics_result()
        return float(result["loss"]), float(result["accuracy"])

    def inspect(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        logits, dead = self._inspect(self._plain(images))
        return logits.numpy(), {name: float(share) for name, share in dead.items()}

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        layers = [
            layer
            for layer in self._network.layers
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and layer.trainable
        ]
        with tf.GradientTape() as tape:
            logits = self._network(self._plain(images), training=False)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        gradients = tape.gradient(loss, [layer.kernel.value for layer in layers])
        return {layer.name: float(tf.norm(g)) for layer, g in zip(layers, gradients, strict=True)}

    def logits(self, images: np.ndarray) -> np.ndarray:
        job = self._job
        matrices = protocol.plain_matrices(len(images), job.image_size, self.input_size)
        batches = tf.data.Dataset.from_tensor_slices((images, matrices)).batch(_EVALUATION_BATCH)
        return self._network.predict(_ready(batches.map(self._prepare)), verbose=0)

    def state(self) -> dict[str, np.ndarray]:
        return {
            f"{part}/{index}": network.to_array(variable)
            for part, variables in self._variables().items()
            for index, variable in enumerate(variables)
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        for part, variables in self._variables().items():
            for index, variable in enumerate(variables):
                variable.assign(state[f"{part}/{index}"])
        # `fit` sets the running means to zero at its start, so they are put back after that.
        self._sums = {n: t for n, t in state.items() if n.startswith("metrics/")}

    def _look_through(self, images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Logits, and for each ReLU layer the share of its units that no image activates."""
        outputs, dead = images, {}
        for layer in self._network.layers:
            outputs = layer(outputs, training=False) if _has_modes(layer) else layer(outputs)
            if isinstance(layer, keras.layers.ReLU):
                active = tf.reduce_any(outputs > 0, axis=range(outputs.shape.rank - 1))
                share = tf.reduce_mean(tf.cast(active, tf.float32))
                dead[layer.name.removesuffix("_relu")] = 1 - share
        return outputs, dead

    def _plain(self, images: np.ndarray) -> tf.Tensor:
        """The net's input for images as they are."""
        job = self._job
        matrices = protocol.plain_matrices(len(images), job.image_size, self.input_size)
        return self._prepare(tf.constant(images), tf.constant(matrices))

    def _variables(self) -> dict[str, list[keras.Variable]]:
        return {
            "network": self._network.variables,
            "optimiser": self._trained.optimizer.variables,
            "metrics": self._trained.metrics_variables,
        }

    def weights(self) -> Weights:
        return network.get_weights(self._network)

    def set_weights(self, weights: Weights) -> None:
        network.set_weights(self._network, weights)

    def save_model(self, path: Path) -> None:
        """The net as a `.keras` file, from Keras' own layers alone."""
        job = self._job
        plain = network.build(
            job.layers,
            job.settings["batch_normalisation"],
            job.input_size,
            dropout=job.settings["dropout"],
            any_size=_changes_size(job),
        )
        network.set_weights(plain, self.weights())
        with written_atomically(path) as temporary:
            plain.save(temporary)

    def _features(self, matrices: np.ndarray) -> Iterator[np.ndarray]:
        """What the frozen layers make of all training images, in parts, as the cache holds it."""
        for start in range(0, len(matrices), _EVALUATION_BATCH):
            part = slice(start, start + _EVALUATION_BATCH)
            outputs = self._frozen(self._images[part], tf.constant(matrices[part]))
            # NumPy has no bfloat16, so its bits go as int16.
            mixed = outputs.dtype == tf.bfloat16
            yield (tf.bitcast(outputs, tf.int16) if mixed else outputs).numpy()

    def _cached_batches(self, epoch: int, order: np.ndarray) -> tf.data.Dataset:
        features = self._cache.features(epoch)
        kind = tf.bfloat16 if features.dtype == np.int16 else tf.float32
        shapes = ((order.shape[1], *features.shape[1:]), order.shape[1:])
        steps = tf.data.Dataset.from_generator(
            lambda: ((features[chosen], chosen) for chosen in order),
            output_signature=(
                tf.TensorSpec(shapes[0], features.dtype),
                tf.TensorSpec(shapes[1], order.dtype),
            ),
        )
        batches = steps.map(
            lambda part, chosen: (tf.bitcast(part, kind), tf.gather(self._labels, chosen))
        )
        # A generator does not tell its length, and Keras would try one step more.
        return _ready(batches.apply(tf.data.experimental.assert_cardinality(len(order))))

    def _batches(self, epoch: int, first_step: int) -> tf.data.Dataset:
        job = self._job
        order = protocol.sample_order(job.seed, epoch, len(job.train), job.settings["batch_size"])
        if self._cache:
            return self._cached_batches(epoch, order[first_step:])
        matrices = protocol.augmentation_matrices(
            job.seed,
            epoch,
            order.size,
            job.image_size,
            self.input_size,
            job.settings["augmentation"],
        ).reshape(*order.shape, 2, 3)

        def augmented(chosen: tf.Tensor, matrices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = self._prepare(tf.gather(self._images, chosen), matrices)
            return images, tf.gather(self._labels, chosen)

        steps = tf.data.Dataset.from_tensor_slices((order[first_step:], matrices[first_step:]))
        return _ready(steps.map(augmented))

    def _prepare(self, images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
        if self._job.native:  # then the net's own first layers do it
            return tf.cast(images, tf.float32)
        return augment.prepare(
            images,
            matrices,
            self._job.normalisation,
            self.input_size,
            self._job.settings["augmentation"]["fill"],
        )


def _network(job: Job) -> keras.Sequential:
    return network.build(
        job.layers,
        job.settings["batch_normalisation"],
        job.input_size,
        batch_size=job.settings["batch_size"],
        any_size=_changes_size(job),
    )


def _changes_size(job: Job) -> bool:
    return job.settings["progressive_resizing"]["epochs"] > 0


def _native_network(job: Job) -> keras.Sequential:
    """The net with Keras' own initialisation, dropout and augmentation, drawn from the run's seed."""
    keras.utils.set_random_seed(job.seed)
    plain = network.build(
        job.layers,
        job.settings["batch_normalisation"],
        job.input_size,
        dropout=job.settings["dropout"],
    )
    first = augment.own_layers(job.normalisation, job.input_size, job.settings["augmentation"])
    return keras.Sequential(
        [keras.Input((job.image_size, job.image_size, 3)), *first, *plain.layers]
    )


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam whose rate is scaled by `factors`, one for each trainable variable of the net.

    Only kernels decay, by `learning_rate * decay` whatever the factor (decoupled, as in Loshchilov
    and Hutter 2019).
    """

    def __init__(self, factors: list[float], decay: float, **arguments) -> None:
        super().__init__(**arguments)
        self.factors = factors
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
            lr=learning_rate * self.factors[index],
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class Steering(keras.callbacks.Callback):
    """Sets the rate and the dropout masks of each step, and tells the training of it.

    Keras' own schedules and callbacks count from their own start and keep their own state; here all
    is a function of (seed, epoch, step), so that the twin does the same and a resumed run too.
    """

    def __init__(
        self,
        job: Job,
        phase: Phase,
        epoch: int,
        first_step: int,
        rate_factor: float,
        after_step: AfterStep,
        sums: dict[str, np.ndarray],
    ) -> None:
        super().__init__()
        self._job, self._phase, self._epoch = job, phase, epoch
        self._first_step, self._rate_factor = first_step, rate_factor
        self._after_step, self._sums = after_step, sums

    def on_epoch_begin(self, epoch, logs=None):
        for index, variable in enumerate(self.model.metrics_variables if self._sums else []):
            variable.assign(self._sums[f"metrics/{index}"])

    def on_train_batch_begin(self, batch, logs=None):
        job, step = self._job, self._first_step + batch
        rate = protocol.learning_rate(
            self._phase, self._epoch, step, job.steps_per_epoch, job.settings["schedule"]
        )
        self.model.optimizer.learning_rate.assign(rate * self._rate_factor)
        network.set_dropout(self.model, job, self._epoch, step)

    def on_train_batch_end(self, batch, logs=None):
        self._after_step(self._first_step + batch + 1)


def _ready(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, one prepared ahead. Autotuning is off: its thread delays the end of each epoch,
    by up to the epoch's own duration on CPUs."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(1).with_options(options)


def _has_modes(layer: keras.layers.Layer) -> bool:
    """Whether the layer does another thing while training."""
    modes = (keras.layers.BatchNormalization, keras.layers.Dropout, network.MaskedDropout)
    own = (
        keras.layers.RandomFlip,
        keras.layers.RandomRotation,
        keras.layers.RandomTranslation,
        keras.layers.RandomZoom,
    )
    return isinstance(layer, modes + own)


def _canonical_name(layer: keras.layers.Layer) -> str:
    """The name of the layer in the architecture's table that this one belongs to."""
    return layer.name.removesuffix("_normalisation")


def _configure(job: Job) -> None:
    """Threads, determinism and memory: what TensorFlow keeps for the whole process."""
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    # float32 means float32 on GPUs too, as in the twin.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)


def _multiply(dtype: str, side: int) -> Callable[[], object]:
    """See `twinbench.precision.choose`."""
    matrix = tf.ones((side, side), dtype)
    return lambda: tf.matmul(matrix, matrix)[0, 0].numpy()
