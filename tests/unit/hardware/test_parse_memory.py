"""Memory and cgroup limits from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.hardware.parse_memory import (
    Mount,
    has_overlay_root,
    levels,
    memory_controller,
    memory_mount,
    parse_cpu_max,
    parse_limit,
    parse_membership,
    parse_meminfo,
    parse_mounts,
    quota,
)

V2 = Mount(2, frozenset(), "/", "/sys/fs/cgroup")
V1 = Mount(1, frozenset({"memory"}), "/docker/abc", "/sys/fs/cgroup/memory")


def test_total_memory_is_bytes():
    assert parse_meminfo("MemTotal:        7999692 kB\nMemFree: 1 kB\n") == 7999692 * 1024


@pytest.mark.parametrize(
    "text", [None, "", "MemTotal:", "MemTotal: x kB", "MemTotal: 0 kB", "MemTotal: " + "9" * 30]
)
def test_a_total_that_is_none_is_unknown(text):
    assert parse_meminfo(text) is None


def test_both_versions_of_cgroup_mounts_are_found():
    mounts = parse_mounts(
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "35 31 0:32 /docker/a\\040b /sys/fs/cgroup/memory rw master:18 - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
        "354 347 0:28 /x/docker-6.scope /sys/fs/cgroup/cpuacct,cpu ro - cgroup cgroup rw,cpuacct,cpu\n"
    )
    assert [mount.version for mount in mounts] == [1, 2, 1]
    assert mounts[0].root == "/docker/a b"
    assert "cpu" in mounts[2].controllers


def test_membership_is_by_controller_and_the_new_one_under_the_empty_name():
    assert parse_membership("4:memory:/a\n3:cpu,cpuacct:/b\n0::/c:d\n1:name=systemd:/e\nx") == {
        "memory": "/a", "cpu": "/b", "cpuacct": "/b", "": "/c:d", "name=systemd": "/e",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mount", "path", "found"),
    [
        (V2, "/", ("/sys/fs/cgroup",)),
        (V2, "/a/b", ("/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup")),
        (V2, "/../../x", ("/sys/fs/cgroup",)),
        (V1, "/docker/abc", ("/sys/fs/cgroup/memory",)),
        (V1, "/docker/abc/inner", ("/sys/fs/cgroup/memory/inner", "/sys/fs/cgroup/memory")),
        (V1, "/docker/abcdef", ("/sys/fs/cgroup/memory",)),
        (V1, "/elsewhere", ("/sys/fs/cgroup/memory",)),
    ],
)
def test_limits_are_looked_for_from_the_inside_out(mount, path, found):
    assert levels(mount, path) == found


def test_a_hierarchy_of_the_old_version_goes_first():
    assert memory_mount((V2, V1)) is V1
    assert memory_mount((V2,)) is V2
    assert memory_mount(()) is None


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("536870912", 536870912), ("max", None), ("9223372036854771712", None), ("0", None), ("-1", None),
        (None, None), ("", None), ("1" * 40, None),
    ],
)  # fmt: skip
def test_a_memory_limit_is_read(text, limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("150000 100000", 1.5),
        ("max 100000", None),
        ("100000", None),
        ("0 100000", None),
        ("1 0", None),
        (None, None),
    ],
)
def test_a_quota_of_the_new_version_is_read(text, cores):
    assert parse_cpu_max(text) == cores


def test_a_quota_of_the_old_version_is_read():
    assert quota("50000", "100000") == 0.5
    assert quota("-1", "100000") is None
    assert quota(None, "100000") is None


@pytest.mark.parametrize(
    ("mounts", "controllers", "cgroups", "found"),
    [
        ((V1, V2), None, None, "v1"),
        ((V2,), "cpuset cpu io memory pids", None, "v2"),
        ((V2,), "cpuset cpu io pids", "memory 0 39 0", "off"),
        ((), None, "#subsys_name", "off"),
        ((), None, None, None),
    ],
)
def test_what_can_limit_memory_is_told(mounts, controllers, cgroups, found):
    assert memory_controller(mounts, controllers, cgroups) == found


def test_an_overlay_root_is_a_containers():
    assert has_overlay_root("588 420 0:51 / / rw,relatime master:168 - overlay overlay rw\n")
    assert not has_overlay_root(
        "588 420 0:51 / /merged rw - overlay overlay rw\n24 1 8:1 / / rw - ext4 x rw\n"
    )
    assert not has_overlay_root(None)


@given(st.text() | st.from_regex(r"([0-9:/ a-z,-]{0,40}\n){0,4}"))
def test_no_text_makes_reading_fail(text):
    parse_meminfo(text)
    parse_limit(text)
    parse_cpu_max(text)
    has_overlay_root(text)
    paths = parse_membership(text)
    for mount in parse_mounts(text):
        for path in paths.values():
            levels(mount, path)
