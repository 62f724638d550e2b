"""What training records in words, in English; the report translates it piece by piece."""

from twinbench.texts import translatable

# --- Why a training collapsed ------------------------------------------------------------------

ONE_LABEL = translatable(
    "every training image has the label {name}, so there is nothing to learn; check the archive's labels"
)
NO_CHANGE = translatable(
    "after {step} steps the outputs are exactly those before the first step: no weight changes, as when "
    "every layer is frozen; check frozen, learning_rate_multipliers and learning_rate"
)
ONE_CLASS = translatable(
    "after {step} steps all {images} probed images get the same class, with a loss of {loss} (guessing: "
    "ln {classes} = {chance})"
)
DEAD = translatable("dead ReLUs:")
DEAD_IN = translatable("{share}% in")
VANISHED = translatable("the gradient has vanished in")
STUCK = translatable(
    "for {steps} steps. The network has not begun to learn or has forgotten what it learned: change "
    "learning_rate ({rate} now), the initial weights, or batch_normalisation"
)
DEAD_CAUSE = translatable(
    "Too large steps most likely pushed these ReLUs below zero for every image; no gradient passes them, so "
    "they cannot recover, and only the last biases still change."
)
ALIKE = translatable("The outputs hardly depend on the image.")
REMEDY = translatable(
    "Lower learning_rate ({rate} now) or the learning_rate_multipliers, or raise schedule.warmup_fraction; "
    "for pretrained weights train the head first (head.epochs)"
)
NEVER_FINITE = translatable(
    "the outputs are NaN or infinite before the first step, so the input or the initial weights are; check "
    "the data set's mean and std and the weights file"
)
DIVERGED = translatable(
    "the outputs are NaN or infinite after {step} steps: the weights have diverged, as with too high a "
    "learning rate; lower learning_rate ({rate} now), raise schedule.warmup_fraction, or set precision: "
    "float32"
)
DIAGNOSES = (
    *(ONE_LABEL, NO_CHANGE, ONE_CLASS, DEAD, DEAD_IN, VANISHED, STUCK, DEAD_CAUSE, ALIKE),
    *(REMEDY, NEVER_FINITE, DIVERGED),
)

# --- Under which conditions it ran -------------------------------------------------------------

CHANGED = translatable("{before} then, {after} now")
NO_GPU = translatable("there is a GPU, but the framework cannot use it, so this ran on the CPU;")
GPU_CURE = translatable(
    "run `make .venv` on this machine, or `make .venv GPU=yes` (see docs/clusters.md#gpus)"
)
OLD_DRIVER = translatable("its driver is {driver}, and {oldest} or newer is needed")
NO_CODE = translatable(
    "its compute capability is {capability}, and this version of the framework needs {oldest} to {newest} "
    "(see docs/clusters.md#gpus)"
)
NO_NV = translatable("start with --apptainer-args=--nv, which gives containers the GPU")
CONDITIONS = (CHANGED, NO_GPU, GPU_CURE, OLD_DRIVER, NO_CODE, NO_NV)
