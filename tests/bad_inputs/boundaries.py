"""Where a file of each format can end short: at each of its structures, and within each."""

import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from itertools import pairwise

import h5py
import pyarrow.parquet as pq

Boundaries = dict[str, int]


def cut(content: bytes, boundaries: Callable[[bytes], Boundaries]) -> dict[str, bytes]:
    """The content up to each boundary that a function of this module finds."""
    return {name: content[:position] for name, position in boundaries(content).items()}


def _with_middles(boundaries: Boundaries, size: int) -> Boundaries:
    """The boundaries, and the middle of what lies between each two."""
    found = dict(boundaries)
    ends = [*boundaries.items(), ("end", size)]
    for (name, start), (_, end) in pairwise(sorted(ends, key=lambda item: item[1])):
        if end - start > 1:
            found[f"within {name}"] = (start + end) // 2
    return {name: position for name, position in found.items() if position < size}


def of_gzip(content: bytes) -> Boundaries:
    """Of one member without a name: RFC 1952."""
    size = len(content)
    names = {"magic": 0, "method": 2, "flags": 3, "time": 4, "level": 8, "system": 9, "data": 10}
    return _with_middles(names | {"checksum": size - 8, "length": size - 4}, size)


def of_tar(content: bytes) -> Boundaries:
    """Up to the end of the last member's data; zeros may follow."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = archive.getmembers()
    found = {}
    for member in members:
        found[f"header of {member.name}"] = member.offset
        found[f"data of {member.name}"] = member.offset_data
    return _with_middles(found, members[-1].offset_data + members[-1].size)


def of_safetensors(content: bytes) -> Boundaries:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    found = {"header length": 0, "header": 8}
    for name, facts in header.items():
        if name != "__metadata__" and len(set(facts["data_offsets"])) > 1:
            found[f"tensor {name}"] = 8 + length + facts["data_offsets"][0]
    return _with_middles(found, len(content))


def of_parquet(content: bytes) -> Boundaries:
    size = len(content)
    length = int.from_bytes(content[-8:-4], "little")
    found = {"magic": 0, "footer": size - 8 - length, "footer length": size - 8, "end": size - 4}
    groups = pq.ParquetFile(io.BytesIO(content)).metadata.to_dict()["row_groups"]
    for group in groups:
        for column in group["columns"]:
            for page in ("dictionary_page", "data_page"):
                if offset := column[f"{page}_offset"]:
                    found[f"{page} of {column['path_in_schema']}"] = offset
    return _with_middles(found, size)


def of_zip(content: bytes) -> Boundaries:
    found = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset
            lengths = (
                int.from_bytes(content[start + at : start + at + 2], "little") for at in (26, 28)
            )
            found[f"header of {entry.filename}"] = start
            found[f"data of {entry.filename}"] = start + 30 + sum(lengths)
        directory = archive.start_dir
    for number, entry in enumerate(re.finditer(b"PK\x01\x02", content[directory:])):
        found[f"directory entry {number}"] = directory + entry.start()
    found["end of directory"] = content.rindex(b"PK\5\6")
    return _with_middles(found, len(content))


def of_hdf5(content: bytes) -> Boundaries:
    """The superblock's fields, each object's header and each array."""
    found = {"signature": 0, "versions": 8, "sizes": 13, "addresses": 24}
    with h5py.File(io.BytesIO(content)) as file:

        def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
            found[f"header of {name}"] = h5py.h5o.get_info(item.id).addr
            if isinstance(item, h5py.Dataset):
                found[f"data of {name}"] = item.id.get_offset()

        file.visititems(visit)
    return _with_middles(found, len(content))


def of_csv(content: bytes) -> Boundaries:
    """Each row, and each cell within."""
    ends = [found.end() for found in re.finditer(rb",|\r?\n", content)]
    return _with_middles(
        {f"cell {number}": at for number, at in enumerate([0, *ends])}, len(content)
    )


def of_json(content: bytes) -> Boundaries:
    marks = [found.start() for found in re.finditer(rb"[{}\[\],:]", content)]
    return _with_middles(
        {f"mark {number}": at for number, at in enumerate(marks)}, len(content) - 1
    )
