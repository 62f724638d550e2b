"""Reading an archive; what is refused stands in tests/bad_inputs."""

import io
import tarfile

import numpy as np
from twinbench.data.archive import read_archive

CLASSES = [f"class {i}" for i in range(10)]


def batch(count, label=0):
    return bytes([label, *[7] * 3072]) * count


MEMBERS = {f"data_batch_{i}.bin": batch(2, i) for i in range(1, 6)} | {
    "test_batch.bin": batch(3, 9),
    "batches.meta.txt": "\n".join([*CLASSES, "", ""]).encode(),
}


def test_images_have_channels_last_and_follow_the_batch_numbers(tmp_path):
    path, pixels = tmp_path / "archive.tar.gz", np.arange(3072).astype(np.uint8)
    members = MEMBERS | {"test_batch.bin": bytes([4, *pixels]), "readme.html": b"<html>"}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in reversed(members.items()):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    found = read_archive(path)
    assert found.train.labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert found.train.sample_ids.tolist() == list(range(10))
    assert (found.test.labels.dtype, found.test.labels.tolist()) == (np.int64, [4])
    assert found.test.images.dtype == np.uint8
    assert np.array_equal(found.test.images, [pixels.reshape(3, 32, 32).transpose(1, 2, 0)])
    assert found.class_names == CLASSES
