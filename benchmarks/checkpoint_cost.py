"""What checkpoints cost: the share of a training's time, for both frameworks.

    python benchmarks/checkpoint_cost.py [--images 4000] [--epochs 3] [--threads 2]

Trains the default study's nets from scratch on drawn images, with its batch size, and reads the share
that the trainings tell in their logs. The last figure is what one checkpoint an epoch costs in the
study itself, whose epochs are longer.
"""

import argparse
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import FRAMEWORKS, ROOT, STUDY_IMAGES, make_arm, make_job
from twinbench import training
from twinbench.checkpoint import Store
from twinbench.memory import keep_freed_memory
from twinbench.progress import Progress

_TOLD = re.compile(r"checkpoints: (\d+) written in ([\d.]+) s, ([\d.]+) %")


def measure(framework: str, images: int, epochs: int, threads: int) -> None:
    """Train one net and print its row."""
    job = make_job(f"{framework}-scratch", images, threads, epochs=epochs)
    keep_freed_memory()
    arm = make_arm(framework, job)
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("twinbench").addHandler(handler)
    logging.getLogger("twinbench").setLevel(logging.INFO)
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        store = Store(Path(folder), "run", "0" * 64)
        outcome = training.train(job, arm, store, Progress(epochs, Path(folder) / "events"))
        size = store.path.stat().st_size
    told = next(filter(None, (_TOLD.match(message) for message in messages)))
    written, spent, share = int(told[1]), float(told[2]), float(told[3])
    seconds = np.mean([row["seconds"] for row in outcome.history[1:] or outcome.history])
    whole = seconds * STUDY_IMAGES / images
    print(
        f"{framework}: {spent / written:.2f} s for one of {size / 1e6:.0f} MB; "
        f"{share} % of this training ({written} in {epochs} epochs of {seconds:.0f} s), "
        f"{100 * spent / written / whole:.2f} % of an epoch of {STUDY_IMAGES:,}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--framework", choices=FRAMEWORKS, help="one alone, in this process")
    arguments = parser.parse_args()
    options = [arguments.images, arguments.epochs, arguments.threads]
    if arguments.framework:
        measure(arguments.framework, *options)
        return
    for framework in FRAMEWORKS:  # each in a process of its own, as in a study
        command = [sys.executable, __file__, "--framework", framework]
        for name, value in zip(("--images", "--epochs", "--threads"), options, strict=True):
            command += [name, str(value)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
