"""AlexNet is torchvision's and VGG16 is Keras', in both frameworks."""

from importlib import import_module

import numpy as np
import pytest
from support import make_job
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.parity.measuring import measure_library
from twinbench.recipe.initial_weights import initial_weights


@pytest.mark.parametrize(
    ("name", "size"), [pytest.param("alexnet", 64, marks=pytest.mark.slow), ("vgg16", 32)]
)
def test_both_frameworks_compute_what_the_library_computes(name, size, tmp_path):
    network = ARCHITECTURES[name]
    library = network.published.backend
    files, path = import_module(f"twinbench.backends.{library}.weights"), tmp_path / "file.h5"
    files.write_published(path, network, initial_weights(1, network.with_head(10), size, False))
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
