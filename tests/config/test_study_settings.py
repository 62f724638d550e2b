"""A study: the valid config, resolved for each run."""

import copy
import errno
from collections import Counter
from pathlib import Path

import pytest
from example_config import CONFIG, OVERLAYS, ROOT, changed, shipped
from snakemake.utils import update_config
from twinbench.config.models import Dataset
from twinbench.config.study import BACKENDS, Study
from twinbench.errors import InputError
from twinbench.networks.architectures import ARCHITECTURES


def study(changes: dict | None = None) -> Study:
    return Study(changed(changes or {}))


def test_the_default_study_is_four_runs_one_for_each_framework_and_initialisation():
    default = study()
    assert {(default.framework(run), default.weights(run).source) for run in default.runs} == {
        (framework, weights)
        for framework in ("pytorch", "tensorflow")
        for weights in ("none", "imagenet")
    }


def test_each_folder_with_a_backend_is_a_framework():
    assert {"pytorch", "tensorflow"} <= set(BACKENDS)


# In PyTorch and in TensorFlow.
TRAININGS = {
    "collapse.yaml": (2, 0),
    "demo.yaml": (2, 2),
    "gpu.yaml": (2, 2),
    "native.yaml": (6, 6),
    "precision.yaml": (2, 2),
    "search.yaml": (18, 0),
    "search-vgg16.yaml": (14, 0),
    "unconfounded.yaml": (4, 4),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_shipped_overlay_is_a_valid_study_of_so_many_trainings(monkeypatch, name):
    monkeypatch.chdir(ROOT)  # the path in report.reference is relative
    config = shipped()
    update_config(config, shipped(name))
    resolved = Study(config, [CONFIG / "config.yaml", CONFIG / name])
    assert resolved.name == Path(name).stem
    trainings = Counter(resolved.framework(run) for run in resolved.runs for _ in resolved.seeds)
    assert (trainings["pytorch"], trainings["tensorflow"]) == TRAININGS[name]


def test_a_run_overrides_the_studys_training_key_by_key():
    resolved = study({"runs.pytorch-scratch.schedule": {"shape": "cosine"}, "training.epochs": 4})
    own, other = (resolved.training(f"{name}-scratch") for name in ("pytorch", "tensorflow"))
    assert other.schedule.shape == "linear"
    assert own.schedule == other.schedule.changed(shape="cosine")
    assert own.epochs == other.epochs == 4


def test_a_run_may_override_a_setting_with_its_default():
    resolved = study({"training.dropout": 0.5, "runs.pytorch-scratch.dropout": 0.3})
    assert resolved.training("pytorch-scratch").dropout == 0.3


def test_how_many_jobs_share_a_gpu_is_the_studys_and_no_setting_of_a_run():
    resolved = study({"training.jobs_per_gpu": 4})
    assert resolved.config.training.jobs_per_gpu == 4
    for settings in (resolved.training("pytorch-scratch"), resolved.pretraining("alexnet")):
        assert "jobs_per_gpu" not in settings.model_dump()
    with pytest.raises(InputError, match=r"runs\.pytorch-scratch.*jobs_per_gpu"):
        study({"runs.pytorch-scratch.jobs_per_gpu": 4})
    with pytest.raises(InputError, match=r"training\.jobs_per_gpu"):
        study({"training.jobs_per_gpu": 0})


def test_from_which_checkpoints_a_run_goes_on_is_no_training_setting():
    assert study().resume("pytorch-scratch") == "any"
    resolved = study({"training.resume": "exact", "runs.pytorch-scratch.resume": "any"})
    assert resolved.resume("pytorch-scratch") == "any"
    assert resolved.resume("tensorflow-scratch") == "exact"
    for settings in (resolved.training("pytorch-scratch"), resolved.pretraining("alexnet")):
        assert "resume" not in settings.model_dump()
    with pytest.raises(InputError, match=r"runs\.pytorch-scratch\.resume"):
        study({"runs.pytorch-scratch.resume": "some"})


def test_the_scratch_twins_have_the_same_settings():
    resolved = study()
    assert resolved.training("pytorch-scratch") == resolved.training("tensorflow-scratch")


def test_the_overlay_without_confounding_keeps_the_default_recipe_of_each_network():
    default, config = study(), changed({})
    update_config(config, shipped("unconfounded.yaml"))
    other = Study(config)
    for network, run in (("alexnet", "pytorch-pretrained"), ("vgg16", "tensorflow-pretrained")):
        for framework in ("pytorch", "tensorflow"):
            assert other.training(f"{framework}-{network}") == default.training(run)


def test_a_run_takes_the_studys_learning_rate_multipliers_of_its_own_layers():
    resolved = study(
        {
            "training.learning_rate_multipliers": {"dense": 0.5, "block": 0.2},
            "runs.vgg": {"framework": "pytorch", "model": "vgg16", "weights": "none"},
        }
    )
    assert resolved.training("pytorch-scratch").learning_rate_multipliers == {"dense": 0.5}
    assert resolved.training("vgg").learning_rate_multipliers == {"block": 0.2}
    own = resolved.training("pytorch-pretrained").learning_rate_multipliers
    assert own == {"conv": 0.1, "dense": 0.2}


def test_frameworks_are_sorted_whatever_the_order_of_the_runs():
    runs = shipped()["runs"]
    turned = dict(reversed(runs.items()))
    assert study({"runs": turned}).frameworks == ["pytorch", "tensorflow"]
    one = {"a": {"framework": "tensorflow", "model": "vgg16", "weights": "none"}}
    assert study({"runs": one}).frameworks == ["tensorflow"]


# What decides the images: each differs from the default and from every other.
DATA = [
    {},
    {"dataset.limit": 20},
    {"dataset.limit": 21},
    {"dataset.validation_fraction": 0.2},
    {"dataset.seed": 1},
    {"dataset.sha256": "0" * 64},
    {"dataset.source": "synthetic"},
    {"dataset.source": "synthetic", "dataset.limit": 20},
    {"dataset.source": "synthetic", "dataset.seed": 1},
    {"dataset.source": "synthetic", "dataset.validation_fraction": 0.2},
    {"dataset.source": "synthetic", "dataset.synthetic": {"seed": 1}},
    {"dataset.source": "synthetic", "dataset.synthetic": {"train_images": 1000}},
    {"dataset.source": "synthetic", "dataset.synthetic": {"test_images": 5000}},
]


def test_studies_of_different_images_never_share_a_data_folder():
    folders = [study(changes).data_folder for changes in DATA]
    assert len(set(folders)) == len(DATA)


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "other"},
        {"seeds": [5]},
        {"training.batch_size": 8},
        {"runs.pytorch-scratch": None},
        {"dataset.url": "https://elsewhere/cifar.tar.gz"},
        {"dataset.validation_fraction": "1e-1"},
        {"dataset.limit": "null"},
        {"dataset.sha256": Dataset().sha256.upper()},
        {"dataset.synthetic": {"train_images": 100}},
    ],
)
def test_studies_of_the_same_images_share_a_data_folder(changes):
    assert study(changes).data_folder == study().data_folder


def test_the_archive_of_a_source_is_shared_by_studies_of_other_parts_of_it():
    whole, part = study(), study({"dataset.limit": 100, "dataset.seed": 3})
    assert whole.archive == part.archive
    assert whole.archive != study({"dataset.sha256": "0" * 64}).archive


def test_a_local_archive_moved_elsewhere_changes_no_data_folder(tmp_path):
    archive = tmp_path / "cifar.tar.gz"
    archive.touch()
    assert study({"dataset.archive": str(archive)}).data_folder == study().data_folder


def weights_of(path: Path):
    return study({"runs.pytorch-pretrained.weights": str(path)}).weights("pytorch-pretrained")


def test_a_weights_file_is_known_by_its_bytes_not_its_folder(tmp_path):
    first, second = tmp_path / "a" / "own.pth", tmp_path / "b" / "own.pth"
    for path in (first, second):
        path.parent.mkdir()
        path.write_bytes(b"weights")
    assert weights_of(first).weights_id == weights_of(second).weights_id
    assert weights_of(first).file == "own.pth"
    second.write_bytes(b"other")
    assert weights_of(first).weights_id != weights_of(second).weights_id


def test_weights_without_a_file_have_a_name_of_their_own():
    resolved = study({"runs.pytorch-pretrained.weights": "synthetic"})
    assert resolved.weights("pytorch-scratch").weights_id is None
    assert resolved.weights("tensorflow-pretrained").weights_id == "imagenet"
    synthetic = resolved.weights("pytorch-pretrained")
    assert synthetic.weights_id.startswith("synthetic-")
    assert synthetic.file is None


@pytest.mark.parametrize("name", ["images", "epochs", "batch_size", "learning_rate", "seed"])
def test_synthetic_weights_of_other_settings_are_other_weights(name):
    run = {"runs.pytorch-pretrained.weights": "synthetic"}
    value = 0.5 if name == "learning_rate" else 777
    ids = {
        study({**run, **changes}).weights("pytorch-pretrained").weights_id
        for changes in ({}, {f"weights.synthetic.{name}": value})
    }
    assert len(ids) == 2


def test_the_studys_training_does_not_change_synthetic_weights():
    run = {"runs.pytorch-pretrained.weights": "synthetic"}
    other = {**run, "training.epochs": 77, "runs.pytorch-pretrained.learning_rate": 0.5}
    assert study(run).weights("pytorch-pretrained") == study(other).weights("pytorch-pretrained")


@pytest.mark.parametrize("model", ["alexnet", "vgg16"])
def test_synthetic_weights_are_pretrained_at_the_networks_own_image_size(model):
    training = study({"weights.synthetic.epochs": 9}).pretraining(model)
    assert training.epochs == 9
    assert training.input_size == ARCHITECTURES[model].published.pretraining_size


def test_published_weights_come_from_the_publisher_or_from_a_mirror():
    default = study().published_file("vgg16")
    assert default.url == [ARCHITECTURES["vgg16"].published.url]
    mirror = {"url": ["https://mirror/vgg16.h5", "https://other/vgg16.h5"], "checksum": "0" * 32}
    changes = {"weights.imagenet": {"vgg16": mirror}}
    assert study(changes).published_file("vgg16").model_dump() == mirror
    assert study(changes).published_file("alexnet") == study().published_file("alexnet")


VGG16 = {"framework": "pytorch", "model": "vgg16", "weights": "none"}
# changes, path of the key, words of the message
MISTAKES = [
    (
        {"runs.a": {**VGG16, "framework": "pytorhc"}},
        "runs.a.framework",
        ["did you mean 'pytorch'?"],
    ),
    ({"runs.a": {**VGG16, "model": "vgg61"}}, "runs.a.model", ["none of", "did you mean 'vgg16'?"]),
    (
        {"container_images": {"pytorhc": "a.sif"}},
        "container_images",
        ["none of pytorch, tensorflow, analysis", "did you mean 'pytorch'?"],
    ),
    (
        {"runs.a": {**VGG16, "weights": "imagnet"}},
        "runs.a.weights",
        ["none of none, imagenet, synthetic", "no such file", "did you mean 'imagenet'?"],
    ),
    (
        {"runs.pytorch-scratch.weights": "imagenet"},
        "runs.pytorch-scratch.weights",
        ["no pretrained weights exist for alexnet32", "alexnet or vgg16"],
    ),
    (
        {"runs.a": {**VGG16, "frozen": ["blok"]}},
        "runs.a.frozen",
        ["'blok'", "vgg16 has block1_conv1"],
    ),
    (
        {"runs.a": {**VGG16, "frozen": ["head"], "head": {"epochs": 1}}},
        "runs.a.frozen",
        ["trained for 1 epoch", "head.epochs"],
    ),
    ({"study": "data"}, "study", ["results/data/", "another name"]),
    (
        {"runs.a": {**VGG16, "learning_rate_multipliers": {"conv": 1}}},
        "runs.a.learning_rate_multipliers",
        ["'conv'", "vgg16 has block1_conv1"],
    ),
    (
        {"training.learning_rate_multipliers": {"blok": 0.1}},
        "training.learning_rate_multipliers",
        ["no network has a layer", "'blok'"],
    ),
    (
        {"runs.pytorch-pretrained.input_size": 48},
        "runs.pytorch-pretrained.input_size",
        ["48 is too small for alexnet", "set 63 or more"],
    ),
    (
        {"training.progressive_resizing": {"epochs": 1}},
        "runs.pytorch-scratch.progressive_resizing",
        ["alexnet32 takes images of one size"],
    ),
    (
        {"runs.pytorch-pretrained.progressive_resizing": {"epochs": 1, "input_size": 48}},
        "runs.pytorch-pretrained.progressive_resizing.input_size",
        ["48 is too small for alexnet"],
    ),
    (
        {"runs.a": {**VGG16, "protocol": "native", "progressive_resizing": {"epochs": 1}}},
        "runs.a.progressive_resizing",
        ["protocol: harmonised"],
    ),
    ({"dataset.archive": "no.tar.gz"}, "dataset.archive", ["no file 'no.tar.gz'"]),
    ({"dataset.archive": "a" * 5000}, "dataset.archive", ["no file 'aaa"]),
    ({"report.reference": "a" * 5000}, "report.reference", ["no file 'aaa"]),
    ({"runs.a": {**VGG16, "weights": "a" * 5000}}, "runs.a.weights", ["no such file; give one of"]),
    (
        {"runs.a": {**VGG16, "weights": "/dev/zero"}},
        "runs.a.weights",
        ["no such file; give one of"],
    ),
    (
        {
            "runs.a": {**VGG16, "weights": "/proc/self/mem"}
        },  # which nobody can read at its beginning
        "runs.a.weights",
        ["'/proc/self/mem' cannot be read (Input/output error)"],
    ),
    (
        {"dataset.archive": "no.tar.gz", "dataset.source": "synthetic"},
        "dataset.archive",
        ["only source cifar10"],
    ),
    ({"report.reference": "no.yaml"}, "report.reference", ["no file 'no.yaml'"]),
    (
        {"weights.imagenet": {"vgg61": {"url": "https://host", "checksum": "0" * 32}}},
        "weights.imagenet",
        ["none of alexnet, vgg16", "did you mean 'vgg16'?"],
    ),
    ({"training.epochs": 0}, "training.epochs", ["too small"]),
]


@pytest.mark.parametrize(("changes", "path", "words"), MISTAKES)
def test_a_mistake_is_one_line_with_its_key(changes, path, words):
    with pytest.raises(InputError) as caught:
        study(changes)
    message = str(caught.value)
    assert message.startswith(f"config: {path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_weights_file_with_another_checksum_is_refused(tmp_path):
    (tmp_path / "own.pth").write_bytes(b"weights")
    changes = {
        "runs.pytorch-pretrained.weights": str(tmp_path / "own.pth"),
        "runs.pytorch-pretrained.weights_sha256": "0" * 64,
    }
    with pytest.raises(InputError, match=r"runs\.pytorch-pretrained\.weights_sha256: .* not 0000"):
        study(changes)


def test_a_mistake_that_merging_hides_is_found_in_the_files(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("study: a\nstudy: b\n")
    with pytest.raises(InputError, match="line 2: the key 'study'"):
        Study(changed({}), [file])


def test_resolving_leaves_the_given_config_as_it_is():
    config = changed({"runs.pytorch-scratch": None})
    before = copy.deepcopy(config)
    Study(config)
    assert config == before


def test_a_mistake_in_reported_results_is_found_before_the_trainings(tmp_path):
    path = tmp_path / "reported.yaml"
    text = (CONFIG / "reference.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("0.7093", "70.93"), encoding="utf-8")
    with pytest.raises(InputError, match=r"reported\.yaml: runs\.pytorch-scratch\.test_accuracy: "):
        study({"report.reference": str(path)})


def test_reported_results_that_cannot_be_read_are_one_line(monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("twinbench.config.study.read_reference", refuse)
    with pytest.raises(
        InputError, match=r"report\.reference: .* cannot be read \(Permission denied"
    ):
        study({"report.reference": str(CONFIG / "reference.yaml")})
