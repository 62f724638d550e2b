"""Figures: which a study has, what they show, in any language, and that nothing hides anything."""

import re
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from analysis import fake_study
from analysis.fake_study import CLASS_NAMES, FINE_TUNING, FOUR, SETTINGS, FakeRun, FakeStudy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from twinbench.analysis import comparisons, metrics, plotting, study_results, tables
from twinbench.analysis.figures import FigureData, figures
from twinbench.analysis.prediction_figures import picture_rows
from twinbench.config.reference import Reference, ReportedRun
from twinbench.data.splits import Split
from twinbench.data.synthetic import class_names
from twinbench.errors import InputError
from twinbench.language import Language

ALL = ["contrasts", "accuracy", "learning_curves", "accuracy_time"]
ALL += ["confusion", "pictures", "reliability"]
CURVES = {"learning_curves", "accuracy_time"}
MARGIN = 0.01
IMAGES = 200
SHORT = {**SETTINGS, "epochs": 2}
COLLAPSED = {name: replace(run, collapsed=True) for name, run in FOUR.items()}
TWINS = {name: FOUR[name] for name in ("pytorch-scratch", "tensorflow-scratch")}
HOSTILE = {
    "a" * 60: FakeRun(noise=1),
    "NA": FakeRun("tensorflow", noise=2),
    "x-" * 29 + "yy": FakeRun("tensorflow", weights="synthetic", noise=3, settings=FINE_TUNING),
    "001": FakeRun("jax", noise=4, collapsed=True),
}
TEN = {
    f"{framework}-{network}-{weights}": FakeRun(
        framework, network, weights, accuracy, noise, settings={**SETTINGS, "dropout": dropout}
    )
    for noise, (framework, network, weights, accuracy, dropout) in enumerate(
        (framework, *row)
        for row in (
            ("alexnet", "none", 0.7, 0),
            ("alexnet", "imagenet", 0.8, 0),
            ("vgg16", "none", 0.85, 0),
            ("vgg16", "file", 0.9, 0),
            ("vgg16", "synthetic", 0.88, 0.1),
        )
        for framework in ("pytorch", "tensorflow")
    )
}
REFERENCE = Reference(
    title="course report",
    note="",
    dataset="cifar10",
    epochs=10,
    test_images=10_000,
    runs={
        name: ReportedRun(
            seconds_per_epoch=1, train_loss=1, train_accuracy=1, test_accuracy=accuracy
        )
        for name, accuracy in (("pytorch-scratch", 0.7093), ("pytorch-pretrained", 0.1))
    },
)


def test_split(images: int = IMAGES) -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3), np.uint8)
    rows = np.arange(images)[::-1]
    return Split(pixels, rows % 10, rows, CLASS_NAMES, np.zeros(3), np.ones(3))


test_split.__test__ = False


def tables_of(fake: FakeStudy):
    """The metrics and the comparisons of a study as files."""
    models, folder = fake.models, fake.directory.parent
    paths = folder / "metrics.csv", folder / "comparisons.csv"
    tables.write(metrics.evaluate(models), paths[0])
    comparisons.write(comparisons.compare(models, MARGIN), paths[1])
    return paths


def data_of(folder, runs=FOUR, seeds=(0,), images=IMAGES) -> FigureData:
    fake = FakeStudy(folder, runs, seeds, images)
    results = study_results.read(fake.directory, fake.settings, *tables_of(fake))
    return FigureData(results, MARGIN, REFERENCE, test_split(images))


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> FigureData:
    return data_of(tmp_path_factory.mktemp("four"))


@dataclass(frozen=True)
class Drawn:
    figure: object
    texts: list[Text]

    @property
    def words(self) -> list[str]:
        return [" ".join(text.get_text().split()) for text in self.texts]


def drawn(draw, monkeypatch) -> Drawn:
    """A figure, and the texts that are drawn in it: not those of ticks beyond an axis."""
    texts: list[Text] = []
    original = Text.draw

    def record(text, renderer):
        if text.get_visible() and text.get_text():
            texts.append(text)
        original(text, renderer)

    with plotting.styled(), monkeypatch.context() as patch:
        figure = draw()
        FigureCanvasAgg(figure).draw()
        patch.setattr(Text, "draw", record)
        figure.canvas.draw()
    return Drawn(figure, texts)


def words_of(name, data, monkeypatch, say=None) -> list[str]:
    return drawn(figures(data, say or Language())[name], monkeypatch).words


# --- Which figures there are -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "changes", "missing"),
    [
        (FOUR, {}, set()),
        (FOUR, {"split": None}, {"pictures"}),
        ({"a": FakeRun()}, {}, {"contrasts"}),
        ({"a": FakeRun(), "b": FakeRun("tensorflow", "vgg16")}, {}, {"contrasts"}),
        ({"a": FakeRun(settings=SHORT)}, {}, {"contrasts", *CURVES}),
        (COLLAPSED, {}, {"contrasts", "confusion", "pictures", "reliability"}),
    ],
)
def test_a_study_has_the_figures_that_have_something_to_show(tmp_path, runs, changes, missing):
    data = replace(data_of(tmp_path, runs), **changes)
    assert list(figures(data, Language())) == [name for name in ALL if name not in missing]


def test_runs_of_fewer_than_three_epochs_have_no_curve(tmp_path, monkeypatch):
    runs = {"long": FakeRun(noise=1), "short": FakeRun(noise=2, settings=SHORT)}
    words = words_of("learning_curves", data_of(tmp_path, runs), monkeypatch)
    assert "long" in words and "short" not in words
    assert any("1 run of fewer than three epochs is not drawn" in text for text in words)


def test_each_figure_is_written_in_each_format_with_the_same_bytes_twice(four, tmp_path):
    written = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        for name, draw in figures(four, Language()).items():
            plotting.save(draw, folder / name, dpi=50)
        written.append(sorted(folder.iterdir()))
    assert [path.name for path in written[0]] == sorted(
        f"{name}.{kind}" for name in ALL for kind in ("png", "svg")
    )
    for one, other in zip(*written, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    with Image.open(tmp_path / "first" / "accuracy.png") as image:
        assert image.width == plotting.WIDTH * 50


# --- Texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_numbers_are_written_as_in_the_language(four, monkeypatch, name):
    words = words_of(name, four, monkeypatch, Language("es"))
    assert not [text for text in words if re.search(r"\d\.\d", text)]


def test_ticks_have_as_many_decimals_as_they_need():
    ax = Figure().subplots()
    for end, labels in ((0.005, ["0,0", "0,1", "0,2"]), (0.05, ["0", "1", "2"])):
        ax.set_xlim(0, end)
        plotting.number_axis(ax.xaxis, Language("es"), 100)
        assert [label.get_text() for label in ax.get_xticklabels()][:3] == labels


@pytest.mark.parametrize(
    ("runs", "seeds"),
    [(HOSTILE, range(2)), (FOUR, range(5)), (TEN, range(1)), ({"a": FakeRun()}, range(1))],
)
def test_texts_lie_in_the_figure_and_do_not_overlap(tmp_path, monkeypatch, runs, seeds):
    monkeypatch.setattr(fake_study, "CLASS_NAMES", class_names("target"))  # longer than CIFAR-10's
    for name, draw in figures(data_of(tmp_path, runs, seeds), Language()).items():
        found = drawn(draw, monkeypatch)
        renderer = found.figure.canvas.get_renderer()
        boxes = [text.get_window_extent(renderer) for text in found.texts]
        for text, box in zip(found.texts, boxes, strict=True):
            inside = found.figure.bbox.padded(1)
            assert inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1), (name, text)
        for (one, a), (other, b) in combinations(zip(found.texts, boxes, strict=True), 2):
            assert not a.padded(-1).overlaps(b.padded(-1)), (name, one, other)


# --- Looks -------------------------------------------------------------------------------------


def test_colour_is_the_framework_and_twins_stand_side_by_side_with_one_marker(four):
    looks = plotting.looks(four.results, Language())
    assert list(looks) == [
        "pytorch-scratch",
        "tensorflow-scratch",
        "pytorch-pretrained",
        "tensorflow-pretrained",
    ]
    for name, run in FOUR.items():
        twin = looks[f"{run.framework}-scratch"]
        assert looks[name].colour == twin.colour
        assert looks[name].hollow == (run.weights == "synthetic")
        assert looks[name].pretrained == (run.weights != "none")
    scratch = [looks[name].marks["marker"] for name in TWINS]
    assert scratch[0] == scratch[1] and len({look.group for look in looks.values()}) == 3


def test_repetitions_of_a_run_have_markers_of_their_own(tmp_path):
    results = data_of(tmp_path, {name: FakeRun(noise=ord(name)) for name in "abc"}).results
    found = plotting.looks(results, Language()).values()
    assert len({look.marks["marker"] for look in found}) == 3
    assert len({look.colour for look in found}) == 1


# --- What the figures show ---------------------------------------------------------------------


def test_each_planned_contrast_has_its_verdict(four, monkeypatch):
    words = words_of("contrasts", four, monkeypatch)
    assert "PyTorch or TensorFlow?" in words
    planned = [pair for pair in four.results.comparisons if pair.planned]
    assert [text for text in words if text.endswith(": open")] == [
        f"{Language().points(pair.difference)}: open" for pair in planned
    ]
    assert {"← TensorFlow better", "PyTorch better →"} <= set(words)


def test_of_many_contrasts_the_largest_are_shown_and_it_says_so(tmp_path, monkeypatch):
    runs = {f"r{number}": FakeRun(noise=number) for number in range(8)}
    data = data_of(tmp_path, runs)
    words = words_of("contrasts", data, monkeypatch)
    verdicts = {text for text in words if " pp: " in text}
    sizes = sorted((abs(pair.difference) for pair in data.results.comparisons), reverse=True)
    assert len([text for text in words if " pp: " in text]) == 20
    assert any(Language().points(sizes[0]).strip("-") in text for text in verdicts)
    assert any("The 20 largest of 28 differences." in text for text in words)


def test_the_accuracy_axis_spans_the_runs_that_did_not_collapse(tmp_path, monkeypatch):
    runs = {**FOUR, "tensorflow-scratch": replace(FOUR["tensorflow-scratch"], collapsed=True)}
    data = data_of(tmp_path, runs, images=1000)
    found = drawn(figures(data, Language())["accuracy"], monkeypatch)
    assert found.figure.axes[0].get_xlim()[0] > 0.5
    # The collapsed run, and what was reported of another one, stand at the edge.
    assert found.words.count("10.0 %") == 2


@pytest.mark.parametrize(
    ("dataset", "shown"), [("cifar10", True), ("synthetic", False), ("own", False)]
)
def test_reported_values_are_shown_beside_those_of_the_same_data(four, monkeypatch, dataset, shown):
    data = replace(four, reference=REFERENCE.model_copy(update={"dataset": dataset}))
    words = words_of("accuracy", data, monkeypatch)
    assert any("the reported values" in text for text in words) == shown


def test_learning_curves_mark_where_phase_and_image_size_change(tmp_path, monkeypatch):
    fake = FakeStudy(tmp_path, TWINS, images=50)
    for run in TWINS:
        path = fake.folder(run) / "history.csv"
        history = pd.read_csv(path)
        history["phase"] = np.where(history["epoch"] < 2, "head", "all")
        history["input_size"] = np.where(history["epoch"] < 5, 32, 64)
        history.to_csv(path, index=False)
    results = study_results.read(fake.directory, fake.settings, *tables_of(fake))
    found = drawn(
        figures(FigureData(results, MARGIN, None, None), Language())["learning_curves"],
        monkeypatch,
    )
    marks = {text.get_text(): text.xy[0] for text in found.texts if hasattr(text, "xy")}
    assert marks == {"all layers": 1.5, "64 pixels": 4.5}


def test_the_diagonal_of_a_confusion_matrix_is_blank(four, monkeypatch):
    found = drawn(figures(four, Language())["confusion"], monkeypatch)
    for ax in found.figure.axes:
        shown = ax.images[0].get_array()
        assert shown.any() and not shown.diagonal().any()


@pytest.mark.parametrize("images", [24, IMAGES])
def test_pictures_are_of_images_that_one_run_or_no_run_gets_right(tmp_path, images):
    data = data_of(tmp_path, images=images)
    results, split = data.results, data.split
    looks = plotting.looks(results, Language())
    rows = picture_rows(results, looks, split, Language())
    a, b = (results.correct[name][0] for name in TWINS)
    no_one = ~np.any([right[0] for right in results.correct.values()], axis=0)
    kinds = {"Only PyTorch is right (AlexNet, from scratch)": a & ~b}
    kinds |= {"Only TensorFlow is right (AlexNet, from scratch)": b & ~a}
    kinds |= {"All runs are wrong": no_one}
    assert [row.title for row in rows] == [title for title, found in kinds.items() if found.any()]
    for row in rows:
        expected = kinds[row.title]
        assert len(row.images) == min(6, expected.sum())
        assert (
            set(zip(row.classes, row.mistakes, strict=True)) & {(c, c) for c in CLASS_NAMES}
            == set()
        )
        for image, label in zip(row.images, row.classes, strict=True):
            (place,) = np.flatnonzero((split.images == image).all(axis=(1, 2, 3)))
            assert expected[split.sample_ids[place]] and label == CLASS_NAMES[split.labels[place]]


def test_a_split_that_lacks_a_predicted_image_is_refused(four):
    with pytest.raises(InputError) as error:
        figures(replace(four, split=test_split(IMAGES - 1)), Language())
    assert f"sample {IMAGES - 1}" in str(error.value)


def test_pictures_are_titled_with_the_name_that_the_report_gives_their_contrast(tmp_path):
    runs = {
        f"{framework}-{rate}": FakeRun(
            framework, noise=noise, settings={**SETTINGS, "learning_rate": rate}
        )
        for noise, (framework, rate) in enumerate(product(("pytorch", "tensorflow"), (0.1, 0.2)))
    }
    data = data_of(tmp_path, runs)
    styles = plotting.looks(data.results, Language())
    rows = picture_rows(data.results, styles, data.split, Language())
    assert any("pytorch-0.1, tensorflow-0.1" in row.title for row in rows)
