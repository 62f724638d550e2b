"""The shipped config as Snakemake reads it, with changes."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
OVERLAYS = sorted({path.name for path in CONFIG.glob("*.yaml")} - {"config.yaml", "reference.yaml"})


def shipped(name: str = "config.yaml") -> dict[str, Any]:
    return yaml.safe_load((CONFIG / name).read_text())


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The default config with other values, given by dotted path."""
    config = shipped()
    config["report"] = {"reference": None}  # a path relative to the working directory
    for path, value in changes.items():
        *groups, name = path.split(".")
        group = config
        for key in groups:
            group = group.setdefault(key, {})
        group[name] = value
    return config
