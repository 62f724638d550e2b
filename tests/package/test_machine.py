"""The memory of this machine: as the system says, or less in a control group."""

import os

import pytest
from twinbench.machine import memory_mb

ALL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6


def test_without_control_groups_it_is_the_machines(tmp_path):
    assert memory_mb(tmp_path) == ALL
    assert 0 < memory_mb() <= ALL


@pytest.mark.parametrize(
    ("group", "limit"),
    [
        ("0::/job", "sys/fs/cgroup/job/memory.max"),
        ("0::/job/step", "sys/fs/cgroup/job/memory.max"),
        ("0::/", "sys/fs/cgroup/memory.max"),
        ("4:memory:/job", "sys/fs/cgroup/memory/job/memory.limit_in_bytes"),
        # As in a container, which sees its own group as the root.
        ("4:memory:/docker/0123", "sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ],
)
def test_a_control_groups_limit_counts(tmp_path, group, limit):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"8:pids:/\n{group}\n")
    path = tmp_path / limit
    path.parent.mkdir(parents=True)
    for text, expected in (("12000000\n", 12), ("max\n", ALL), ("9223372036854771712\n", ALL)):
        path.write_text(text)
        assert memory_mb(tmp_path) == expected
