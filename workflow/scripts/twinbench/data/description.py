"""What the splits hold, in numbers for people and for the report."""

from typing import Any

from twinbench.data.selection import SelectionSettings, class_counts
from twinbench.data.splits import Split


def describe(splits: dict[str, Split], settings: SelectionSettings) -> dict[str, Any]:
    """Classes, images of each class by split, channel statistics and settings, ready for JSON."""
    train = splits["train"]
    return {
        "class_names": train.class_names,
        "counts": {
            name: class_counts(split.labels, split.class_names) for name, split in splits.items()
        },
        "mean": train.mean.tolist(),
        "std": train.std.tolist(),
        **settings.model_dump(),
    }
