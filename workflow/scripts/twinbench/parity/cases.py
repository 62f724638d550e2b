"""What the parity suite measures of a study: each network with its initial weights, once.

Nothing here needs NumPy, so that Snakemake's own environment can plan a study.
"""

from twinbench.config.study import Study
from twinbench.config.training import Training
from twinbench.parity.settings import Case, ParitySettings

# Settings that the suite replaces or has no use for.
_REPLACED = {
    *("protocol", "epochs", "batch_size", "head", "selected_epoch", "progressive_resizing"),
    *("early_stopping", "reduce_on_plateau", "on_collapse"),
}


def parity_settings(study: Study) -> ParitySettings:
    return ParitySettings(seed=study.seeds[0], cases=cases(study))


def cases(study: Study) -> dict[str, Case]:
    """The cases by name, sorted.

    Runs that differ in other settings alone are one case, with the settings that most of them have.
    """
    groups: dict[tuple, list[str]] = {}
    for run in sorted(study.runs):
        training, weights = study.training(run), study.weights(run)
        own = (training.input_size, training.batch_normalisation)
        key = (study.model(run), weights.source, weights.weights_id, *own)
        groups.setdefault(key, []).append(run)
    names = _numbered([_name(model, source) for model, source, *_ in groups])
    found = {
        name: Case(
            model=study.model(runs[0]),
            weights=study.weights(runs[0]).source,
            weights_id=study.weights(runs[0]).weights_id,
            training=_most_common([_relevant(study.training(run)) for run in runs]),
        )
        for name, runs in zip(names, groups.values(), strict=True)
    }
    return dict(sorted(found.items()))


def _name(model: str, source: str) -> str:
    return model if source == "none" else f"{model}-{source}"


def _numbered(names: list[str]) -> list[str]:
    """The names, repeated ones numbered from their second on."""
    return [
        name if name not in names[:index] else f"{name}-{names[:index].count(name) + 1}"
        for index, name in enumerate(names)
    ]


def _relevant(training: Training) -> Training:
    """The settings with those that the suite replaces at their defaults: an edit of them reruns
    nothing."""
    kept = {name: value for name, value in dict(training).items() if name not in _REPLACED}
    return Training.model_validate(kept)


def _most_common(settings: list[Training]) -> Training:
    """The settings that occur most often, the first of equals."""
    return max(settings, key=settings.count)
