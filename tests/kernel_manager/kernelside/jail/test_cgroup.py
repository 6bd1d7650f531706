"""Groups: where they are found (pure), what is written (in a folder that looks like version 2), and real ones."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_manager.kernelside.jail import cgroup
from kernel_manager.kernelside.jail.cgroup import Place
from kernel_manager.kernelside.jail.errors import JailError
from kernel_manager.kernelside.jail.policy import Limits

HYBRID_MOUNTS = """\
25 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 25 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
"""


def test_version_1_places_are_found_by_controller() -> None:
    membership = "9:memory:/system/service\n5:cpu,cpuacct:/\n1:name=systemd:/user\n0::/user\n"
    assert cgroup.places(HYBRID_MOUNTS, membership) == {
        "": Place(2, "/sys/fs/cgroup/unified/user"),
        "/": Place(2, "/sys/fs/cgroup/unified"),
        "cpu": Place(1, "/sys/fs/cgroup/cpu,cpuacct"),
        "cpuacct": Place(1, "/sys/fs/cgroup/cpu,cpuacct"),
        "memory": Place(1, "/sys/fs/cgroup/memory/system/service"),
    }


def test_a_container_finds_its_own_part_of_the_tree() -> None:
    mounts = "33 30 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert cgroup.places(mounts, "9:memory:/docker/abc/inner\n") == {"memory": Place(1, "/sys/fs/cgroup/memory/inner")}
    assert cgroup.places(mounts, "9:memory:/docker/other\n") == {}


def test_version_2_alone() -> None:
    mounts = "31 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert cgroup.places(mounts, "0::/\n") == {"": Place(2, "/sys/fs/cgroup"), "/": Place(2, "/sys/fs/cgroup")}


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    """A folder with the files of a delegated version 2 group."""
    for name, text in {
        "cgroup.controllers": "cpuset cpu io memory pids",
        "cgroup.subtree_control": "cpu memory pids",
        "cgroup.procs": "",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_controllers_that_are_enabled_already_are_taken(unified: Path) -> None:
    assert cgroup.delegate(str(unified)) == ["memory", "pids", "cpu"]


def test_controllers_are_enabled_where_they_are_not(unified: Path) -> None:
    (unified / "cgroup.subtree_control").write_text("")
    assert cgroup.delegate(str(unified)) == []  # a real one would now list them
    assert (unified / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"


def test_a_group_that_others_manage_is_left_alone_and_one_at_the_top_is_made(unified: Path) -> None:
    own = unified / "session.scope"
    own.mkdir()
    made = unified / "threadbook"
    made.mkdir()
    for name in ("cgroup.controllers", "cgroup.subtree_control"):
        (made / name).write_text("cpu memory pids")
    delegated = os.geteuid() != 0  # a group of root's belongs to somebody else's manager
    if delegated:
        pytest.skip("here every group is this user's own")
    assert cgroup.unified(str(own), str(unified)) == (str(made), ["memory", "pids", "cpu"])
    assert not list(own.iterdir())


def test_a_delegated_group_is_used(unified: Path) -> None:
    own = unified / "threadbook.service"
    own.mkdir()
    for name, text in (("cgroup.controllers", "memory pids"), ("cgroup.subtree_control", "memory pids"), ("cgroup.procs", "")):
        (own / name).write_text(text)
    try:
        os.setxattr(own, "user.delegate", b"1")
    except OSError:
        pytest.skip("this file system has no attributes")
    assert cgroup.unified(str(own), str(unified)) == (str(own), ["memory", "pids"])


def test_version_2_limits(unified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _files_appear_in_new_groups(
        monkeypatch,
        [
            "cgroup.procs",
            "memory.max",
            "memory.swap.max",
            "pids.max",
            "cpu.max",
            "memory.stat",
            "memory.events",
            "memory.peak",
            "pids.current",
            "pids.events",
        ],
    )
    group = cgroup.create(
        "k1", Limits(memory=1 << 30, tasks=64, cpus=0.5), dict.fromkeys(cgroup.CONTROLLERS, Place(2, str(unified)))
    )
    folder = unified / "k1"
    texts = {path.name: path.read_text() for path in folder.iterdir() if path.read_text()}
    assert texts == {"memory.max": "1073741824", "memory.swap.max": "0", "pids.max": "64", "cpu.max": "50000 100000"}
    (folder / "memory.stat").write_text("anon 100\nfile 5000\nshmem 20\n")
    (folder / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 2\n")
    (folder / "memory.peak").write_text("400\n")
    (folder / "pids.current").write_text("7\n")
    (folder / "pids.events").write_text("max 1\n")
    assert group.usage() == cgroup.Usage(memory=120, peak=400, oom_kills=2, tasks=7, refused_forks=1)
    group.set_cpus(2)
    assert (folder / "cpu.max").read_text().startswith("200000 100000")
    assert group.held == {"memory", "pids", "cpu"}
    group.close()
    assert group.usage().oom_kills == 2


def _files_appear_in_new_groups(monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
    make = os.mkdir

    def mkdir(path: str, mode: int = 0o777) -> None:
        make(path, mode)
        for name in names:
            (Path(path) / name).touch()

    monkeypatch.setattr(os, "mkdir", mkdir)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "ä"])
def test_a_name_that_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(JailError, match="no name for a group"):
        cgroup.create(name, Limits(), {})


@pytest.fixture
def places() -> dict[str, Place]:
    if not (found := cgroup.find()):
        pytest.skip("no control groups here")
    return found


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "100"]) as process:
        yield process
        process.kill()


def test_a_real_group_holds_freezes_kills_and_goes(places: dict[str, Place], sleeper: subprocess.Popen[bytes]) -> None:
    group = cgroup.create(f"threadbook-test-{os.getpid()}", Limits(), places)
    try:
        group.add(sleeper.pid)
        assert group.processes() == {sleeper.pid}
        assert not group.remove()
        if group.freeze(True):
            assert group.freeze(False)
        while not group.kill():
            assert sleeper.wait(10) == -signal.SIGKILL
        assert group.usage().tasks in (0, None)
    finally:
        group.close()
        while not group.remove():
            group.kill()
    assert group.remove()


def test_the_share_of_processors_of_a_real_group_can_change(places: dict[str, Place]) -> None:
    if "cpu" not in places:
        pytest.skip("no processor controller here")
    group = cgroup.create(f"threadbook-test-{os.getpid()}", Limits(cpus=1), {"cpu": places["cpu"]})
    try:
        group.set_cpus(0.25)
        name = "cpu.max" if places["cpu"].version == 2 else "cpu.cfs_quota_us"
        assert Path(places["cpu"].folder, group.name, name).read_text().split()[0] == "25000"
    finally:
        group.close()
        group.remove()


def test_a_real_version_2_group_kills_and_freezes(sleeper: subprocess.Popen[bytes]) -> None:
    folder = next((Path(p) for p in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if Path(p, "cgroup.controllers").exists()), None)
    if folder is None or not os.access(folder, os.W_OK):
        pytest.skip("no version 2 hierarchy that this user can write")
    group = cgroup.create(f"threadbook-test-{os.getpid()}", Limits(), {"none": Place(2, str(folder))})
    try:
        group.add(sleeper.pid)
        assert group.freeze(True)
        while "frozen 1" not in (folder / group.name / "cgroup.events").read_text():
            os.sched_yield()
        assert group.freeze(False)
        group.kill()
        assert sleeper.wait(10) == -signal.SIGKILL
    finally:
        group.close()
        while not group.remove():
            group.kill()


def test_a_group_whose_folder_is_there_already_is_not_taken_over(places: dict[str, Place]) -> None:
    name = f"threadbook-test-twice-{os.getpid()}"
    first = cgroup.create(name, Limits(), places)
    with pytest.raises(JailError, match="File exists"):
        cgroup.create(name, Limits(), places)
    first.close()
    first.remove()
