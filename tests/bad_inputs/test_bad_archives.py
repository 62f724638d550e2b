"""Archives: each way to be none, cut short anywhere, or hostile, and the line that it gets."""

import gzip
import tarfile
import zlib
from pathlib import Path

import pytest
from archives import CLASSES, MEMBERS, ONE_OF_EACH, entry, tar
from bad_inputs import boundaries
from support import options
from twinbench.data.archive import read_archive
from twinbench.data.splits import load

MEMORY = 2000 << 20  # of the rule
OUTPUTS = [f"{name}.safetensors" for name in ("train", "validation", "test")]
SETTINGS = ["limit=null", "validation_fraction=0.2", "seed=0"]
ANEW = (
    "delete the archive and start again: it is made or fetched anew; if it is the same then, "
    "correct dataset.archive or dataset.url, and dataset.sha256"
)
LAYOUT = (
    "give one in the layout of cifar-10-binary.tar.gz (the binary version, not the Python one) as "
    "dataset.archive or dataset.url, with its dataset.sha256"
)


def packed(members=None, *entries: tarfile.TarInfo) -> bytes:
    """A whole archive, but with these members, and with entries without data."""
    return gzip.compress(tar(MEMBERS | (members or {}), *entries), mtime=0)


def instead(kind: bytes, **fields) -> bytes:
    """An archive with another kind of entry in place of a batch."""
    return packed({"data_batch_2.bin": None}, entry("data_batch_2.bin", kind, **fields))


def sparse() -> bytes:
    """A member that claims a record of zeros without holding a byte."""
    headers = {"GNU.sparse.map": "3073,0", "GNU.sparse.size": "3073"}
    return instead(tarfile.REGTYPE, pax_headers=headers)


def claiming(size: int) -> bytes:
    """A last member whose header claims so many bytes."""
    return gzip.compress(
        tar(MEMBERS)[:-10240] + entry("test_batch.bin", size=size).tobuf(), mtime=0
    )


def other_pixel() -> bytes:
    """One bit of a pixel is another; the checksum at the end is as it was."""
    content = bytearray(tar(MEMBERS))
    content[2000] ^= 1
    return gzip.compress(content, mtime=0)[:-8] + packed()[-8:]


def write_bomb(path: Path) -> None:
    """Megabytes that unpack to gigabytes."""
    compressor = zlib.compressobj(9, wbits=31)
    first, again = (
        compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    path.write_bytes(first + again * 5000)


NO_BATCH_2 = f"{{file}}: no member data_batch_2.bin; {LAYOUT}"
NO_IMAGES = f"are no images of 32x32 pixels, 3073 bytes each; {LAYOUT}"
NOT_WHOLE = f"{{file}}: not a whole gzipped tar archive (...); {ANEW}"
# name: what the archive is instead, and what is said of it
REFUSED = {
    "empty": (b"", NOT_WHOLE),
    "a page": (b"<html>not found</html>", NOT_WHOLE),
    "not compressed": (tar(MEMBERS), NOT_WHOLE),
    "no tar within": (gzip.compress(b"no tar" * 500), NOT_WHOLE),
    "an empty tar": (gzip.compress(bytes(10240)), "{file}: no member data_batch_1.bin; " + LAYOUT),
    "another pixel": (other_pixel(), NOT_WHOLE),
    "rubbish behind": (packed() + b"rubbish", NOT_WHOLE),
    "without a batch": (packed({"data_batch_2.bin": None}), NO_BATCH_2),
    "the Python version": (
        packed(dict.fromkeys(MEMBERS), entry("cifar-10-batches-py/data_batch_1")),
        f"{{file}}: no member data_batch_1.bin; {LAYOUT}",
    ),
    "without class names": (
        packed({"batches.meta.txt": None}),
        f"{{file}}: no member batches.meta.txt; {LAYOUT}",
    ),
    "an empty batch": (
        packed({"data_batch_2.bin": b""}),
        f"{{file}}: data_batch_2.bin: 0 bytes {NO_IMAGES}",
    ),
    "a batch with half a record": (
        packed({"test_batch.bin": ONE_OF_EACH[:-1536]}),
        f"{{file}}: test_batch.bin: 29194 bytes {NO_IMAGES}",
    ),
    "another label": (
        packed({"data_batch_4.bin": bytes([9, *bytes(3072), 10, *bytes(3072)])}),
        f"{{file}}: data_batch_4.bin: record 1 has label 10, expected 0 to 9; {LAYOUT}",
    ),
    "nine class names": (
        packed({"batches.meta.txt": "\n".join(CLASSES[:9]).encode()}),
        f"{{file}}: batches.meta.txt: 9 class names (9 different), expected 10; {LAYOUT}",
    ),
    "eleven class names": (
        packed({"batches.meta.txt": "\n".join([*CLASSES, "more"]).encode()}),
        f"{{file}}: batches.meta.txt: 11 class names (11 different), expected 10; {LAYOUT}",
    ),
    "a class name twice": (
        packed({"batches.meta.txt": "\n".join([*CLASSES[:9], "class 0"]).encode()}),
        f"{{file}}: batches.meta.txt: 10 class names (9 different), expected 10; {LAYOUT}",
    ),
    "a class without an image": (
        packed({"test_batch.bin": ONE_OF_EACH[3073:]}),
        "the test split has no image of the class 'class 0' with limit None and validation_fraction "
        "0.2; raise the limit or change the fraction; images of your own need some of each class in the "
        "archive's training and test files",
    ),
    "a symbolic link": (instead(tarfile.SYMTYPE, linkname="/etc/passwd"), NO_BATCH_2),
    "a link to another batch": (
        instead(tarfile.SYMTYPE, linkname="cifar-10-batches-bin/data_batch_1.bin"),
        NO_BATCH_2,
    ),
    "a hard link": (instead(tarfile.LNKTYPE, linkname="/etc/passwd"), NO_BATCH_2),
    "a character device": (instead(tarfile.CHRTYPE, devmajor=1, devminor=5), NO_BATCH_2),
    "a block device": (instead(tarfile.BLKTYPE, devmajor=8), NO_BATCH_2),
    "a pipe": (instead(tarfile.FIFOTYPE), NO_BATCH_2),
    "a folder": (instead(tarfile.DIRTYPE), NO_BATCH_2),
    "a sparse member": (sparse(), NO_BATCH_2),
    "a member of a terabyte": (claiming(1 << 40), NOT_WHOLE),
    "a member of negative size": (claiming(-1 << 40), NOT_WHOLE),
}


def arguments(archive: Path | str) -> list[str]:
    paths = {"archive": archive} | {name.partition(".")[0]: name for name in OUTPUTS}
    return [*SETTINGS, *options(paths)]


def build(refuse, expected: str, **options) -> None:
    line = expected.format(file="archive.tar.gz")
    refuse(line, "build_tensors.py", *arguments("archive.tar.gz"), outputs=OUTPUTS, **options)


@pytest.mark.parametrize("name", REFUSED)
def test_another_archive_is_refused(refuse, folder, name):
    content, expected = REFUSED[name]
    (folder / "archive.tar.gz").write_bytes(content)
    build(refuse, expected)


def test_an_archive_that_ends_within_gzip_is_refused(refuse_each):
    starts = boundaries.cut(packed(), boundaries.of_gzip)
    refuse_each(starts, read_archive, "archive.tar.gz", NOT_WHOLE)


def test_an_archive_that_ends_within_tar_is_refused(refuse_each):
    starts = boundaries.cut(tar(MEMBERS), boundaries.of_tar)
    # To tarfile an archive ends where a header is short, but for the first one.
    ended = {name for name, start in starts.items() if "header of" in name and len(start) > 512}
    for names, expected in (
        (ended, f"{{file}}: no member ...; {LAYOUT}"),
        (starts.keys() - ended, NOT_WHOLE),
    ):
        chosen = {name: gzip.compress(starts[name]) for name in names}
        refuse_each(chosen, read_archive, "archive.tar.gz", expected)


def test_a_missing_archive_is_named(refuse):
    build(refuse, f"{{file}}: No such file or directory; {ANEW}")


def test_a_folder_in_place_of_the_archive_is_named(refuse, folder):
    (folder / "archive.tar.gz").mkdir()
    build(refuse, f"{{file}}: Is a directory; {ANEW}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("missing.tar.gz", "missing.tar.gz: no such file; correct dataset.archive"),
        ("temporary", "temporary: no such file; correct dataset.archive"),
        ("/dev/zero", "/dev/zero: no such file; correct dataset.archive"),
        (
            "own.tar.gz",
            f"own.tar.gz: sha256 is ..., expected {'0' * 64}; the file is damaged or another one: give "
            "the right one, or correct the checksum",
        ),
    ],
)
def test_another_local_archive_is_not_imported(refuse, folder, path, expected):
    (folder / "own.tar.gz").write_bytes(packed())
    words = ["--archive", path, "--sha256", "0" * 64, "--output", "archive.tar.gz"]
    refuse(expected, "import_archive.py", *words, outputs=["archive.tar.gz"])


def test_a_bomb_is_refused_within_the_memory_of_its_rule(refuse_within_limits, folder):
    write_bomb(folder / "archive.tar.gz")
    build(refuse_within_limits, f"{{file}}: unpacks to more than 1024 MiB; {LAYOUT}", memory=MEMORY)


def test_paths_that_lead_elsewhere_lead_nowhere(run_script, folder):
    """Members are found by their names alone, and nothing is unpacked to the disk."""
    path = folder / "below" / "archive.tar.gz"
    path.parent.mkdir()
    members = {f"../../{folder.name}/x/{name}": data for name, data in MEMBERS.items()}
    path.write_bytes(packed(dict.fromkeys(MEMBERS) | members))
    assert run_script("build_tensors.py", arguments(path)) == 0
    assert len(load(folder / "train.safetensors")) == 40
    made = {each.name for each in folder.rglob("*")}
    assert made == {"below", "temporary", path.name, *OUTPUTS}
