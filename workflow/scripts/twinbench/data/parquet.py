"""Images as Parquet in Hugging Face's image convention, for people and their tools."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from twinbench.data.archive import Samples
from twinbench.files import written_atomically

_ROW_GROUP = 1000  # rows


def write_parquet(path: Path, name: str, samples: Samples, class_names: list[str]) -> None:
    """Write the samples so that `datasets` finds images and class names.

    Columns: `img`, struct of PNG `bytes` and `path` (`<name>-<sample id>.png`); `label`, int64;
    `sample_id`, int64.
    """
    schema = _schema(class_names)
    files = [
        {"bytes": _encode_png(image), "path": f"{name}-{sample_id:05}.png"}
        for image, sample_id in zip(samples.images, samples.sample_ids, strict=True)
    ]
    columns = {"img": files, "label": samples.labels, "sample_id": samples.sample_ids}
    table = pa.Table.from_pydict(columns, schema=schema)
    with written_atomically(path) as temporary:
        pq.write_table(table, temporary, row_group_size=_ROW_GROUP)


def _encode_png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


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
