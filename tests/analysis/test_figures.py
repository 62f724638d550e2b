"""Figures: drawn for any number of runs and seeds, the same bytes twice, one look a run."""

from dataclasses import replace

import pytest
from fake_study import CLASS_NAMES, FOUR, FakeRun
from PIL import Image
from twinbench.analysis import figures, metrics, study

NAMES = ("learning_curves", "accuracy", "confusion", "accuracy_time")


def drawings(fake):
    jobs = study.jobs(fake.directory, fake.settings)
    class_names, confusions = metrics.confusions(jobs)
    table = metrics.evaluate(fake.directory, fake.settings)
    return figures.draw_all(table, study.histories(jobs), confusions, class_names)


def save_all(fake, folder, kinds=("png", "svg"), dpi=50):
    for name, draw in drawings(fake).items():
        figures.save(draw, folder / name, {"format": list(kinds), "dpi": dpi})


def test_each_figure_is_written_in_each_format_with_the_same_bytes_twice(make_study, tmp_path):
    fake = make_study()
    for folder in ("first", "second"):
        save_all(fake, tmp_path / folder)
    found = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert found == sorted(f"{name}.{kind}" for name in NAMES for kind in ("png", "svg"))
    for name in found:
        first, second = tmp_path / "first" / name, tmp_path / "second" / name
        assert first.read_bytes() == second.read_bytes(), name


def test_dots_per_inch_set_the_width_of_the_png(make_study, tmp_path):
    draw = drawings(make_study())["accuracy"]
    figures.save(draw, tmp_path / "accuracy", {"format": ["png"], "dpi": 100})
    with Image.open(tmp_path / "accuracy.png") as image:
        assert image.width == 800


@pytest.mark.parametrize("seeds", [(0, 1), range(12)])
def test_several_seeds_are_drawn(make_study, tmp_path, seeds):
    runs = {"a": FOUR["pytorch-scratch"], "b": replace(FOUR["pytorch-pretrained"], collapsed=True)}
    save_all(make_study(runs, seeds, images=100), tmp_path / "figures", kinds=["png"], dpi=30)


def test_runs_beyond_the_colours_still_differ(make_study):
    runs = {f"run-{number}": FakeRun(predictions_seed=number) for number in range(9)}
    fake = make_study(runs, images=50)
    drawn = figures.styles(metrics.evaluate(fake.directory, fake.settings))
    looks = {(style.colour, style.line, style.face) for style in drawn.values()}
    assert len(looks) == 9


def test_marker_tells_the_framework_and_line_the_weights(make_study):
    fake = make_study(images=100)
    drawn = figures.styles(metrics.evaluate(fake.directory, fake.settings))
    assert drawn["pytorch-scratch"].marker == drawn["pytorch-pretrained"].marker
    assert drawn["pytorch-scratch"].marker != drawn["tensorflow-scratch"].marker
    assert drawn["pytorch-scratch"].line == drawn["tensorflow-scratch"].line
    assert drawn["pytorch-scratch"].line != drawn["pytorch-pretrained"].line


def test_proxy_weights_and_collapse_stand_in_the_legend(make_study):
    runs = {**FOUR, "pytorch-pretrained": replace(FOUR["pytorch-pretrained"], collapsed=True)}
    figure = drawings(make_study(runs, images=100))["learning_curves"]()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [
        "pytorch-scratch",
        "pytorch-pretrained (proxy weights, collapsed)",
        "tensorflow-scratch",
        "tensorflow-pretrained (proxy weights)",
    ]


def test_chance_is_one_in_the_number_of_classes(make_study):
    figure = drawings(make_study(images=100))["accuracy"]()
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() not in ("-", "None")]
    assert [line.get_xdata()[0] for line in lines] == [1 / len(CLASS_NAMES)]
