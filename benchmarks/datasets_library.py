"""Archive to Parquet and tensors with the `datasets` library, as its users do it: a yardstick.

python benchmarks/datasets_library.py cifar-10-binary.tar.gz folder
"""

import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image
from safetensors.numpy import save_file

CLASSES = [str(number) for number in range(10)]
RECORD = 1 + 3 * 32 * 32


def records(archive: str, names: list[str]) -> Iterator[dict]:
    with tarfile.open(archive) as file:
        for member in file:
            if Path(member.name).name not in names:
                continue
            content = np.frombuffer(file.extractfile(member).read(), np.uint8).reshape(-1, RECORD)
            for record in content:
                pixels = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
                yield {"img": pixels, "label": int(record[0])}


def main(archive: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    features = Features({"img": Image(), "label": ClassLabel(names=CLASSES)})
    splits = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
    for split, names in splits.items():
        made = Dataset.from_generator(
            records,
            features=features,
            gen_kwargs={"archive": archive, "names": names},
            cache_dir=str(folder / "cache"),
        )
        made.to_parquet(folder / f"{split}.parquet")
    train = Dataset.from_parquet(str(folder / "train.parquet"), cache_dir=str(folder / "cache"))
    test = Dataset.from_parquet(str(folder / "test.parquet"), cache_dir=str(folder / "cache"))
    parts = train.train_test_split(0.1, stratify_by_column="label", seed=0)
    for name, part in (("train", parts["train"]), ("validation", parts["test"]), ("test", test)):
        columns = part.with_format("numpy")
        images = np.stack(columns["img"])
        if name == "train":
            print((images / 255).mean((0, 1, 2)), (images / 255).std((0, 1, 2)))
        save_file(
            {"images": images, "labels": np.asarray(columns["label"])},
            folder / f"{name}.safetensors",
        )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
