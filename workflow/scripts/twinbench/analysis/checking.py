"""Whether the trained models are those that were asked for, and comparable with each other.

A config that is edited while jobs wait on a cluster is read again by those jobs: they train with the new
settings, and Snakemake records the old ones.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from twinbench.analysis.reading import Provenance
from twinbench.errors import InputError

_MOST_NAMED = 5


def check_asked(
    folder: Path, provenance: Provenance, seed: int, asked: dict[str, Any], training: dict[str, Any]
) -> None:
    """Raise `InputError` unless the model in `folder` was trained as asked.

    `asked` has the dotted keys of a provenance with the values that they must have, `training` those of
    its settings.
    """
    expected = {"seed": seed} | asked | {f"settings.{key}": training[key] for key in training}
    recorded = provenance.model_dump()
    for key, wanted in expected.items():
        found = _value(recorded, key)
        if found != wanted:
            raise InputError(
                f"{folder / 'provenance.json'}: {key} is {_text(found)}, but the config asks for "
                f"{_text(wanted)}; {_advice(folder)}"
            )


def check_comparable(provenances: dict[Path, Provenance]) -> None:
    """Raise `InputError` unless the models, by their folders, were trained on the same bytes: all on the
    same images, and those with the same network and source of weights from the same weights. Files of one's
    own may differ between runs."""
    for split in ("train", "validation", "test"):
        _check_equal(f"dataset.sha256.{split}", provenances)
    groups: dict[tuple, dict[Path, Provenance]] = defaultdict(dict)
    for folder, provenance in provenances.items():
        source = provenance.weights.source
        own = folder.parent.name if source == "file" else None
        groups[provenance.model, source, own][folder] = provenance
    for group in groups.values():
        _check_equal("weights.sha256", group)


def _check_equal(key: str, provenances: dict[Path, Provenance]) -> None:
    """The model that was trained last had the files that are there now, so the others are named."""
    values = {folder: _value(each.model_dump(), key) for folder, each in provenances.items()}
    last = max(provenances, key=lambda folder: provenances[folder].started)
    others = [folder for folder, value in values.items() if value != values[last]]
    if others:
        raise InputError(
            f"{others[0] / 'provenance.json'}: {key} is {_text(values[others[0]])}, but that of {last}, "
            f"trained later, is {_text(values[last])}, so their results cannot be compared; "
            f"{_advice(*others)}"
        )


def _value(recorded: object, key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    for name in key.split("."):
        recorded = recorded.get(name) if isinstance(recorded, dict) else None
    return recorded


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _advice(*folders: Path) -> str:
    files = [str(folder / "history.csv") for folder in folders[:_MOST_NAMED]]
    rest = len(folders) - len(files)
    more = f" (and that of {rest} more)" if rest else ""
    return f"delete {' '.join(files)}{more} and start again: it will be retrained"
