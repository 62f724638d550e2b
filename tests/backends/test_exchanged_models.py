"""Saved networks work in processes that know nothing of this package, by the code of docs/models.md."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from PIL import Image
from support import ROOT, make_job, split
from twinbench.backends import model_suffix
from twinbench.networks.architectures import ARCHITECTURES

SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/models.md").read_text("utf-8"), re.S)
BUILT, OF_TORCHVISION, OF_KERAS = SNIPPETS
ALEXNET32 = 'network = alexnet32(len(facts["class_names"]))'
CODE = {
    ("pytorch", "alexnet32"): BUILT,
    ("pytorch", "alexnet"): BUILT.replace(
        ALEXNET32, "; ".join([*filter(None, OF_TORCHVISION.splitlines()), "network = alexnet"])
    ),
}
PRINT_LOGITS = "\nprint(json.dumps(logits))\n"


@pytest.mark.parametrize(
    ("framework", "network", "size"),
    [
        ("pytorch", "alexnet32", 32),
        ("pytorch", "alexnet", 64),
        ("tensorflow", "alexnet", 160),  # its pooling covers pixels unevenly
        ("tensorflow", "vgg16", 32),
    ],
)
def test_a_saved_network_predicts_the_same_in_its_library_alone(framework, network, size, tmp_path):
    pretrained = {"conv1/bias": np.full(64, 0.1, np.float32)} if network == "alexnet" else None
    job = make_job(ARCHITECTURES[network], input_size=size, pretrained=pretrained)
    backend = import_module(f"twinbench.backends.{framework}.backend").Backend(job)
    code = CODE.get((framework, network), OF_KERAS)
    model = tmp_path / f"model.{model_suffix(framework)}"
    backend.save_model(model)
    # An image that needs no resizing, since PIL and the study resize differently.
    image = np.asarray(Image.fromarray(split("target", 1, 9).images[0]).resize((size, size)))
    Image.fromarray(image).save(tmp_path / "image.png")
    done = subprocess.run(
        [sys.executable, "-c", code + PRINT_LOGITS, model, tmp_path / "image.png"],
        cwd=tmp_path,
        env={n: v for n, v in os.environ.items() if n != "PYTHONPATH"}
        | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    predicted, logits = done.stdout.strip().splitlines()[-2:]
    found = np.array(json.loads(logits))
    expected = expected_logits(backend, job, image)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    assert predicted == job.train.class_names[int(expected.argmax())]


def expected_logits(backend, job, image):
    """Of an image that has the network's input size already."""
    facts = job.model_facts(job.input_size)
    pixels = (image[..., facts["channels"]] - np.array(facts["mean"])) / facts["std"]
    inputs = pixels[None].astype(np.float32)
    if hasattr(backend._network, "predict"):
        return backend._network(inputs, training=False).numpy()[0]
    import torch

    with torch.inference_mode():
        outputs = backend._network.eval()(torch.from_numpy(inputs).permute(0, 3, 1, 2))
    return outputs.numpy()[0]
