"""CIFAR-10's binary archive, and its records as Parquet in Hugging Face's image convention.

Memory does not grow with the number of images: records wait on disk and pass a row group at a time.
"""

import errno
import gzip
import io
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from joblib import Parallel, delayed
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
_BLOCK = 1 << 20  # bytes
_IMAGES_A_WORKER = 5000  # take as long as the start of a process, under a second


@dataclass(frozen=True)
class Batch:
    """An archive's member `origin` with so many records, copied to a file of no name."""

    file: IO[bytes]
    records: int
    origin: str

    def groups(self) -> Iterator["Records"]:
        """Its records in order, a row group at a time. Raises `InputError` for a wrong label."""
        self.file.seek(0)
        for start in range(0, self.records, _ROW_GROUP):
            data = self.file.read(min(_ROW_GROUP, self.records - start) * _RECORD)
            yield _records(data, self.origin, start)


@dataclass(frozen=True)
class Records:
    """Images, uint8 (n, 32, 32, 3), and labels, uint8 (n,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Archive:
    """What an archive holds: the five batches of its training split in order, and the one of its test
    split."""

    train: list[Batch]
    test: list[Batch]
    class_names: list[str]


def read_archive(path: Path | str, official: bool, folder: Path | str | None = None) -> Archive:
    """Read an archive in the layout of `cifar-10-binary.tar.gz`.

    Members are found by file name in any order, and others are ignored; their bytes go to files
    without a name in `folder` (the system's for temporary files if None), never to a path that the
    archive names. `official` demands 10,000 records a batch. Raises `InputError` that names archive,
    member and record.
    """
    path = Path(path)
    members = _read_members(path, folder)
    missing = [name for name in (*_BATCHES, _TEST_BATCH, _NAMES) if name not in members]
    if missing:
        raise InputError(
            f"{path}: no member {missing[0]}; give an archive in the layout of "
            "cifar-10-binary.tar.gz (the binary version, not the Python one)"
        )
    batches = [
        _batch(members[name], f"{path}: {name}", official) for name in (*_BATCHES, _TEST_BATCH)
    ]
    for _ in groups(batches):  # so that a wrong label is told before anything is written
        pass
    names = _class_names(_content(members[_NAMES]), f"{path}: {_NAMES}")
    return Archive(batches[:-1], batches[-1:], names)


def groups(batches: list[Batch]) -> Iterator[Records]:
    """All records of the batches in order, a row group at a time or fewer at the end of a batch."""
    for batch in batches:
        yield from batch.groups()


def write_parquet(
    path: Path | str,
    split: str,
    groups: Iterable[Records],
    class_names: list[str],
    workers: int = 1,
) -> None:
    """Write a split as Parquet that `datasets` opens with an Image and a ClassLabel feature.

    Columns: `img`, struct of PNG `bytes` and `path`; `label`, int64; `sample_id`, int64, the row's
    number within the split. Groups of rows are encoded by `workers` processes, a few at a time.
    """
    schema = _schema(class_names)
    # Without max_nbytes joblib keeps a copy of each group in a file until all are done.
    parts = Parallel(workers, return_as="generator", max_nbytes=None)(
        delayed(_row_group)(split, records, start, schema) for start, records in _numbered(groups)
    )
    with written_atomically(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for part in parts:
            writer.write_batch(part)


def useful_workers(images: int, workers: int) -> int:
    """How many of so many processes are worth their start for so many images."""
    return max(1, min(workers, images // _IMAGES_A_WORKER))


def encode_png(image: np.ndarray) -> bytes:
    """An image, uint8 (height, width, 3), as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """The image in a PNG file, uint8 (height, width, 3)."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def _numbered(groups: Iterable[Records]) -> Iterator[tuple[int, Records]]:
    """Each group with the number of its first row."""
    start = 0
    for records in groups:
        yield start, records
        start += len(records.labels)


def _read_members(path: Path, folder: Path | str | None) -> dict[str, IO[bytes]]:
    """The archive's members that matter, by file name, each in a file of no name in `folder`."""
    try:
        # gzip's own reader, not tarfile's: it alone checks the stream's length and CRC at the end.
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            members = dict(_wanted(archive, folder))
            while stream.read(_BLOCK):
                pass
        return members
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{path}: not a whole gzipped tar archive ({error}); fetch it again"
        ) from None
    except OSError as error:
        advice = "make room" if error.errno == errno.ENOSPC else "correct the path of the archive"
        raise InputError(f"{path}: {error.strerror}; {advice}") from None


def _wanted(archive: tarfile.TarFile, folder: Path | str | None) -> Iterator[tuple[str, IO[bytes]]]:
    for member in archive:
        name = PurePosixPath(member.name).name
        if member.isfile() and name in (*_BATCHES, _TEST_BATCH, _NAMES):
            copy = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, it lives as long as its records
            shutil.copyfileobj(archive.extractfile(member), copy, _BLOCK)
            yield name, copy


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _batch(file: IO[bytes], origin: str, official: bool) -> Batch:
    """A batch whose size was checked; `origin` names it in messages."""
    size = file.seek(0, io.SEEK_END)
    count, rest = divmod(size, _RECORD)
    if rest or count == 0:
        raise InputError(
            f"{origin}: {size} bytes, not a multiple of the {_RECORD} bytes of a record; "
            "the archive is damaged or another one: fetch it again"
        )
    if official and count != _OFFICIAL_RECORDS:
        raise InputError(
            f"{origin}: {count} records, expected {_OFFICIAL_RECORDS}; "
            "this is not the whole CIFAR-10: fetch the archive again"
        )
    return Batch(file, count, origin)


def _records(data: bytes, origin: str, first: int) -> Records:
    """The records in a part of a batch's bytes, which begins with record number `first`."""
    table = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    labels = table[:, 0].copy()
    wrong = np.flatnonzero(labels >= _CLASSES)
    if len(wrong):
        raise InputError(
            f"{origin}: record {first + wrong[0]} has label {labels[wrong[0]]}, expected 0 to 9; "
            "the archive is damaged or another one: fetch it again"
        )
    planes = table[:, 1:].reshape(-1, 3, 32, 32)
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
    rows = range(start, start + len(records.labels))
    images = [
        {"bytes": encode_png(image), "path": f"{split}-{row:05}.png"}
        for row, image in zip(rows, records.images, strict=True)
    ]
    columns = {"img": images, "label": records.labels.astype(np.int64), "sample_id": rows}
    return pa.RecordBatch.from_pydict(columns, schema=schema)
