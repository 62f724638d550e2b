"""Checkpoints that are damaged: each is deleted with one warning, and the training does without it."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import boundaries
from bad_inputs.writing import content
from safetensors.numpy import save, save_file
from support import make_job, training_arguments
from twinbench.training.checkpoint import Checkpoint, CheckpointStore

CHECKPOINT = Checkpoint(
    {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)},
    {"step": 4, "history": [{"loss": 0.1 + 0.2}, {"loss": float("nan")}]},
)


def store(folder: Path) -> CheckpointStore:
    return CheckpointStore(folder, "run")


def saved(path: Path) -> None:
    here = store(path.parent)
    here.save(CHECKPOINT)
    here.path.replace(path)


WHOLE = content(saved)


def flipped(position: int) -> bytes:
    damaged = bytearray(WHOLE)
    damaged[position] ^= 1
    return bytes(damaged)


def described(header: str) -> bytes:
    return content(lambda path: save_file(CHECKPOINT.tensors, path, {"twinbench": header}))


def recorded(**record) -> bytes:
    whole = {"state": {}, "parts": {}, "resumed_inexactly": []}
    return described(json.dumps({"facts": whole | record, "sha256": "00" * 32}))


DAMAGED = {
    "empty": b"",
    "a pickle": b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.",
    "a header of exabytes": b"\xff" * 7 + b"\x0f" + b"{}",
    "the last bit": flipped(-1),
    "rubbish behind": WHOLE + b"rubbish",
    "without a record": described("{}"),
    "without a description": save(CHECKPOINT.tensors),
    "a record of nothing": described('{"facts": null}'),
    "a record nested deeply": described("[" * 100_000),
    "a record of another form": described('{"facts": {}}'),
    "another's parts": recorded(parts={"experiment": {"seed": 2}}),
    "another's checksum": recorded(),
    "a state in a list": recorded(state=[]),
    "a history that is a number": recorded(state={"history": 5}),
    "parts in a list": recorded(parts=[]),
    "an experiment of text": recorded(parts={"experiment": "mine"}),
    "further parts": recorded(parts={"more": {}}),
    **{
        f"cut short at {name}": WHOLE[:position]
        for name, position in boundaries.of_safetensors(WHOLE).items()
    },
}


def test_a_checkpoint_that_is_whole_is_loaded(folder):
    (folder / store(folder).path.name).write_bytes(WHOLE)
    assert str(store(folder).load().state) == str(CHECKPOINT.state)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_checkpoint_is_deleted_with_one_warning(folder, caplog, name):
    path = store(folder).path
    path.write_bytes(DAMAGED[name])
    assert store(folder).load() is None
    (record,) = caplog.records
    expected = f"the checkpoint {path} is damaged: deleted, training does without it"
    assert (record.levelno, record.getMessage()) == (logging.WARNING, expected)
    assert [each.name for each in folder.iterdir()] == ["temporary"]


def test_a_training_with_a_damaged_checkpoint_starts_over(folder, run_script, caplog):
    words = training_arguments(make_job(epochs=1), "pytorch", folder)
    path = store(folder).path
    path.write_bytes(WHOLE[:-1])
    assert run_script("train.py", words) == 0
    assert (folder / "predictions.parquet").exists() and not path.exists()
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert warnings == [f"the checkpoint {path} is damaged: deleted, training does without it"]
