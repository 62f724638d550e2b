"""A network with published weights is added by one table entry: an edit of `architectures.py` alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, SCRIPTS

# What a user writes, from the pages of Keras.
ENTRY = """

VGG19 = Architecture(
    name="vgg19",
    title="VGG19 (Keras, without top)",
    layers=(
        *_vgg_block(1, 2, 64),
        *_vgg_block(2, 2, 128),
        *_vgg_block(3, 4, 256),
        *_vgg_block(4, 4, 512),
        *_vgg_block(5, 4, 512),
        AdaptiveAveragePooling("average", 1),
        Flatten("flatten"),
        Dropout("dropout1"),
    ),
    input_size=32,
    published=PublishedWeights(
        backend="tensorflow",
        library_name="VGG19",
        url="https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        checksum="253f8cb515780f3b799900260a226db6",
        normalisation="caffe",
        pretraining_size=32,
    ),
)
ARCHITECTURES[VGG19.name] = VGG19
"""

STUDY = """
import json
from twinbench.config.study import Study
run = {"framework": "pytorch", "model": "vgg19"}
weights = ("imagenet", "synthetic", "vgg19.h5")
study = Study({
    "runs": {str(number): run | {"weights": name} for number, name in enumerate(weights)},
    "report": {"reference": None},
})
print(json.dumps({
    "file": study.published_file("vgg19").model_dump(),
    "sources": [study.weights(name).source for name in study.runs],
    "pretraining_size": study.pretraining("vgg19").input_size,
}))
"""

# As the library saves its own network, in the layout of its published files.
KERAS_FILE = """
import sys
import h5py, keras
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
network = keras.applications.VGG19(weights=None, include_top=False)
with h5py.File("vgg19.h5", "w") as file:
    save_weights_to_hdf5_group(file, network)
"""

# The error of either framework's features and pixels, as fractions of the library's own.
MEASURE = """
import json
from pathlib import Path
import frameworks, numpy as np
from support import make_job
from twinbench.backends.pytorch import parity as pytorch
from twinbench.backends.tensorflow import parity as tensorflow
from twinbench.networks import weights
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.parity.measuring import measure_library
vgg19 = ARCHITECTURES["vgg19"]
job = make_job(vgg19, pretrained=weights.read(Path("vgg19.safetensors"), vgg19))
rest = (job, tensorflow.ParityBackend, tensorflow.library_reference, Path("vgg19.h5"))
first, second = measure_library(*rest), measure_library(job, pytorch.ParityBackend, None, None)
print(json.dumps({
    f"{name} {index}": float(np.abs(found[name] - first[f"library {name}"]).max()
    / np.abs(first[f"library {name}"]).max())
    for name in ("features", "pixels") for index, found in enumerate((first, second))
}))
"""


@pytest.fixture
def python(tmp_path):
    """Runs Python on a copy of the scripts to which the entry was added, and returns its output."""
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, scripts)
    with open(scripts / "twinbench" / "networks" / "architectures.py", "a") as file:
        file.write(ENTRY)

    def run(*arguments: str) -> str:
        path = f"{scripts}:{ROOT / 'tests'}"
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": path, "PATH": "", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    return run


def test_the_config_takes_it_with_its_published_weights(python, tmp_path):
    (tmp_path / "vgg19.h5").touch()
    found = json.loads(python("-c", STUDY))
    assert found["sources"] == ["imagenet", "synthetic", "file"]
    (url,) = found["file"]["url"]
    assert url.endswith("vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")
    assert found["file"]["checksum"] == "253f8cb515780f3b799900260a226db6"
    assert found["pretraining_size"] == 32


@pytest.mark.slow
def test_both_frameworks_compute_what_the_library_computes(python, tmp_path):
    python("-c", KERAS_FILE)
    script = str(Path("scripts") / "import_weights.py")
    files = ["--library", "vgg19.h5", "--output", "vgg19.safetensors"]
    python(script, "--backend", "tensorflow", "--model", "vgg19", *files)
    errors = json.loads(python("-c", MEASURE))
    assert len(errors) == 4
    assert max(errors.values()) < 1e-5
