"""The analysis of four runs with many seeds: seconds and memory of each part, as JSON.

    python benchmarks/analysis_scale.py --seeds 250

Predictions are drawn, since the analysis does not care who made them.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import yaml
from measuring import ROOT, SCRIPTS, default_study, timed

sys.path.insert(0, str(ROOT / "tests" / "analysis"))

from fake_study import FOUR, FakeStudy

IMAGES = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, required=True)
    seeds = list(range(parser.parse_args().seeds))
    (ROOT / "results").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "results") as name:
        folder = Path(name)
        study = FakeStudy(folder, FOUR, seeds, IMAGES)
        parts = {part: timed(command) for part, command in _commands(folder, study).items()}
        print(json.dumps({"parts": parts, "dry_run": _dry_run(folder, seeds)}))


def _commands(folder: Path, study: FakeStudy) -> dict[str, list]:
    def command(script: str, settings: dict, *arguments) -> list:
        common = ["--directory", study.directory, "--settings", json.dumps(settings)]
        return [sys.executable, SCRIPTS / script, *common, *arguments]

    metrics, comparisons = folder / "metrics.csv", folder / "comparisons.csv"
    statistics = folder / "statistics.json"
    statistics.write_text(json.dumps(_statistics()))
    report = default_study().report
    names = {name: report[name] for name in ("title", "introduction", "equivalence_margin")}
    style = {"format": ["png", "svg"], **report["figures"]}
    return {
        "evaluate_runs": command("evaluate_runs.py", study.settings, "--output", metrics),
        "compare_runs": command("compare_runs.py", study.settings, "--output", comparisons),
        "plot_figures": command(
            *("plot_figures.py", study.settings | {"style": style}),
            *("--metrics", metrics, "--figures", folder / "figures"),
        ),
        "write_report": command(
            *("write_report.py", study.settings | names | {"study": "scale"}),
            *("--metrics", metrics, "--comparisons", comparisons, "--statistics", statistics),
            *("--template", ROOT / "workflow" / "report" / "report.md.jinja"),
            *("--figures", folder / "figures", "--output", folder / "report.md"),
        ),
    }


def _statistics() -> dict:
    names = [str(number) for number in range(10)]
    counts = {"train": 4500, "validation": 500, "test": 1000}
    return {
        "class_names": names,
        "counts": {split: dict.fromkeys(names, count) for split, count in counts.items()},
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "limit": None,
        "validation_fraction": 0.1,
        "seed": 0,
    }


def _dry_run(folder: Path, seeds: list[int]) -> float:
    (folder / "config").symlink_to(ROOT / "config")
    overlay = {"study": "scale", "seeds": seeds, "dataset": {"source": "synthetic"}}
    (folder / "scale.yaml").write_text(yaml.safe_dump(overlay))
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"),
        *("--dry-run", "--quiet", "--cores", "2", "--configfile", "scale.yaml"),
    ]
    return timed(command, cwd=folder)[0]


if __name__ == "__main__":
    main()
