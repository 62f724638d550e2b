"""What the tests of the analysis share."""

import pytest
from fake_study import FOUR, FakeStudy


@pytest.fixture
def make_study(tmp_path):
    """A function that writes a study of fake runs and returns it."""

    def make(runs=FOUR, seeds=(0,), images=1000) -> FakeStudy:
        return FakeStudy(tmp_path / "study", runs, list(seeds), images)

    return make
