"""The policy, and the steps that follow from it, without a jail."""

from __future__ import annotations

import os
import resource
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kernel_manager.kernelside.jail import (
    JailError,
    JailPolicy,
    Limits,
    entrance,
    environment_paths,
    mounts,
    namespaces,
    network,
    rlimits,
    spawn,
    supervisor,
    syscalls,
)
from kernel_manager.kernelside.jail.script import Part, Script, Slot, step, tagged, write_file
from kernel_manager.kernelside.jail.supervisor import Total

POLICY = JailPolicy("/data/w", 2000, 2000, privileged=True)


def test_root_needs_an_unprivileged_user() -> None:
    with pytest.raises(ValueError, match="unprivileged host_uid"):
        replace(POLICY, host_uid=0)


def test_pid_and_mount_namespaces_go_together() -> None:
    with pytest.raises(ValueError, match="go together"):
        replace(POLICY, namespaces=POLICY.namespaces - {"pid"})


def test_an_ordinary_user_needs_a_user_namespace() -> None:
    with pytest.raises(ValueError, match="within a user namespace"):
        replace(POLICY, privileged=False, namespaces=frozenset({"network"}))


def test_unknown_namespaces_are_named() -> None:
    with pytest.raises(ValueError, match="unknown namespaces: time"):
        replace(POLICY, namespaces=frozenset({"time"}))


def test_root_makes_the_user_namespace_last_and_an_ordinary_user_first() -> None:
    assert "user" not in POLICY.clone_namespaces
    assert "user" in replace(POLICY, privileged=False).clone_namespaces


def test_a_shared_network_is_no_namespace() -> None:
    assert POLICY.clone_namespaces - replace(POLICY, network=True).clone_namespaces == {"network"}


def test_of_the_environment_the_system_itself_is_left_out(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "bin").mkdir(parents=True)
    (real / "bin" / "python").touch()
    (tmp_path / "venv").symlink_to(real)
    assert environment_paths(str(tmp_path / "venv" / "bin" / "python"), str(tmp_path / "venv"), "/usr") == (
        str(real),
        str(tmp_path / "venv"),
    )


def test_entries_keep_links_and_leave_out_what_is_missing_or_below_another(tmp_path: Path) -> None:
    (tmp_path / "lib" / "inner").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("lib")
    (tmp_path / "file").touch()
    names = ("lib", "lib/inner", "bin", "file", "missing")
    found = mounts.entries(tuple(str(tmp_path / name) for name in names))
    assert [(Path(entry.path).name, entry.is_folder, entry.link) for entry in found] == [
        *[("bin", False, "lib"), ("file", False, None), ("lib", True, None)],
    ]


def test_everything_but_the_workspace_and_memory_is_mounted_read_only() -> None:
    policy = replace(POLICY, files="/data/f", packages="/data/p", sockets="/run/s")
    common = mounts.common(policy)
    steps = [*common.steps, *mounts.own(policy, common.folders)]
    restricted = {
        item.what.removeprefix("restrict "): item.arguments[3].set & 1  # type: ignore[union-attr]
        for item in steps
        if item.what.startswith("restrict ")
    }
    assert [path for path, read_only in restricted.items() if not read_only] == ["/workspace"]
    assert {"/files", "/packages", "/run/s", "/usr/bin", "/proc/sys", "/dev/null"} <= set(restricted)


@pytest.mark.parametrize("privileged", [True, False])
def test_every_step_exists_on_every_machine(privileged: bool) -> None:
    policy = replace(POLICY, privileged=privileged, files="/data/f")
    common = mounts.common(policy)
    steps = [*entrance._first(policy), *common.steps, *mounts.own(policy, common.folders), *mounts.enter_stage()]
    steps += [*network.raise_loopback(), *namespaces.set_names("x"), *entrance._become(policy), *entrance._drop(policy)]
    for machine in syscalls.MACHINES:
        assert {item.call for item in steps} <= set(syscalls.numbers(machine))


def test_what_the_parent_had_does_not_count_as_allocated() -> None:
    limits = Limits(data=100)
    assert rlimits.values(limits, born_with=1000)[resource.RLIMIT_DATA] == 1100
    assert resource.RLIMIT_DATA not in rlimits.values(Limits(data=None), born_with=1000)


def test_the_hosts_file_systems_are_let_go_before_the_root_is_sealed() -> None:
    calls = [item.call for item in mounts.enter_stage()]
    assert calls == ["pivot_root", "chdir", "umount2", "unlinkat", "mount", "chdir"]


def test_a_script_keeps_what_it_opens_and_names_the_step_that_fails(tmp_path: Path) -> None:
    path, folder = tmp_path / "new", Slot.QUOTAS
    steps = [
        step("open", "openat", -100, os.fsencode(tmp_path), os.O_RDONLY | os.O_DIRECTORY, into=folder),
        *write_file("write", "new", "text", mode=0o640, folder=folder),
        step("close", "close", folder),
    ]
    script = Script(Part(tagged("test", steps)), Part(tagged("test", [step("fail", "chdir", b"/does/not/exist")])))
    with pytest.raises(JailError) as caught:
        script.run()
    assert (caught.value.step, caught.value.protection) == ("test: fail", "test")
    assert str(caught.value) == "jail: test: fail: No such file or directory"
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode) & 0o600) == ("text", 0o600)


def test_what_is_common_to_all_jails_is_thought_through_once() -> None:
    one, other = replace(POLICY, workspace="/data/1", host_uid=3000), replace(POLICY, workspace="/data/2", sockets="/run/s")
    assert entrance._common(entrance._anybodys(one)) is entrance._common(entrance._anybodys(other))
    open_network = replace(POLICY, network=True)
    assert entrance._common(entrance._anybodys(one)) is not entrance._common(entrance._anybodys(open_network))


def test_a_process_with_threads_is_not_forked() -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    with pytest.raises(JailError, match=r"\d+ threads"):
        spawn(POLICY)
    gate.set()
    thread.join()


@pytest.mark.parametrize(
    ("total", "expected"),
    [(Total(100, 5), None), (Total(101, 5), "memory"), (Total(100, 6), "tasks"), (Total(101, 6), "memory")],
)
def test_the_supervisor_names_the_limit_that_is_passed(total: Total, expected: str | None) -> None:
    assert supervisor.excess(total, Limits(memory=100, tasks=5)) == expected


def test_without_limits_nothing_is_passed() -> None:
    assert supervisor.excess(Total(10**15, 10**6), Limits(memory=None, tasks=None)) is None
