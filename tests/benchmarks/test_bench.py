"""The benchmark's table, and what each measurement returns. Speeds themselves are not tested."""

import csv
from argparse import Namespace

import frameworks  # noqa: F401, imports both in the only order that works

# isort: split
import bench
import keras
import pytest
import training_speed
import tutorial_tensorflow
from measuring import forward_operations
from support import TINY_RESIZABLE, make_job
from table import Quantity, rows, write
from twinbench.networks.architectures import ARCHITECTURES

TINY_EXTENT = bench.Extent(2, 1, images=64, gpu_images=64, archive_images=200, seeds=2)


def test_the_table_has_median_and_range(tmp_path):
    ratio, rate = Quantity("ratio"), Quantity("rate", "images/s")
    table = rows("speed", [{ratio: 2.0, rate: 1234.0}, {ratio: 2.5}, {ratio: 2.1}])
    table += rows("scale", [{Quantity("time", "s", "3 MB"): 0.5}])
    write(table, tmp_path)
    text = (tmp_path / "bench.md").read_text()
    assert text.startswith("Machine: ")
    speed, scale = text.split("## ")[1:]
    assert "| ratio | 2.1 | 2 - 2.5 |\n| rate | 1,234 images/s |  |" in speed
    assert "| time (3 MB) | 0.5 s |  |" in scale
    with open(tmp_path / "bench.csv", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["section", "what", "median", "lowest", "highest", "n", "unit", "note"]
    assert lines[0] == ["speed", "ratio", "2.1", "2.0", "2.5", "3", "", ""]
    assert lines[2] == ["scale", "time", "0.5", "0.5", "0.5", "1", "s", "3 MB"]


def table_of(section, answers, monkeypatch):
    """The rows of a section by what they are, if each measurement gives such an answer."""
    monkeypatch.setattr(bench, "measure", lambda what, *options: answers[what])
    found = rows(section.__name__, section(TINY_EXTENT))
    return {row["what"]: row for row in found}


def test_training_compares_what_was_measured_in_one_run(monkeypatch):
    answers = {
        "tutorial": {"images_per_second": 50.0, "batch_size": 64},
        "ours": {
            "images_per_second": 200.0,
            "gflops": 300.0,
            "precision": "bfloat16",
            "batch_size": 128,
        },
        "peak": {"gflops": 400.0},
    }
    table = table_of(bench.training, answers, monkeypatch)
    assert table["pytorch, ratio to the tutorial's"]["median"] == 4
    assert table["tensorflow, fraction of the bfloat16 matrix product"]["median"] == 0.75
    assert table["ratio of pytorch to tensorflow"]["median"] == 1
    assert "pytorch, float32 matrix product" in table
    assert {row["n"] for row in table.values()} == {TINY_EXTENT.repetitions}


def test_a_gpu_is_compared_with_a_tuned_script_and_named(monkeypatch):
    common = {"device": "NVIDIA H100", "precision": "bfloat16", "batch_size": 128}
    answers = {
        "tutorial": {"images_per_second": 50.0, **common},
        "steps": {"images_per_second": 100.0, **common},
        "ours": {"images_per_second": 200.0, "gflops": 300.0, **common},
        "peak": {"gflops": 400.0},
    }
    table = table_of(bench.gpu, answers, monkeypatch)
    assert table["pytorch, ratio to the tuned tutorial's"]["median"] == 4
    assert table["pytorch, ratio to its steps without their data"]["median"] == 2
    assert table["tensorflow, fraction of the matrix product"]["median"] == 0.75
    assert table["tensorflow, ours"]["note"] == "bfloat16, batch 128, NVIDIA H100"
    assert table["ratio of pytorch to tensorflow"]["median"] == 1


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_measurements_return_their_numbers(framework, monkeypatch):
    def tiny_job(run, images, threads, **changes):
        resizing = {"epochs": 1, "input_size": 32}
        changes |= {"epochs": 3, "input_size": 40, "progressive_resizing": resizing}
        return make_job(TINY_RESIZABLE, images, threads=threads, **changes)

    monkeypatch.setattr(training_speed, "make_job", tiny_job)
    monkeypatch.setattr(training_speed, "PEAK_SIZE", 64)
    monkeypatch.setattr(training_speed, "PEAK_SECONDS", 0.001)
    arguments = Namespace(
        run="run",
        framework=framework,
        images=80,
        batch_size=16,
        threads=1,
        precision="float32",
        tuned=False,
    )
    found = training_speed.ours(arguments)
    assert (found["precision"], found["batch_size"]) == ("float32", 16)
    assert found["images_per_second"] > 0 and found["gflops"] > 0
    assert training_speed.epochs(arguments)["seconds"] > 0
    found = training_speed.checkpoint(arguments)
    assert min(found["seconds"], found["megabytes"], found["fraction"]) > 0
    assert training_speed.peak(arguments)["gflops"] > 0


def test_the_tuned_keras_script_trains_as_many_steps_as_are_counted(monkeypatch):
    def tiny():
        layers = [keras.layers.Flatten(), keras.layers.Dense(10, "softmax", dtype="float32")]
        return keras.Sequential([keras.Input((32, 32, 3)), *layers])

    kept = tutorial_tensorflow.StepTimes()
    monkeypatch.setattr(tutorial_tensorflow, "StepTimes", lambda: kept)
    monkeypatch.setattr(tutorial_tensorflow, "network", tiny)
    policy = keras.config.dtype_policy()
    script = tutorial_tensorflow.Script(tuned=True)
    script.steps_images_per_second(45 * script.batch_size, warm_up=3)
    keras.config.set_dtype_policy(policy)
    assert kept.times[-1][0] == int(script._model.optimizer.iterations) == 40


def test_data_is_built_and_a_training_starts_on_it(monkeypatch):
    monkeypatch.setattr(bench, "FRAMEWORKS", ["pytorch"])
    table = rows("data", bench.data(TINY_EXTENT))
    assert [row["what"] for row in table] == [
        "archive to tensors, 240 images",
        "archive to tensors, 240 images, memory",
        "archive to parquet, 240 images",
        "archive to parquet, 240 images, memory",
        "start of a pytorch training on them",
    ]


@pytest.mark.slow
def test_made_up_runs_are_analysed():
    found = bench._scale(seeds=2, images=100)
    assert found.keys() == {"dry run", "analysis", "memory"}


@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    # torchvision's documentation has 0.71e9 for AlexNet, and for VGG16 15.47e9, of which 0.12e9 are in
    # the three dense layers that this network lacks.
    [("alexnet", 0.71e9), ("vgg16", 15.35e9)],
)
def test_operations_are_those_of_the_publications(name, multiply_adds):
    layers = ARCHITECTURES[name].with_head(1000)
    assert forward_operations(layers, 224) / 2 == pytest.approx(multiply_adds, rel=0.02)
