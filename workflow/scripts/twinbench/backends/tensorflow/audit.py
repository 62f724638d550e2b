"""Every setting of a TensorFlow training that could make twins differ, read from the objects in use."""

import keras
import tensorflow as tf

# tf.config sets it, but has nothing public that reads it.
from tensorflow.python.framework.config import is_op_determinism_enabled

from twinbench.backends.tensorflow import augmentation, network
from twinbench.networks.architectures import HEAD
from twinbench.parity.measuring import Setting, normalisation_setting
from twinbench.training.job import Job

_FILL = {"NEAREST": "nearest", "CONSTANT": "zeros"}  # ImageProjectiveTransformV3's words
_REDUCTION = {"sum_over_batch_size": "mean over the batch"}


def describe(job: Job, model: keras.Sequential, sums: keras.Variable) -> dict[str, Setting]:
    """The settings of a compiled network; `sums` hold the running loss and accuracy."""
    return {
        **_optimiser(model),
        **_layers(model),
        **_arithmetic(model),
        **_data(job, model),
        **_process(model),
        "running loss and accuracy": Setting(f"sums in {sums.dtype}", type(sums).__name__),
    }


def _optimiser(model: keras.Sequential) -> dict[str, Setting]:
    optimiser = model.optimizer
    kind = type(optimiser).__name__
    clipping = [optimiser.clipnorm, optimiser.clipvalue, optimiser.global_clipnorm]
    trained = network.named_variables(model, trainable=True)
    multipliers = {
        name.split("/")[0]: value
        for name, value in zip(trained, optimiser.multipliers, strict=True)
    }
    return {
        "optimiser": Setting(
            "Adam", f"{kind}(keras.optimizers.{type(optimiser).mro()[1].__name__})"
        ),
        "Adam: beta 1": Setting(f"{optimiser.beta_1:g}", f"beta_1={optimiser.beta_1:g}"),
        "Adam: beta 2": Setting(f"{optimiser.beta_2:g}", f"beta_2={optimiser.beta_2:g}"),
        "Adam: epsilon": Setting(
            f"{optimiser.corrected_epsilon:.4g}",
            f"corrected_epsilon={optimiser.corrected_epsilon:.4g}",
        ),
        "Adam: place of epsilon": Setting(
            "beside the raw moment, scaled as it is at each update", f"{kind}.raw_epsilon"
        ),
        "Adam: largest second moment (AMSGrad)": Setting(
            str(optimiser.amsgrad), f"amsgrad={optimiser.amsgrad}"
        ),
        "weight decay of kernels": Setting(
            f"{optimiser.decay:g}" if trained else "", f"decoupled, {kind}"
        ),
        "weight decay of biases": Setting(
            f"{optimiser.weight_decay or 0:g}" if trained else "",
            f"weight_decay={optimiser.weight_decay}",
        ),
        "clipping of gradients": Setting(
            "none" if not any(clipping) else str(clipping), "clipnorm, clipvalue, global_clipnorm"
        ),
        "learning rate multipliers": Setting(
            ", ".join(f"{name} {value:g}" for name, value in multipliers.items()),
            f"{len(optimiser.multipliers)} variables",
        ),
    }


def _layers(model: keras.Sequential) -> dict[str, Setting]:
    lines, outer = [], 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.ZeroPadding2D):
            outer = layer.padding[0][0]
            continue
        lines.append(f"{layer.name} {_words(layer, outer)}")
        outer = 0
    weighted = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]
    initialisers = {type(layer.kernel_initializer).__name__ for layer in weighted}
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    paddings = {
        line.split("padding ")[1].split(",")[0] for line in lines if " convolution " in line
    }
    return {
        "layers": Setting("; ".join(lines), f"Sequential of {len(model.layers)} layers"),
        "parameters": Setting(
            str(
                sum(
                    variable.value.shape.num_elements()
                    for name, variable in network.named_variables(model).items()
                    if not name.endswith(("/mean", "/variance"))
                )
            ),
            "count_params()",
        ),
        "padding of convolutions": Setting(
            ", ".join(sorted(paddings, key=int)),
            "the same on each side, 'same' at stride 1 or ZeroPadding2D",
        ),
        "layers' own initialiser": Setting(
            " and ".join(sorted(initialisers)), "kernel_initializer"
        ),
        "layout of kernels": Setting("height, width, in, out", "kernel of Conv2D and Dense"),
        "order of flattened inputs": Setting("height, width, channels", "layers.Flatten"),
        "running variance of batch normalisation": Setting(
            "biased" if norms else "none", f"{len(norms)} BatchNormalization"
        ),
    }


def _words(layer: keras.layers.Layer, outer: int) -> str:
    match layer:
        case keras.layers.Conv2D():
            same = layer.padding == "same"
            size = layer.kernel_size[0]
            inside = f"{layer.kernel_size[0]}x{layer.kernel_size[1]}"
            return (
                f"convolution {inside} {layer.kernel.shape[2]}->{layer.filters}, "
                f"stride {layer.strides[0]}, padding {outer + (size - 1) // 2 * same}, "
                f"bias {layer.use_bias}"
            )
        case keras.layers.Dense():
            return f"dense {layer.kernel.shape[0]}->{layer.units}, bias {layer.use_bias}"
        case keras.layers.MaxPooling2D():
            size, stride = layer.pool_size[0], layer.strides[0]
            padding = 0 if layer.padding == "valid" else layer.padding
            return f"max pooling {size}x{size}, stride {stride}, padding {padding}, rounded down"
        case network.AdaptiveAveragePooling():
            return f"average pooling to {layer.size}x{layer.size}"
        case keras.layers.GlobalAveragePooling2D():
            return "average pooling to 1x1"
        case keras.layers.BatchNormalization():
            return (
                f"batch normalisation, epsilon {layer.epsilon:g}, "
                f"momentum {layer.momentum:g} of the old, "
                f"scale and shift {layer.scale and layer.center}"
            )
        case keras.layers.Flatten():
            return "flatten"
        case keras.layers.ReLU():
            return "ReLU"
        case network.MaskedDropout():
            return f"dropout of {layer.units} units"
    return type(layer).__name__


def _arithmetic(model: keras.Sequential) -> dict[str, Setting]:
    weighted = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]
    inner = {layer.compute_dtype for layer in weighted if layer.name != HEAD}
    head = next(layer for layer in weighted if layer.name == HEAD)
    stored = {variable.dtype for variable in network.named_variables(model).values()}
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    subnormal = float((tf.constant([1e-39]) * tf.constant([1.0]))[0])
    return {
        "type of the weights": Setting(" and ".join(sorted(stored)), "variable.dtype"),
        "arithmetic of the layers": Setting(
            " and ".join(sorted(inner)), f"policy {keras.config.dtype_policy().name}"
        ),
        "arithmetic of the head": Setting(head.compute_dtype, f"policy {head.dtype_policy.name}"),
        "TF32 on GPUs": Setting(
            "on" if tf32 else "off", f"tensor_float_32_execution_enabled() = {tf32}"
        ),
        "numbers below 1.2e-38": Setting("kept" if subnormal else "zero", "1e-39 * 1"),
    }


def _data(job: Job, model: keras.Sequential) -> dict[str, Setting]:
    loss = model.loss
    settings = loss.get_config()
    fill = augmentation.FILL[job.settings.augmentation.fill]
    dropouts = [
        x for x in model.layers if isinstance(x, keras.layers.Dropout | network.MaskedDropout)
    ]
    smoothing = settings["label_smoothing"]
    return {
        "loss": Setting(
            "cross-entropy of logits" if settings["from_logits"] else "of probabilities",
            f"{type(loss).__name__}(from_logits={settings['from_logits']})",
        ),
        "reduction of the loss": Setting(
            _REDUCTION.get(loss.reduction, loss.reduction), f"reduction={loss.reduction}"
        ),
        "label smoothing": Setting(f"{smoothing:g}", f"label_smoothing={smoothing:g}"),
        "what lies outside an image": Setting(
            _FILL[fill], f"ImageProjectiveTransformV3(fill_mode={fill})"
        ),
        "interpolation": Setting(augmentation.INTERPOLATION.lower(), "ImageProjectiveTransformV3"),
        "mean and std of the channels": normalisation_setting(job, "augmentation.transform"),
        "dropout": Setting(
            "given masks"
            if all(isinstance(layer, network.MaskedDropout) for layer in dropouts)
            else "its own",
            " and ".join(sorted({type(layer).__name__ for layer in dropouts})) or "none",
        ),
    }


def _process(model: keras.Sequential) -> dict[str, Setting]:
    threading = tf.config.threading
    return {
        "threads of an operation": Setting(
            str(threading.get_intra_op_parallelism_threads()),
            "get_intra_op_parallelism_threads()",
        ),
        "threads between operations": Setting(
            str(threading.get_inter_op_parallelism_threads()),
            "get_inter_op_parallelism_threads()",
        ),
        "deterministic operations": Setting(
            "yes" if is_op_determinism_enabled() else "no", "enable_op_determinism"
        ),
        "images in memory": Setting(
            keras.config.image_data_format().replace("_", " "), "image_data_format()"
        ),
        "execution": Setting(
            "eager" if model.run_eagerly else "graph" + (", XLA" if model.jit_compile else ""),
            f"tf.function, jit_compile={model.jit_compile}",
        ),
    }
