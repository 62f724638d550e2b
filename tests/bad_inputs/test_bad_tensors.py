"""The workflow's own files of tensors, splits and weights: damaged, cut short, or of another kind."""

import json
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import boundaries
from bad_inputs.writing import content
from safetensors.numpy import save
from support import TINY_RESIZABLE, body, make_job, resizable_weights, training_arguments
from twinbench import tensor_files
from twinbench.data import splits
from twinbench.networks import weights

ANEW = "delete it and start again: it will be recreated"
DAMAGED = f"{{file}}: damaged, or not a file of this workflow (...); {ANEW}"
OTHER = f"{{file}}: its content is damaged (sha256 is ..., written was ...); {ANEW}"
SPLIT = make_job().train
COUNT = len(SPLIT)


def split(tensors=None, **facts) -> bytes:
    """A file as `splits.save` writes it, with a right checksum, of a split with other parts."""
    parts = {name: getattr(SPLIT, name) for name in ("images", "labels", "sample_ids")}
    known = {"class_names": SPLIT.class_names, "mean": [0.5] * 3, "std": [0.2] * 3}
    return content(tensor_files.write, parts | (tensors or {}), known | facts)


def claiming(*shape: int, end: int) -> bytes:
    """A safetensors file of a tensor that its header claims, and a hundred bytes of data."""
    text = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(100)


def described(text: str) -> bytes:
    """A file with this text as its description."""
    return save({"images": np.zeros(3)}, {"twinbench": text})


def flipped(position: float) -> bytes:
    whole = bytearray(split())
    whole[int(position * (len(whole) - 1))] ^= 1
    return bytes(whole)


NO_SPLIT = f"{{file}}: not a split's tensors, but ...; {ANEW}"
# name: what the file is instead, and what is said of it
REFUSED = {
    "a page": (b"<html>not found</html>", DAMAGED),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.", DAMAGED),
    "rubbish behind": (split() + b"rubbish", DAMAGED),
    "a bit of the header": (flipped(0.001), DAMAGED),
    "a bit in the middle": (flipped(0.5), OTHER),
    "the last bit": (flipped(1), OTHER),
    "a header of exabytes": (b"\xff" * 7 + b"\x0f" + b"{}", DAMAGED),
    "a tensor of exabytes": (claiming(1 << 40, 1 << 20, end=1 << 62), DAMAGED),
    "no description": (save({"images": np.zeros(3)}), DAMAGED),
    "a description of text": (described("text"), DAMAGED),
    "a description of nothing": (described("null"), DAMAGED),
    "a description without facts": (described("{}"), DAMAGED),
    "a description nested deeply": (described("[" * 100_000), DAMAGED),
    "another's checksum": (described('{"facts": {}, "sha256": "00"}'), OTHER),
    "weights": (
        content(weights.write, {"conv/kernel": np.zeros(3)}),
        f"{{file}}: not a split's tensors, but conv/kernel float32(3,); {ANEW}",
    ),
    "a further tensor": (split({"more": np.zeros(1)}), NO_SPLIT),
    "images of floats": (split({"images": SPLIT.images.astype(np.float32)}), NO_SPLIT),
    "grey images": (split({"images": SPLIT.images[..., :1]}), NO_SPLIT),
    "flat images": (split({"images": SPLIT.images.reshape(COUNT, -1)}), NO_SPLIT),
    "a label too few": (split({"labels": SPLIT.labels[1:]}), NO_SPLIT),
    "a label of no class": (split({"labels": SPLIT.labels + 1}), NO_SPLIT),
    "a negative label": (split({"labels": SPLIT.labels - 1}), NO_SPLIT),
    "labels of floats": (split({"labels": SPLIT.labels.astype(np.float64)}), NO_SPLIT),
    "one sample id for all": (split({"sample_ids": np.array(1)}), NO_SPLIT),
    "class names that are numbers": (split(class_names=[1] * 10), NO_SPLIT),
    "fewer class names": (split(class_names=SPLIT.class_names[:3]), NO_SPLIT),
    "a mean of two channels": (split(mean=[0.5, 0.5]), NO_SPLIT),
    "a mean of text": (split(mean="gray"), NO_SPLIT),
    "a std that is infinite": (split(std=[0.1, 0.1, float("inf")]), NO_SPLIT),
    "a further fact": (split(more=1), NO_SPLIT),
}


DESCRIBE = ["limit=null", "validation_fraction=0.1", "seed=1", "--output=statistics.json"]
DESCRIBE += [f"--{name}={name}.safetensors" for name in ("train", "validation", "test")]


def describe(refuse, folder: Path, damaged: bytes, expected: str) -> None:
    for name in ("train", "validation", "test"):
        splits.save(folder / f"{name}.safetensors", SPLIT)
    (folder / "test.safetensors").write_bytes(damaged)
    line = expected.format(file="test.safetensors")
    refuse(line, "describe_tensors.py", *DESCRIBE, outputs=["statistics.json"])


@pytest.mark.parametrize("name", REFUSED)
def test_another_file_is_refused(refuse, folder, name):
    describe(refuse, folder, *REFUSED[name])


def test_tensors_that_end_early_are_refused(refuse_each):
    starts = boundaries.cut(split(), boundaries.of_safetensors)
    refuse_each(starts, splits.load, "test.safetensors", DAMAGED)


def test_missing_tensors_are_named(refuse):
    expected = "train.safetensors: no such file; start again to make it"
    refuse(expected, "describe_tensors.py", *DESCRIBE)


# --- Weights with which a training begins --------------------------------------------------------


BODY = body(resizable_weights(10))
KERNEL = BODY["conv2/kernel"]
SHORT = {name: value for name, value in BODY.items() if name != "conv2/kernel"}
OUTPUTS = ["history.csv", "predictions.parquet", "provenance.json", "model.safetensors"]
WEIGHTS = {
    "damaged": (BODY, DAMAGED),
    "another network's": (
        BODY | {"conv9/kernel": KERNEL},
        "runs.run.weights: tensor conv9/kernel of shape (3, 3, 6, 8) does not fit Tiny network for any "
        "image size; give weights of that network",
    ),
    "another shape": (
        BODY | {"conv2/kernel": KERNEL[:1]},
        f"{{file}}: tensor conv2/kernel has shape (1, 3, 6, 8), not (3, 3, 6, 8); {ANEW}",
    ),
    "a tensor is missing": (SHORT, f"{{file}}: tensor conv2/kernel is missing; {ANEW}"),
    "not finite": (
        BODY | {"conv2/kernel": KERNEL * np.nan},
        f"{{file}}: tensor conv2/kernel is not finite; {ANEW}",
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_training_does_not_begin_with_other_weights(refuse, folder, name):
    tensors, expected = WEIGHTS[name]
    path = folder / "weights.safetensors"
    weights.write(path, tensors)
    if name == "damaged":
        path.write_bytes(path.read_bytes()[:-1])
    words = training_arguments(make_job(TINY_RESIZABLE), "pytorch", folder)
    line = expected.format(file=path)
    refuse(line, "train.py", *words, "--weights", str(path), outputs=OUTPUTS)


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_training_does_not_begin_with_damaged_tensors(refuse, folder, name):
    words = training_arguments(make_job(TINY_RESIZABLE), "pytorch", folder)
    path = folder / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    refuse(DAMAGED.format(file=path), "train.py", *words, outputs=OUTPUTS)
