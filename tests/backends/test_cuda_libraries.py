"""What TensorFlow needs to find a GPU beside its own search path."""

import ctypes
import importlib
import sysconfig

import twinbench.backends.tensorflow


def test_the_library_that_tensorflow_does_not_find_is_loaded_where_it_is_installed(
    tmp_path, monkeypatch
):
    library = tmp_path / "nvidia/cusolver/lib/libcusolver.so.11"
    library.parent.mkdir(parents=True)
    library.touch()
    loaded = []
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(ctypes, "CDLL", loaded.append)
    importlib.reload(twinbench.backends.tensorflow)
    assert loaded == [str(library)]
    library.unlink()
    importlib.reload(twinbench.backends.tensorflow)
    assert loaded == [str(library)]
