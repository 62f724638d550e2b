"""CIFAR-10's binary archive, read into memory."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from twinbench.errors import InputError
from twinbench.texts import translatable

BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_BATCH = "test_batch.bin"
CLASS_NAMES = "batches.meta.txt"

_MEMBERS = (*BATCHES, TEST_BATCH, CLASS_NAMES)
_CLASSES = 10
# The classes of CIFAR-10, as its archive names them.
CIFAR10_CLASSES = (
    translatable("airplane"),
    translatable("automobile"),
    translatable("bird"),
    translatable("cat"),
    translatable("deer"),
    translatable("dog"),
    translatable("frog"),
    translatable("horse"),
    translatable("ship"),
    translatable("truck"),
)
_RECORD = 1 + 3 * 32 * 32  # bytes: the label, then the red, green and blue planes
_LARGEST = 1 << 30  # bytes, unpacked; CIFAR-10 has 184 million
# To fetch the same bytes again helps only where the disk has damaged them.
_ANEW = (
    "delete the archive and start again: it is made or fetched anew; if it is the same then, "
    "correct dataset.archive or dataset.url, and dataset.sha256"
)
_LAYOUT = (
    "give one in the layout of cifar-10-binary.tar.gz (the binary version, not the Python one) as "
    "dataset.archive or dataset.url, with its dataset.sha256"
)


@dataclass(frozen=True)
class Samples:
    """Images, uint8 (n, 32, 32, 3); labels, int64 (n,); sample ids, int64 (n,).

    A sample id is the image's row among all training or all test images of the archive.
    """

    images: np.ndarray
    labels: np.ndarray
    sample_ids: np.ndarray

    def take(self, rows: np.ndarray) -> "Samples":
        """A copy of the given rows, int64 (any,), in their order."""
        return Samples(self.images[rows], self.labels[rows], self.sample_ids[rows])


@dataclass(frozen=True)
class Archive:
    """What an archive holds; the training images are those of its five batches in order."""

    train: Samples
    test: Samples
    class_names: list[str]


def read_archive(path: Path | str) -> Archive:
    """Read an archive in the layout of `cifar-10-binary.tar.gz`.

    Members are found by file name in any order; links, devices and other members are ignored, and
    nothing is extracted to disk. Raises `InputError` that names archive, member and record.
    """
    members = _read_members(Path(path))
    for name in _MEMBERS:
        if name not in members:
            raise InputError(f"{path}: no member {name}; {_LAYOUT}")
    batches = {name: _records(members[name], f"{path}: {name}") for name in (*BATCHES, TEST_BATCH)}
    return Archive(
        train=_samples(np.concatenate([batches[name] for name in BATCHES])),
        test=_samples(batches[TEST_BATCH]),
        class_names=_class_names(members[CLASS_NAMES], f"{path}: {CLASS_NAMES}"),
    )


def _read_members(path: Path) -> dict[str, bytes]:
    """The bytes of the members that matter, by file name."""
    try:
        # Read to the end before tarfile looks at it: gzip checks length and CRC only there, and a small
        # file cannot unpack to more than the limit, whatever its members claim.
        with gzip.open(path) as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise InputError(f"{path}: unpacks to more than {_LARGEST >> 20} MiB; {_LAYOUT}")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            return dict(_wanted_members(archive))
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: not a whole gzipped tar archive ({error}); {_ANEW}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {_ANEW}") from None


def _wanted_members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        name = PurePosixPath(member.name).name
        # A sparse member's few bytes can stand for any number of zeros.
        if name not in _MEMBERS or not member.isreg() or member.issparse():
            continue
        file = archive.extractfile(member)
        assert file is not None  # as for every regular member
        yield name, file.read()


def _records(data: bytes, origin: str) -> np.ndarray:
    """A batch's records, uint8 (n, _RECORD), checked; `origin` names the batch in messages."""
    count, rest = divmod(len(data), _RECORD)
    if rest or count == 0:
        raise InputError(
            f"{origin}: {len(data)} bytes are no images of 32x32 pixels, {_RECORD} bytes each; {_LAYOUT}"
        )
    records = np.frombuffer(data, np.uint8).reshape(count, _RECORD)
    wrong = np.flatnonzero(records[:, 0] >= _CLASSES)
    if len(wrong):
        raise InputError(
            f"{origin}: record {wrong[0]} has label {records[wrong[0], 0]}, expected 0 to 9; {_LAYOUT}"
        )
    return records


def _samples(records: np.ndarray) -> Samples:
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return Samples(
        images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        labels=records[:, 0].astype(np.int64),
        sample_ids=np.arange(len(records)),
    )


def _class_names(data: bytes, origin: str) -> list[str]:
    names = data.decode("utf-8", errors="replace").split("\n")
    names = [name.strip() for name in names if name.strip()]
    if len(set(names)) != _CLASSES or len(names) != _CLASSES:
        raise InputError(
            f"{origin}: {len(names)} class names ({len(set(names))} different), expected {_CLASSES}; "
            f"{_LAYOUT}"
        )
    return names
