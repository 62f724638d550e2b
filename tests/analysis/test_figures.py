"""Figures: for any number of runs and seeds, the same bytes twice, one look for each run."""

from dataclasses import replace

import pytest
from analysis.fake_study import CLASS_NAMES, FOUR, FakeRun, FakeStudy
from PIL import Image
from twinbench.analysis import metrics, plotting, results
from twinbench.analysis.figures import figures

NAMES = ("accuracy", "accuracy_time", "confusion", "learning_curves")


def drawings(fake: FakeStudy):
    models = fake.models
    class_names, confusions = metrics.confusions(models)
    return figures(metrics.evaluate(models), results.histories(models), confusions, class_names)


def saved(fake: FakeStudy, folder):
    for name, draw in drawings(fake).items():
        plotting.save(draw, folder / name, dpi=50)
    return sorted(folder.iterdir())


def styles(folder, runs):
    return plotting.run_styles(metrics.evaluate(FakeStudy(folder, runs, images=50).models))


def test_each_figure_is_written_in_each_format_with_the_same_bytes_twice(tmp_path):
    fake = FakeStudy(tmp_path, images=100)
    first, second = (saved(fake, tmp_path / folder) for folder in ("first", "second"))
    expected = [f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")]
    assert [path.name for path in first] == expected
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    with Image.open(first[0]) as image:
        assert image.width == plotting.WIDTH * 50


@pytest.mark.parametrize("seeds", [2, 12])
def test_several_seeds_and_a_collapsed_run_are_drawn(tmp_path, seeds):
    runs = {"a": FOUR["pytorch-scratch"], "b": replace(FOUR["pytorch-pretrained"], collapsed=True)}
    fake = FakeStudy(tmp_path, runs, range(seeds), images=50)
    assert len(saved(fake, tmp_path / "figures")) == 2 * len(NAMES)


def test_runs_beyond_the_colours_still_differ(tmp_path):
    runs = {f"run-{number}": FakeRun(noise=number) for number in range(9)}
    looks = {(style.colour, style.line, style.face) for style in styles(tmp_path, runs).values()}
    assert len(looks) == len(runs)


def test_the_marker_shows_the_framework_and_the_line_the_weights(tmp_path):
    scratch, pretrained, twin, _ = styles(tmp_path, FOUR).values()
    assert (scratch.marker == pretrained.marker) and (scratch.marker != twin.marker)
    assert (scratch.line == twin.line) and (scratch.line != pretrained.line)


def test_synthetic_weights_and_collapse_stand_in_the_legend(tmp_path):
    runs = {**FOUR, "pytorch-pretrained": replace(FOUR["pytorch-pretrained"], collapsed=True)}
    figure = drawings(FakeStudy(tmp_path, runs, images=50))["learning_curves"]()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    for (name, run), text in zip(runs.items(), legend, strict=True):
        assert name in text
        assert ("synthetic" in text) == (run.weights == "synthetic")
        assert ("collapsed" in text) == run.collapsed


def test_chance_is_one_in_the_number_of_classes(tmp_path):
    figure = drawings(FakeStudy(tmp_path, images=50))["accuracy"]()
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() not in ("-", "None")]
    assert [line.get_xdata()[0] for line in lines] == [1 / len(CLASS_NAMES)]
