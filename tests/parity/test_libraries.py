"""AlexNet is torchvision's and VGG16 is Keras', in both frameworks."""

from importlib import import_module

import h5py
import numpy as np
import pytest
from support import make_job
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.parity.measuring import measure_library
from twinbench.recipe.initial_weights import initial_weights


def add_head(path):
    """A further layer, as in Keras' files with top."""
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [*map(str.encode, file.attrs["layer_names"]), b"fc1"]
        group = file.create_group("fc1")
        group.attrs["weight_names"] = [b"fc1_W_1:0", b"fc1_b_1:0"]
        group["fc1_W_1:0"], group["fc1_b_1:0"] = np.ones((512, 4)), np.ones(4)


@pytest.mark.parametrize(
    ("name", "size", "file", "head"),
    [
        pytest.param("alexnet", 64, "file.pth", False, marks=pytest.mark.slow),
        ("vgg16", 32, "file.h5", False),
        ("vgg16", 32, "file.h5", True),
        pytest.param("vgg16", 32, "file", False, marks=pytest.mark.slow),
    ],
)
def test_both_frameworks_compute_what_the_library_computes(name, size, file, head, tmp_path):
    network = ARCHITECTURES[name]
    library = network.published.backend
    files, path = import_module(f"twinbench.backends.{library}.weights"), tmp_path / file
    files.write_published(path, network, initial_weights(1, network.with_head(10), size, False))
    if head:
        add_head(path)
    job = make_job(network, pretrained=files.read_published(path, network), input_size=size)
    found = {}
    for framework in ("pytorch", "tensorflow"):
        backend = import_module(f"twinbench.backends.{framework}.parity")
        own = backend.library_reference if framework == library else None
        found[framework] = measure_library(job, backend.ParityBackend, own, path)
    for quantity in ("features", "pixels"):
        expected = found[library][f"library {quantity}"]
        for framework, quantities in found.items():
            error = np.abs(quantities[quantity] - expected).max() / np.abs(expected).max()
            assert error < 1e-5, (quantity, framework)
