"""Archives in the layout of cifar-10-binary.tar.gz, with a few images."""

import io
import tarfile
from collections.abc import Mapping

CLASSES = [f"class {i}" for i in range(10)]
ONE_OF_EACH = b"".join(bytes([label, *[7] * 3072]) for label in range(10))
MEMBERS = {f"data_batch_{i}.bin": ONE_OF_EACH for i in range(1, 6)} | {
    "test_batch.bin": ONE_OF_EACH,
    "batches.meta.txt": "\n".join([*CLASSES, "", ""]).encode(),
}


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for field, value in fields.items():
        setattr(found, field, value)
    return found


def tar(members: Mapping[str, bytes | None], *entries: tarfile.TarInfo) -> bytes:
    """A tar of members in their order, None leaves one out, and of entries without data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members.items():
            if data is not None:
                file.addfile(
                    entry(f"cifar-10-batches-bin/{name}", size=len(data)), io.BytesIO(data)
                )
        for each in entries:
            file.addfile(each)
    return buffer.getvalue()
