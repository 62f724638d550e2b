"""Features of frozen layers: computed once for a few augmented views, not anew in each epoch.

Epochs take turns with the views. A view is computed when an epoch first wants it, so that a resumed
training computes the same ones again, and waits in a file without a name in the working directory.
"""

import logging
import tempfile
from collections.abc import Iterator

import numpy as np

from twinbench import protocol
from twinbench.architecture import Convolution, Dense, Dropout
from twinbench.job import Job
from twinbench.protocol import Phase

log = logging.getLogger(__name__)


def first_computed_layer(job: Job, phase: Phase) -> str | None:
    """The first layer that each step computes; what lies below is cached. None: nothing is.

    It is the first one that is trained or drops units. Where a phase has no more epochs than there are
    views, nothing would be used twice; batch normalisation, native runs and changing image sizes are
    left out.
    """
    settings = job.settings
    epochs = phase.last_epoch - phase.first_epoch + 1
    out = (
        settings["batch_normalisation"] or job.native or settings["progressive_resizing"]["epochs"]
    )
    if out or not 0 < settings["cached_views"] < epochs:
        return None
    weighted = Convolution | Dense
    for index, layer in enumerate(job.layers):
        trained = isinstance(layer, weighted) and phase.trained(layer.name)
        if trained or isinstance(layer, Dropout):
            below = any(isinstance(each, weighted) for each in job.layers[:index])
            return layer.name if below else None
    return None


class FeatureCache:
    """The views of a phase: arrays (images, ...) of what the frozen layers make of each image."""

    def __init__(self, job: Job, phase: Phase) -> None:
        self._job, self._phase = job, phase
        self._views: dict[int, np.ndarray] = {}

    def matrices(self, epoch: int) -> np.ndarray:
        """The augmentation of the epoch's view, float32 (images, 2, 3), in the order of the images."""
        job = self._job
        return protocol.augmentation_matrices(
            job.seed,
            self._phase.first_epoch + self._view(epoch),
            len(job.train),
            job.image_size,
            job.input_size,
            job.settings["augmentation"],
        )

    def holds(self, epoch: int) -> bool:
        return self._view(epoch) in self._views

    def fill(self, epoch: int, parts: Iterator[np.ndarray]) -> None:
        """Keep the features of the epoch's view, which come as `parts` of some images each."""
        count, start, features = len(self._job.train), 0, None
        for part in parts:
            if features is None:
                file = tempfile.TemporaryFile(dir=".")  # noqa: SIM115, it goes with the array
                features = np.memmap(file, part.dtype, "w+", shape=(count, *part.shape[1:]))
            features[start : start + len(part)] = part
            start += len(part)
        self._views[self._view(epoch)] = features
        log.info(
            "computed the frozen layers' features of view %d of %d: %.0f MB",
            self._view(epoch) + 1,
            self._job.settings["cached_views"],
            features.nbytes / 1e6,
        )

    def features(self, epoch: int) -> np.ndarray:
        """The epoch's view, once it is held."""
        return self._views[self._view(epoch)]

    def _view(self, epoch: int) -> int:
        return (epoch - self._phase.first_epoch) % self._job.settings["cached_views"]
