"""CIFAR-10's binary archive, and its records as Parquet in Hugging Face's image convention."""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from twinbench.errors import InputError
from twinbench.files import written_atomically

_BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST_BATCH = "test_batch.bin"
_NAMES = "batches.meta.txt"
_CLASSES = 10
_RECORD = 1 + 3 * 32 * 32  # bytes: the label, then the red, green and blue planes
_OFFICIAL_RECORDS = 10_000  # in each batch
_ROW_GROUP = 1000  # rows


@dataclass(frozen=True)
class Records:
    """A split: images, uint8 (n, 32, 32, 3), and labels, uint8 (n,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Archive:
    """What an archive holds; the training records are in the order of the five batches."""

    train: Records
    test: Records
    class_names: list[str]


def read_archive(path: Path | str, official: bool) -> Archive:
    """Read an archive in the layout of `cifar-10-binary.tar.gz`; nothing is unpacked to disk.

    Members are found by file name in any order, and others are ignored. `official` demands
    10,000 records a batch. Raises `InputError` that names archive, member and record.
    """
    path = Path(path)
    members = _read_members(path)
    missing = [name for name in (*_BATCHES, _TEST_BATCH, _NAMES) if name not in members]
    if missing:
        raise InputError(
            f"{path}: no member {missing[0]}; give an archive in the layout of "
            "cifar-10-binary.tar.gz (the binary version, not the Python one)"
        )
    batches = [
        _records(members.pop(name), f"{path}: {name}", official)
        for name in (*_BATCHES, _TEST_BATCH)
    ]
    train = Records(
        np.concatenate([batch.images for batch in batches[:-1]]),
        np.concatenate([batch.labels for batch in batches[:-1]]),
    )
    return Archive(train, batches[-1], _class_names(members[_NAMES], f"{path}: {_NAMES}"))


def write_parquet(path: Path | str, split: str, records: Records, class_names: list[str]) -> None:
    """Write a split as Parquet that `datasets` opens with an Image and a ClassLabel feature.

    Columns: `img`, struct of PNG `bytes` and `path`; `label`, int64; `sample_id`, int64, the row's
    number within the split. The file is written a row group of 1,000 rows at a time.
    """
    schema = _schema(class_names)
    with written_atomically(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(records.labels), _ROW_GROUP):
            writer.write_batch(_row_group(split, records, start, schema))


def encode_png(image: np.ndarray) -> bytes:
    """An image, uint8 (height, width, 3), as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """The image in a PNG file, uint8 (height, width, 3)."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def _read_members(path: Path) -> dict[str, bytes]:
    """The archive's members that matter, by file name."""
    try:
        # gzip's own reader, not tarfile's: it alone checks the stream's length and CRC at the end.
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            members = dict(_wanted(archive))
            while stream.read(1 << 20):
                pass
        return members
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{path}: not a whole gzipped tar archive ({error}); fetch it again"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; correct the path of the archive") from None


def _wanted(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        name = PurePosixPath(member.name).name
        if member.isfile() and name in (*_BATCHES, _TEST_BATCH, _NAMES):
            yield name, archive.extractfile(member).read()


def _records(data: bytes, origin: str, official: bool) -> Records:
    """The records in a batch's bytes; `origin` names the batch in messages."""
    count, rest = divmod(len(data), _RECORD)
    if rest or count == 0:
        raise InputError(
            f"{origin}: {len(data)} bytes, not a multiple of the {_RECORD} bytes of a record; "
            "the archive is damaged or another one: fetch it again"
        )
    if official and count != _OFFICIAL_RECORDS:
        raise InputError(
            f"{origin}: {count} records, expected {_OFFICIAL_RECORDS}; "
            "this is not the whole CIFAR-10: fetch the archive again"
        )
    table = np.frombuffer(data, np.uint8).reshape(count, _RECORD)
    labels = table[:, 0].copy()
    wrong = np.flatnonzero(labels >= _CLASSES)
    if len(wrong):
        raise InputError(
            f"{origin}: record {wrong[0]} has label {labels[wrong[0]]}, expected 0 to 9; "
            "the archive is damaged or another one: fetch it again"
        )
    planes = table[:, 1:].reshape(count, 3, 32, 32)
    return Records(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _class_names(data: bytes, origin: str) -> list[str]:
    names = data.decode("utf-8", errors="replace").split("\n")
    names = [name.strip() for name in names if name.strip()]
    if len(set(names)) != _CLASSES or len(names) != _CLASSES:
        raise InputError(
            f"{origin}: {len(names)} class names ({len(set(names))} different), expected "
            f"{_CLASSES}; the archive is damaged or another one: fetch it again"
        )
    return names


def _schema(class_names: list[str]) -> pa.Schema:
    features = {
        "img": {"_type": "Image"},
        "label": {"names": class_names, "_type": "ClassLabel"},
        "sample_id": {"dtype": "int64", "_type": "Value"},
    }
    return pa.schema(
        {
            "img": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "label": pa.int64(),
            "sample_id": pa.int64(),
        },
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def _row_group(split: str, records: Records, start: int, schema: pa.Schema) -> pa.RecordBatch:
    labels = records.labels[start : start + _ROW_GROUP]
    rows = range(start, start + len(labels))
    images = [
        {"bytes": encode_png(records.images[row]), "path": f"{split}-{row:05}.png"} for row in rows
    ]
    columns = {"img": images, "label": labels.astype(np.int64), "sample_id": rows}
    return pa.RecordBatch.from_pydict(columns, schema=schema)
