"""Reading an archive; what is refused stands in tests/bad_inputs."""

import gzip

import numpy as np
from archives import CLASSES, MEMBERS, tar
from twinbench.data.archive import read_archive


def test_images_have_channels_last_and_follow_the_batch_numbers(tmp_path):
    path, pixels = tmp_path / "archive.tar.gz", np.arange(3072).astype(np.uint8)
    batches = {f"data_batch_{i}.bin": bytes([i, *[7] * 3072]) * 2 for i in range(1, 6)}
    batches["test_batch.bin"] = bytes([4, *pixels])
    members = MEMBERS | batches | {"readme.html": b"<html>"}
    path.write_bytes(gzip.compress(tar(dict(reversed(members.items())))))
    found = read_archive(path)
    assert found.train.labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert found.train.sample_ids.tolist() == list(range(10))
    assert (found.test.labels.dtype, found.test.labels.tolist()) == (np.int64, [4])
    assert found.test.images.dtype == np.uint8
    assert np.array_equal(found.test.images, [pixels.reshape(3, 32, 32).transpose(1, 2, 0)])
    assert found.class_names == CLASSES
