"""Weights files of PyTorch and Keras users: of another kind, cut short anywhere, or hostile."""

import io
import pickle
import tarfile
import zipfile
from functools import cache, partial

import h5py
import numpy as np
import pytest
import torch
from bad_inputs import boundaries
from bad_inputs.writing import content
from safetensors.torch import save
from support import TINY_RESIZABLE, options, resizable_weights
from twinbench.backends.pytorch import weights as pytorch
from twinbench.backends.tensorflow import weights as tensorflow
from twinbench.networks.architectures import ARCHITECTURES

TITLE = "Tiny network for any image size"
RESULTS = "if the file lies under results/weights/, delete it and start again: it will be recreated"
OTHERS = f"give weights of {TITLE}, or, {RESULTS}"
STATE_DICT = f"save the state dict alone, torch.save(model.state_dict(), path), or, {RESULTS}"
WEIGHTS = resizable_weights(20)


def converted(
    refuse, expected: str, backend: str, file: str, model: str = TINY_RESIZABLE.name, **limits
) -> None:
    output = "out.safetensors"
    words = options({"backend": backend, "model": model, "library": file, "output": output})
    line = expected.format(file=file)
    refuse(line, "import_weights.py", *words, outputs=[output], **limits)


# --- PyTorch -------------------------------------------------------------------------------------


@cache
def state() -> dict[str, torch.Tensor]:
    whole = content(pytorch.write_published, TINY_RESIZABLE, WEIGHTS)
    found = torch.load(io.BytesIO(whole), weights_only=True)
    return {name: value for name, value in found.items() if not name.startswith("head.")}


def saved(value, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def with_tensor(value: torch.Tensor, **options) -> bytes:
    """torch's file with another tensor in place of a kernel."""
    return saved(state() | {"conv1.weight": value}, **options)


class Executing:
    """Runs code when unpickled."""

    def __reduce__(self):
        return (open, ("executed", "w"))


class OfTerabyte:
    """Takes a terabyte when unpickled, by a function that torch allows."""

    def __reduce__(self):
        return (bytearray, (1 << 40,))


def nested_dicts() -> dict:
    """Forty dicts that hold one another twice: two to the fortieth by the paths that lead to them."""
    inner: dict = {"a": 1}
    for _ in range(40):
        inner = {"a": inner, "b": inner}
    return inner


def within_itself() -> dict:
    found: dict = {}
    found["model"] = found
    return found


def deeply_nested() -> bytes:
    """A list in a list, a hundred thousand times."""
    return rewritten({"data.pkl": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."})


def rewritten(parts: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    """torch's file with other parts."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved(state()))) as old,
        zipfile.ZipFile(buffer, "w", compression) as new,
    ):
        for name in old.namelist():
            new.writestr(name, parts.get(name.partition("/")[2], old.read(name)))
    return buffer.getvalue()


def with_traversal() -> bytes:
    """torch's oldest format, a tar whose members lead elsewhere."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name in ("../executed", "storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            file.addfile(entry, io.BytesIO(b"\x80\x02N."))
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return buffer.getvalue()


def claiming_storage() -> bytes:
    """torch's second format, whose storage claims exabytes."""
    whole = with_tensor(state()["conv1.weight"], _use_new_zipfile_serialization=False)
    count = b"K" + bytes([state()["conv1.weight"].numel()])
    assert whole.count(count) == 1
    return whole.replace(count, b"\x8a\x08" + (1 << 60).to_bytes(8, "little"))


UNREADABLE = f"{{file}}: not readable as weights (...); {STATE_DICT}"
MORE = f"{{file}}: holds more than tensors ({{what}}), which is not loaded; {STATE_DICT}"
NO_FILE = f"{{file}}: is no file of torch.save, which is not loaded; {STATE_DICT}"
NO_STATE = (
    f"{{{{file}}}}: no state dict of {TITLE}, which has conv1.weight, conv1.bias ...: "
    f"this file has {{}}; {OTHERS}"
)
NO_NUMBERS = f"{{file}}: tensor conv1.weight (...) holds no floating-point numbers; {OTHERS}"
KERNEL = (6, 3, 3, 3)
# name: what the file is instead, and what is said of it
PYTORCH = {
    "empty": (b"", UNREADABLE),
    "a page": (b"<html>not found</html>", NO_FILE),
    "a zip of something else": (content(np.savez, np.zeros(3)), UNREADABLE),
    "code": (saved({"conv1.weight": Executing()}), MORE.replace("{what}", "io.open")),
    "code in a bare pickle": (pickle.dumps(Executing()), NO_FILE),
    "code in the second format": (
        saved({"a": Executing()}, _use_new_zipfile_serialization=False),
        MORE.replace("{what}", "io.open"),
    ),
    "a whole model": (
        saved(torch.nn.Linear(1, 1)),
        MORE.replace("{what}", "torch.nn.modules.linear.Linear"),
    ),
    "torch's oldest format, with paths": (
        with_traversal(),
        UNREADABLE.replace("...", "a tar, as torch wrote it before 2017"),
    ),
    "a storage of exabytes": (claiming_storage(), UNREADABLE),
    "no mapping": (saved([1, 2]), NO_STATE.format("list")),
    "an empty state dict": (saved({}), NO_STATE.format("dict")),
    "another network": (saved({"stem.weight": torch.zeros(1)}), NO_STATE.format("'stem.weight'")),
    "a name of several lines": (
        saved({"a\nerror: b\x1b[2J": torch.zeros(1)}),
        NO_STATE.format(r"'a\nerror: b\x1b[2J'"),
    ),
    "a name of a megabyte": (saved({"a" * (1 << 20): 1}), NO_STATE.format(f"'{'a' * 79}")),
    "dicts in dicts": (saved(nested_dicts()), NO_STATE.format("'a', 'b'")),
    "a dict within itself": (saved(within_itself()), NO_STATE.format("'model'")),
    "lists nested deeply": (deeply_nested(), NO_STATE.format("list")),
    "another shape": (
        with_tensor(torch.zeros(6, 3, 5, 5)),
        f"{{file}}: tensor conv1.weight has shape (6, 3, 5, 5), not (6, 3, 3, 3); {OTHERS}",
    ),
    "a shape of terabytes": (
        with_tensor(torch.zeros(1).expand(1 << 40)),
        f"{{file}}: tensor conv1.weight has shape (1099511627776,), not (6, 3, 3, 3); {OTHERS}",
    ),
    "a missing layer": (
        saved({name: value for name, value in state().items() if name != "conv2.bias"}),
        NO_STATE.format("'conv1.weight', 'conv1.bias', 'conv2.weight'"),
    ),
    "text in place of a tensor": (
        saved(state() | {"conv1.weight": "text"}),
        NO_STATE.format("'conv1.weight', 'conv1.bias', 'conv2.weight'"),
    ),
    "not finite": (
        with_tensor(torch.full(KERNEL, torch.nan)),
        f"{{file}}: tensor conv1/kernel is not finite; {OTHERS}",
    ),
    "whole numbers": (with_tensor(torch.ones(KERNEL, dtype=torch.int64)), NO_NUMBERS),
    "a sparse tensor": (with_tensor(torch.zeros(KERNEL).to_sparse()), NO_NUMBERS),
    "a quantised tensor": (
        with_tensor(torch.quantize_per_tensor(torch.zeros(KERNEL), 0.1, 0, torch.qint8)),
        NO_NUMBERS,
    ),
    "a shape without numbers": (with_tensor(torch.zeros(KERNEL, device="meta")), NO_NUMBERS),
    "parts that are compressed": (
        rewritten({"data/0": bytes(1 << 20)}, zipfile.ZIP_DEFLATED),
        UNREADABLE.replace("...", "it unpacks to ... bytes"),
    ),
    "a pickle of other bytes": (rewritten({"data.pkl": b"\x80\x02junk."}), UNREADABLE),
    "an empty pickle": (rewritten({"data.pkl": b""}), UNREADABLE),
    "a storage too short": (rewritten({"data/0": b"\0"}), UNREADABLE),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_another_file_of_pytorch_is_refused(refuse, folder, name):
    damaged, expected = PYTORCH[name]
    (folder / "users.pth").write_bytes(damaged)
    converted(refuse, expected, "pytorch", "users.pth")


READ_PYTORCH = partial(pytorch.read_published, architecture=TINY_RESIZABLE)


def test_a_file_of_pytorch_that_ends_early_is_refused(refuse_each):
    starts = boundaries.cut(saved(state()), boundaries.of_zip)
    refuse_each(starts, READ_PYTORCH, "users.pth", "{file}: ...; " + STATE_DICT)


def test_safetensors_that_end_early_are_refused(refuse_each):
    whole = save({name: value.contiguous() for name, value in state().items()})
    starts = boundaries.cut(whole, boundaries.of_safetensors)
    refuse_each(starts, READ_PYTORCH, "users.safetensors", UNREADABLE)


# --- Keras ---------------------------------------------------------------------------------------


@cache
def keras() -> bytes:
    return content(tensorflow.write_published, TINY_RESIZABLE, WEIGHTS)


def hdf5(change) -> bytes:
    """The file of Keras with a change of its content."""
    buffer = io.BytesIO(keras())
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def with_dataset(*arguments, **options) -> bytes:
    """The file of Keras with another dataset in place of a kernel."""

    def change(file: h5py.File) -> None:
        del file["conv1/conv1_W_1:0"]
        file["conv1"].create_dataset("conv1_W_1:0", *arguments, **options)

    return hdf5(change)


def with_link(path: str, link) -> bytes:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = link

    return hdf5(change)


def virtual() -> bytes:
    layout = h5py.VirtualLayout((3, 3, 3, 6), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "a", (3, 3, 3, 6))

    def change(file: h5py.File) -> None:
        del file["conv1/conv1_W_1:0"]
        file.create_virtual_dataset("conv1/conv1_W_1:0", layout)

    return hdf5(change)


def replaced_by_dataset(name: str) -> bytes:
    return with_link(name, np.zeros(3, np.float32))


def zipped(weights: bytes | None = None, **fields) -> bytes:
    """A .keras file, its entry with other fields."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        if weights is not None:
            archive.writestr("model.weights.h5", weights)
    damaged = bytearray(buffer.getvalue())
    last = damaged.rindex(b"PK\1\2")
    places = {"flags": (8, 2), "method": (10, 2), "checksum": (16, 4), "size": (24, 4)}
    for field, value in fields.items():
        offset, length = places[field]
        damaged[last + offset : last + offset + length] = value.to_bytes(length, "little")
    return bytes(damaged)


CONV1 = "conv1/kernel"
WEIGHTS_FILE = f"give a file of model.save_weights, or, {RESULTS}"
NO_HDF5 = f"{{file}}: not readable as HDF5 or .keras (...); {WEIGHTS_FILE}"
NO_WEIGHTS = NO_HDF5.replace("...", "...model.weights.h5...")
MISSING = f"{{file}}: tensor conv1/kernel is missing; {OTHERS}"
SHAPE = f"{{file}}: tensor conv1/kernel has shape ..., not (3, 3, 3, 6); {OTHERS}"
NUMBERS = NO_HDF5.replace("...", "/conv1/conv1_W_1:0 holds ..., not floating-point numbers")
ELSEWHERE = NO_HDF5.replace("...", "/conv1/conv1_W_1:0 lies in another file")
SAME = (3, 3, 3, 6)
KERAS = {
    "empty": (b"", NO_HDF5),
    "a page": (b"<html>not found</html>", NO_HDF5),
    "a file of PyTorch": (saved(state()), NO_WEIGHTS),
    "an empty HDF5": (hdf5(lambda file: [file.pop(name) for name in list(file)]), MISSING),
    "without a layer": (hdf5(lambda file: file.pop("conv1")), MISSING),
    "without a bias": (hdf5(lambda file: file["conv1"].pop("conv1_b_1:0")), MISSING),
    "another shape": (with_dataset((3, 3, 3, 7), "f4"), SHAPE),
    "a dataset of exabytes": (
        with_dataset((1 << 30, 1 << 28), "f4", chunks=(1024, 1024), compression="gzip"),
        SHAPE,
    ),
    "chunks of gigabytes": (
        with_dataset(
            SAME, "f4", maxshape=(None,) * 4, chunks=(3, 3, 1 << 10, 1 << 16), compression="gzip"
        ),
        NO_HDF5.replace("...", "/conv1/conv1_W_1:0 has chunks of ... bytes"),
    ),
    "whole numbers": (with_dataset(SAME, "i8"), NUMBERS),
    "nothing": (with_dataset(data=h5py.Empty("f4")), SHAPE),
    "not finite": (
        with_dataset(data=np.full(SAME, np.inf)),
        f"{{file}}: tensor conv1/kernel is not finite; {OTHERS}",
    ),
    "a dataset in place of a layer": (replaced_by_dataset("conv1"), MISSING),
    "a dataset in place of the model": (
        hdf5(lambda file: (file.pop("conv1"), file.create_dataset("model_weights", (1,)))),
        MISSING,
    ),
    "a dataset in place of all layers": (
        hdf5(lambda file: (file.pop("conv1"), file.create_dataset("layers", (1,)))),
        MISSING,
    ),
    "a link within": (with_link("conv1", h5py.SoftLink("/conv2")), MISSING),
    "a link to itself": (with_link("conv1", h5py.SoftLink("/conv1")), MISSING),
    "a link to another file": (
        with_link("conv1", h5py.ExternalLink("other.h5", "/conv1")),
        MISSING,
    ),
    "numbers of another file": (
        with_dataset(SAME, "f4", external=[("other.h5", 0, 4 * 162)]),
        ELSEWHERE,
    ),
    "a view of another file": (virtual(), ELSEWHERE),
    "a .keras without weights": (zipped(), NO_WEIGHTS),
    "a .keras of text": (zipped(b"no weights" * 100), NO_HDF5),
    "a .keras with a password": (zipped(keras(), flags=1), NO_HDF5),
    "a .keras packed as nobody does": (zipped(keras(), method=99), NO_HDF5),
    "a .keras with another checksum": (zipped(keras(), checksum=1), NO_HDF5),
    "a .keras that claims gigabytes": (
        zipped(keras(), size=(4 << 30) - 2),
        NO_HDF5.replace("...", "model.weights.h5 of 4294967294 bytes"),
    ),
    "a .keras that claims too little": (zipped(keras(), size=1000), NO_HDF5),
    "a .keras with another bit": (zipped(keras()).replace(keras()[-99:-90], b"x"), NO_HDF5),
}


@pytest.mark.parametrize("name", KERAS)
def test_another_file_of_keras_is_refused(refuse, folder, name):
    damaged, expected = KERAS[name]
    (folder / "users.h5").write_bytes(damaged)
    (folder / "other.h5").write_bytes(keras())
    converted(refuse, expected, "tensorflow", "users.h5")


READ_KERAS = partial(tensorflow.read_published, architecture=TINY_RESIZABLE)


def test_hdf5_that_ends_early_is_refused(refuse_each):
    refuse_each(boundaries.cut(keras(), boundaries.of_hdf5), READ_KERAS, "users.h5", NO_HDF5)


def test_a_keras_file_that_ends_early_is_refused(refuse_each):
    starts = boundaries.cut(zipped(keras()), boundaries.of_zip)
    refuse_each(starts, READ_KERAS, "users.keras", NO_HDF5)


# --- Bombs: refused within the memory of the rule ------------------------------------------------


MEMORY = 4000 << 20


def test_a_file_of_pytorch_that_asks_for_a_terabyte_is_refused(refuse_within_limits, folder):
    (folder / "users.pth").write_bytes(saved({"a": OfTerabyte()}))
    limits = {"model": "alexnet", "memory": MEMORY}
    converted(refuse_within_limits, UNREADABLE, "pytorch", "users.pth", **limits)


def test_a_file_of_keras_that_claims_gigabytes_is_refused(refuse_within_limits, folder):
    """Each layer has a tensor of two gigabytes, of which none is in the file."""
    with h5py.File(folder / "users.h5", "w") as file:
        for layer in ARCHITECTURES["vgg16"].weighted_layers():
            file.create_dataset(f"{layer}/kernel", (1 << 29,), "f4")
            file.create_dataset(f"{layer}/bias", (1,), "f4")
    expected = "{file}: tensor block1_conv1/kernel has shape (1,), not (3, 3, 3, 64); ..."
    limits = {"model": "vgg16", "memory": MEMORY}
    converted(refuse_within_limits, expected, "tensorflow", "users.h5", **limits)
