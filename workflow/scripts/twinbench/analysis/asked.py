"""What the config asks of a study's runs, for the analysis to compare with what was trained.

Nothing here needs NumPy, so that Snakemake's own environment can plan a study.
"""

import json
from collections import Counter
from typing import Any

from twinbench.config.arguments import dotted
from twinbench.config.study import Study


def study_settings(study: Study) -> dict[str, Any]:
    """The settings of `results.StudySettings` by dotted keys.

    `training` holds what most runs have, and each run what is different there: all settings of a
    thousand runs would be longer than a command may be. The order of the runs decides none of it.
    """
    trainings = {run: dotted(study.training(run)) for run in study.runs}
    keys = next(iter(trainings.values()))
    common = {key: _most_common([each[key] for each in trainings.values()]) for key in keys}
    found: dict[str, Any] = {"seeds": study.seeds, "training": common}
    for run, training in trainings.items():
        weights = study.weights(run)
        found |= {
            f"runs.{run}.framework": study.framework(run),
            f"runs.{run}.model": study.model(run),
            f"runs.{run}.weights": weights.source,
        }
        if weights.file:
            found[f"runs.{run}.weights_file"] = weights.file
        if own := {key: value for key, value in training.items() if value != common[key]}:
            found[f"runs.{run}.training"] = own
    return found


def _most_common(values: list[Any]) -> Any:
    counts = Counter(json.dumps(value, sort_keys=True) for value in values)
    return json.loads(max(counts, key=lambda text: (counts[text], text)))
