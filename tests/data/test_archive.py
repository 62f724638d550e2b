"""Reading an archive: what it takes, and what it refuses in one line."""

import gzip
import io
import tarfile

import numpy as np
import pytest
from twinbench.data import archive
from twinbench.data.archive import read_archive
from twinbench.errors import InputError

CLASSES = [f"class {i}" for i in range(10)]
BROKEN = "not a whole gzipped tar archive"


def batch(count, label=0):
    return bytes([label, *[7] * 3072]) * count


MEMBERS = {f"data_batch_{i}.bin": batch(2, i) for i in range(1, 6)} | {
    "test_batch.bin": batch(3, 9),
    "batches.meta.txt": "\n".join([*CLASSES, "", ""]).encode(),
}


@pytest.fixture
def pack(tmp_path):
    """Write members in their order, None leaves one out, and return the archive's path."""

    def write(members, *empty):
        path = tmp_path / "archive.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, data in members.items():
                if data is not None:
                    entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
            for entry in empty:
                archive.addfile(entry)
        return path

    return write


def refusal(path, official=False):
    with pytest.raises(InputError) as caught:
        read_archive(path, official)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_images_have_channels_last_and_follow_the_batch_numbers(pack):
    pixels = np.arange(3072).astype(np.uint8)
    members = MEMBERS | {"test_batch.bin": bytes([4, *pixels]), "readme.html": b"<html>"}
    found = read_archive(pack(dict(reversed(members.items()))), official=False)
    assert found.train.labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert found.train.sample_ids.tolist() == list(range(10))
    assert (found.test.labels.dtype, found.test.labels.tolist()) == (np.int64, [4])
    assert found.test.images.dtype == np.uint8
    assert np.array_equal(found.test.images, [pixels.reshape(3, 32, 32).transpose(1, 2, 0)])
    assert found.class_names == CLASSES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_3.bin", None, "no member data_batch_3.bin"),
        ("batches.meta.txt", None, "no member batches.meta.txt"),
        ("data_batch_2.bin", b"", "data_batch_2.bin: 0 bytes"),
        ("test_batch.bin", bytes(3074), "test_batch.bin: 3074 bytes"),
        ("data_batch_4.bin", batch(1, 9) + batch(1, 10), "data_batch_4.bin: record 1 has label 10"),
        ("batches.meta.txt", "\n".join(CLASSES[:9]).encode(), "9 class names"),
        ("batches.meta.txt", "\n".join([*CLASSES, "class 0"]).encode(), "11 class names"),
        ("batches.meta.txt", "\n".join([*CLASSES[:9], "class 0"]).encode(), "(9 different)"),
    ],
)
def test_a_missing_or_damaged_member_is_named(pack, name, content, message):
    assert message in refusal(pack(MEMBERS | {name: content}))


def test_an_official_batch_has_ten_thousand_records(pack):
    assert "data_batch_1.bin: 2 records, expected 10000" in refusal(pack(MEMBERS), official=True)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, "sparse"])
def test_links_devices_and_sparse_files_are_ignored(pack, kind):
    entry = tarfile.TarInfo("data_batch_2.bin")
    if kind == "sparse":  # claims a record of zeros without holding a byte
        entry.pax_headers = {"GNU.sparse.map": "3073,0", "GNU.sparse.size": "3073"}
    else:
        entry.type, entry.linkname = kind, "cifar-10-batches-bin/data_batch_1.bin"
    path = pack(MEMBERS | {"data_batch_2.bin": None}, entry)
    assert "no member data_batch_2.bin" in refusal(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(pack, monkeypatch):
    path = pack(MEMBERS | {"readme.html": bytes(3 << 20)})
    monkeypatch.setattr(archive, "_LARGEST", 3 << 20)
    assert "unpacks to more than 3 MiB" in refusal(path)


@pytest.mark.parametrize("kept", [0, 10, 100, -8])
def test_a_truncated_archive_is_refused(pack, kept):
    path = pack(MEMBERS)
    path.write_bytes(path.read_bytes()[:kept])
    assert BROKEN in refusal(path)


def test_a_changed_pixel_is_noticed_by_the_checksum_at_the_end(pack):
    path = pack(MEMBERS)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[2000] ^= 1
    path.write_bytes(gzip.compress(content)[:-8] + path.read_bytes()[-8:])
    assert f"{BROKEN} (CRC check failed" in refusal(path)


def test_another_file_or_none_is_refused(tmp_path):
    path = tmp_path / "page.tar.gz"
    assert "No such file" in refusal(path)
    for content in (b"<html>not found</html>", gzip.compress(b"no tar" * 500)):
        path.write_bytes(content)
        assert BROKEN in refusal(path)
