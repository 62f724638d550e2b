"""Which files a script runs on, found without running it."""

import pytest
from support import SCRIPTS
from twinbench.sources import checksums, imported_files

FILES = {
    "script.py": "import package.used\nraise SystemExit('this was run')\n",
    "package/__init__.py": "",
    "package/used.py": "import numpy\ndef function():\n    from package import inside\n",
    "package/inside.py": "",
    "package/by_name.py": "from package import further\n",
    "package/further.py": "",
    "package/unused.py": "",
}
IMPORTED = {"script.py", "package/__init__.py", "package/used.py", "package/inside.py"}


@pytest.fixture
def script(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "script.py"


def test_imports_are_followed_into_functions_but_not_into_libraries(script):
    assert checksums(script).keys() == IMPORTED


def test_modules_that_are_imported_by_name_are_given(script):
    found = checksums(script, "package.by_name")
    assert found.keys() == IMPORTED | {"package/by_name.py", "package/further.py"}


def test_a_training_depends_on_its_own_backend_alone():
    script = SCRIPTS / "train.py"
    files = imported_files(script, "twinbench.backends.pytorch.backend")
    names = {str(path.relative_to(SCRIPTS / "twinbench")) for path in files if path != script}
    assert names >= {"recipe/epoch_plan.py", "backends/pytorch/network.py", "training/loop.py"}
    assert not any(name.startswith(("backends/tensorflow", "parity", "report")) for name in names)
