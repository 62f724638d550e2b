"""What the README says of the example reports stands in their files."""

import json
import re

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config
from support import ROOT, SCHEMA
from twinbench.configuration import Configuration

README = " ".join((ROOT / "README.md").read_text().split())
EXAMPLE = ROOT / "docs" / "example"
DEFAULTS, CIFAR10 = EXAMPLE / "defaults", EXAMPLE / "cifar10"

# Settings that an example is older than, at the values that change nothing.
LATER = {
    "augmentation.whole_pixels": "false",
    "augmentation.scale_fraction": "0",
    "rate_factors.dense": "1",
    "head.initialisation": "random",
}


@pytest.fixture(scope="module")
def accuracy() -> pd.Series:
    """Mean test accuracy of each run of the example on defaults, in per cent."""
    metrics = pd.read_csv(DEFAULTS / "metrics.csv")
    return 100 * metrics.groupby("run")["test_accuracy"].mean()


def test_the_gaps_between_the_frameworks_are_those_of_the_metrics(accuracy):
    native = accuracy["tensorflow-native"] - accuracy["pytorch-native"]
    harmonised = accuracy["pytorch-scratch"] - accuracy["tensorflow-scratch"]
    assert f"PyTorch is {native:.2f} points behind Keras" in README
    assert f"the two are {harmonised:.2f} points apart" in README
    assert f"the defaults make {native + harmonised:.2f} points" in README


def test_the_interval_of_what_defaults_make_is_that_of_the_report():
    low, high = re.search(
        r"the defaults make 5\.23 points \(([\d.]+) to ([\d.]+)\)", README
    ).groups()
    assert f"(-{high} to -{low})" in (DEFAULTS / "report.md").read_text()


@pytest.mark.parametrize("table", sorted(EXAMPLE.glob("*/parity.csv")), ids=lambda t: t.parent.name)
def test_every_rung_of_an_example_holds_and_the_readme_tells_no_less(table):
    parity = pd.read_csv(table).groupby("rung").agg({"max_error": "max", "passed": "all"})
    assert parity["passed"].all()
    forward, gradients = re.search(
        r"forward passes agree to (\S+) and gradients to (\S+)\.", README
    ).groups()
    assert parity.loc["forward pass", "max_error"] <= float(forward)
    assert parity.loc["gradients", "max_error"] <= float(gradients)


def test_the_readmes_table_is_the_studys_metrics():
    metrics = pd.read_csv(CIFAR10 / "metrics.csv").set_index("run")
    rows = re.findall(
        r"\| `([\w-]+)` \| [^|]+ \| [^|]+ \| ([\d.]+) % \(([\d.]+) to ([\d.]+)\) \|", README
    )
    assert {run for run, *_ in rows} == set(metrics.index)
    columns = ["test_accuracy", "accuracy_low", "accuracy_high"]
    for run, *told in rows:
        assert told == [f"{100 * value:.2f}" for value in metrics.loc[run, columns]], run


def test_the_readme_tells_what_vgg16_reached_from_the_same_weights_and_from_scratch():
    metrics = pd.read_csv(EXAMPLE / "unconfounded" / "metrics.csv").set_index("run")
    told = re.search(
        r"at ([\d.]+) % in PyTorch and ([\d.]+) % in Keras, from scratch at ([\d.]+) %", README
    ).groups()
    runs = ["pytorch-vgg16", "tensorflow-vgg16", "tensorflow-vgg16-scratch"]
    assert list(told) == [f"{100 * value:.2f}" for value in metrics.loc[runs, "test_accuracy"]]
    low, high = re.search(r"0\.49 points apart \(([\d.]+) to ([\d.]+)\)", README).groups()
    assert (
        f"0.49 points (95 % interval {low} to {high};"
        in (EXAMPLE / "unconfounded" / "report.md").read_text()
    )


def test_the_readme_tells_what_vgg16_reached_on_all_images_in_both_frameworks():
    metrics = pd.read_csv(EXAMPLE / "vgg16" / "metrics.csv").set_index("run")
    told = re.search(
        r"reaches ([\d.]+) % in PyTorch and ([\d.]+) % in Keras, "
        r"a difference of (\S+) points \((\S+) to (\S+)\): equivalent within 1 point",
        README,
    ).groups()
    runs = ["pytorch-vgg16", "tensorflow-vgg16"]
    assert list(told[:2]) == [f"{100 * value:.2f}" for value in metrics.loc[runs, "test_accuracy"]]
    verdict = pd.read_csv(EXAMPLE / "vgg16" / "comparisons.csv")["verdict"].item()
    assert verdict.startswith("equivalent within 1 point")
    assert f"{told[2]} points (95 % interval {told[3]} to {told[4]})" in verdict


def test_the_times_until_vgg16_passed_the_course_report_are_those_of_its_histories():
    page = " ".join((EXAMPLE / "README.md").read_text().split())
    told = re.search(
        r"report's ([\d.]+) % was passed on the validation split in the third epoch, "
        r"in PyTorch after ([\d.]+) minutes of training and in Keras after ([\d.]+)\.",
        page,
    ).groups()
    for run, minutes in zip(("pytorch-vgg16", "tensorflow-vgg16"), told[1:], strict=True):
        history = pd.read_csv(EXAMPLE / "vgg16" / "histories" / f"{run}.csv")
        passed = (100 * history["validation_accuracy"] > float(told[0])).idxmax()
        assert history.loc[passed, "epoch"] == 3
        assert f"{history.loc[:passed, 'seconds'].sum() / 60:.1f}" == minutes


def test_the_readme_tells_what_vgg16_reaches_by_the_default_of_today():
    metrics = pd.read_csv(EXAMPLE / "default-vgg16" / "metrics.csv").squeeze()
    told = re.search(
        r"it reaches ([\d.]+) % \(([\d.]+) to ([\d.]+)\) by \[the default of today\]", README
    ).groups()
    columns = ["test_accuracy", "accuracy_low", "accuracy_high"]
    assert list(told) == [f"{100 * value:.2f}" for value in metrics[columns]]


def test_what_is_said_of_vgg16_by_the_default_of_today_is_that_of_its_history():
    page = " ".join((EXAMPLE / "README.md").read_text().split())
    history = pd.read_csv(EXAMPLE / "default-vgg16" / "histories" / "tensorflow-pretrained.csv")
    history = history.set_index("epoch")
    row = re.search(r"\| today's default: [^|]+((?:\| [\d.]+ % ){5})\|", page)[1]
    assert re.findall(r"[\d.]+", row) == [
        f"{100 * history.loc[epoch, 'validation_accuracy']:.2f}" for epoch in (3, 4, 7, 9, 10)
    ]
    told = re.search(
        r"it has ([\d.]+) % of its training images right and ([\d.]+) % of the others", page
    ).groups()
    last = history.loc[10, ["train_accuracy", "validation_accuracy"]]
    assert list(told) == [f"{100 * value:.1f}" for value in last]
    told = re.search(
        r"report's ([\d.]+) % was passed on the validation split in the fourth epoch, after (\d+) ",
        page,
    )
    passed = (100 * history["validation_accuracy"] > float(told[1])).idxmax()
    assert passed == 4
    assert round(history.loc[:passed, "seconds"].sum() / 60) == int(told[2])


def test_the_shares_of_dead_relus_in_full_trainings_of_vgg16_are_those_of_the_histories():
    page = " ".join((EXAMPLE / "README.md").read_text().split())
    told = re.search(
        r"at most ([\d.]+) % of a layer's ReLUs are dead after an epoch, and ([\d.]+) % in the end; "
        r"by today's default ([\d.]+) % and ([\d.]+) %",
        page,
    ).groups()
    expected = []
    for example in ("cifar10", "default-vgg16"):
        history = pd.read_csv(EXAMPLE / example / "histories" / "tensorflow-pretrained.csv")
        dead = 100 * history["dead_relus"]
        expected += [f"{dead.max():.1f}", f"{dead.iloc[-1]:.1f}"]
    assert list(told) == expected


def test_the_readme_tells_what_three_seeds_show_of_the_twins():
    metrics = pd.read_csv(EXAMPLE / "seeds" / "metrics.csv")
    pytorch, keras = metrics.groupby("run")["test_accuracy"].mean()
    told = re.search(
        r"twins are at (\S+) % and (\S+) %, (\S+) points apart \((\S+) to (\S+)\)", README
    ).groups()
    assert list(told[:2]) == [f"{100 * mean:.2f}" for mean in (pytorch, keras)]
    verdict = pd.read_csv(EXAMPLE / "seeds" / "comparisons.csv")["verdict"].item()
    assert verdict.startswith("no difference shown") and "no difference shown" in README
    assert f"is {told[2]} points (95 % interval {told[3]} to {told[4]})" in verdict


def test_the_studys_histories_are_those_of_its_metrics():
    metrics = pd.read_csv(CIFAR10 / "metrics.csv").set_index("run")
    for run, row in metrics.iterrows():
        history = pd.read_csv(CIFAR10 / "histories" / f"{run}.csv").set_index("epoch")
        assert history.loc[row["chosen_epoch"], "validation_accuracy"] == row["validation_accuracy"]


def test_the_time_until_vgg16_passed_the_course_report_is_that_of_its_history():
    page = " ".join((EXAMPLE / "README.md").read_text().split())
    told = re.search(
        r"report's ([\d.]+) % on the validation split in its third epoch, after (\d+) ", page
    )
    history = pd.read_csv(CIFAR10 / "histories" / "tensorflow-pretrained.csv")
    passed = (100 * history["validation_accuracy"] > float(told[1])).idxmax()
    assert history.loc[passed, "epoch"] == 3
    assert round(history.loc[:passed, "seconds"].sum() / 60) == int(told[2])


def test_the_readme_tells_the_difference_of_the_twins():
    pairs = pd.read_csv(CIFAR10 / "comparisons.csv").set_index(["run_a", "run_b"])
    verdict = pairs.loc[("pytorch-scratch", "tensorflow-scratch"), "verdict"]
    told = re.search(r"(equivalent within 1 point): (\S+) points apart \((\S+) to (\S+)\)", README)
    assert verdict.startswith(told[1])
    assert f"is {told[2]} points (95 % interval {told[3]} to {told[4]})" in verdict


@pytest.mark.parametrize(
    ("name", "overlays"),
    [
        ("cifar10", []),
        ("defaults", ["native"]),
        ("precision", ["precision"]),
        ("unconfounded", ["unconfounded"]),
        ("vgg16", ["unconfounded"]),
        ("default-vgg16", []),
        ("seeds", []),
    ],
)
def test_what_the_examples_are_said_to_be_made_with_is_what_they_were_made_with(
    name, overlays, default_config
):
    page = (EXAMPLE / "README.md").read_text()
    section = page[page.index(f"## [{name}]") :]
    given = yaml.safe_load(re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1])
    given["dataset"].pop("archive")
    for run in filter(None, given.get("runs", {}).values()):
        if run.pop("weights_sha256", None) or "weights" in run:
            run["weights"] = "imagenet"  # where they come from is no setting of the training
    for overlay in overlays:
        update_config(default_config, _config(overlay))
    update_config(default_config, given | {"report": {"reference": None}})
    configuration = Configuration(default_config, SCHEMA)
    told = settings_in((EXAMPLE / name / "report.md").read_text())
    assert told.keys() == set(configuration.runs)
    for run, values in told.items():
        for key in ("seeds", "precision"):  # the report tells the precision that was chosen
            values.pop(key)
        settings = flat(configuration.training(run))
        if settings["head.epochs"] == "0" and "head.initialisation" not in values:
            settings["head.initialisation"] = "random"  # which auto means there
        later = {k for k in settings.keys() - values if LATER.get(k) == settings[k]}
        assert values == {k: v for k, v in settings.items() if k not in later}, run


def _config(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())


def settings_in(report: str) -> dict[str, dict[str, str]]:
    """The training settings of each run in a report's tables of settings, as texts.

    The second table is left out of a report whose runs have all settings in common.
    """
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in report.splitlines()
        if line.startswith("|")
    ]
    start = rows.index(["setting", "all runs"])
    # A report of one run has no ladder; its table of commits comes next.
    end = next(i for i in range(start, len(rows)) if rows[i][0] == "rung" or "commit" in rows[i])
    second = next((i for i in range(start + 1, end) if rows[i][0] == "setting"), end)
    if second < end:
        runs = rows[second][1:]
    else:
        results = next(i for i, row in enumerate(rows) if row[:2] == ["run", "framework"])
        runs = [
            row[0] for row in rows[results + 2 : start] if row[1:2] in (["PyTorch"], ["TensorFlow"])
        ]
    found = {run: dict(rows[start + 2 : second]) for run in runs}
    for key, *values in rows[second + 2 : end]:
        for run, value in zip(runs, values, strict=True):
            if value not in ("-", "{}"):
                found[run][key] = value
    return {run: {k: v for k, v in of.items() if v != "{}"} for run, of in found.items()}


def flat(settings: dict, prefix: str = "") -> dict[str, str]:
    """Settings by their paths, as the report writes them; the precision is left out."""
    found = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif key != "precision":
            found[prefix + key] = f"{value:g}" if isinstance(value, float) else json.dumps(value)
    return {key: value.strip('"') for key, value in found.items()}


@pytest.mark.parametrize("report", sorted(EXAMPLE.glob("*/report.md")), ids=lambda r: r.parent.name)
def test_the_examples_figures_are_there(report):
    for link in re.findall(r"\]\((figures/[^)]+)\)", report.read_text()):
        assert (report.parent / link).is_file(), link
