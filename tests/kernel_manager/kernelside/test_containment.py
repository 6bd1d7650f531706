"""From settings and findings to the enclosure of a kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernel_manager.config import Settings
from kernel_manager.kernelside.containment import Containment, Demand, give_workspace, kernel_uid
from kernel_manager.kernelside.jail import JailPolicy
from kernel_manager.kernelside.jail.probe import Findings, Protection
from kernel_manager.provisioning.factory import sandbox_demand
from kernel_manager.tree import remove_tree

POLICY = JailPolicy(workspace="/", host_uid=1000, host_gid=1000, privileged=False)
LACKING = Findings(
    (Protection("pid namespace", False, "none", "do this"), Protection("user namespace", True, "namespace", "")), POLICY
)
WHOLE = Findings((Protection("user namespace", True, "namespace", ""),), POLICY)


def test_the_settings_reach_the_kernel_side_by_name() -> None:
    settings = Settings(sandbox="strict", kernel_memory_mb=512, kernel_network=True)
    demand = Demand.parse(sandbox_demand(settings))
    assert (demand.sandbox, demand.memory_mb, demand.network) == ("strict", 512, True)
    assert demand.workspace_files == settings.workspace_files


def test_without_a_sandbox_nothing_is_demanded() -> None:
    assert sandbox_demand(Settings(sandbox="none")) == ""
    assert Demand.parse("") == Demand(sandbox="none")


def test_an_unknown_demand_is_refused() -> None:
    with pytest.raises(TypeError):
        Demand.parse(json.dumps({"no_such_demand": 1}))


@pytest.mark.parametrize("memory", [128, 1024, 65_536])
def test_one_process_ends_before_the_limit_of_all(memory: int) -> None:
    limits = Demand(memory_mb=memory).limits
    assert limits.memory is not None
    assert limits.data is not None
    assert limits.data <= limits.memory - 64 * 2**20


def test_strict_refuses_what_auto_accepts() -> None:
    refusal = Containment(Demand(sandbox="strict"), LACKING, {}).refusal()
    assert refusal is not None
    assert "pid namespace" in refusal
    assert "user namespace" not in refusal
    assert Containment(Demand(sandbox="auto"), LACKING, {}).refusal() is None
    assert Containment(Demand(sandbox="strict"), WHOLE, {}).refusal() is None
    assert Containment(Demand(sandbox="auto"), LACKING, {}).missing == ["pid namespace"]


def test_each_user_has_an_unprivileged_host_user() -> None:
    uids = {kernel_uid(f"user{number}") for number in range(1_000)}
    assert len(uids) > 980
    assert min(uids) >= 1_900_000_000
    assert max(uids) < 2**31
    assert kernel_uid("user1") == kernel_uid("user1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_working_folder_is_given_away_with_what_is_in_it_and_no_more(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("the host's")
    folder = tmp_path / "workspace"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").touch()
    (folder / "link").symlink_to(outside)
    (folder / "second name").hardlink_to(outside)
    give_workspace(str(folder), 1_900_000_001, 1_900_000_001)
    given = [folder, folder / "a", folder / "a" / "b", folder / "a" / "file", folder / "link"]
    assert {path.lstat().st_uid for path in given} == {1_900_000_001}
    assert outside.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_that_is_too_deep_to_be_walked_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    give_workspace(str(folder), 1_900_000_001, 1_900_000_001)
    assert folder.stat().st_uid == 1_900_000_001
    remove_tree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_link_in_place_of_the_working_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "workspace").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="workspace"):
        give_workspace(str(tmp_path / "workspace"), 1_900_000_001, 1_900_000_001)
    assert (tmp_path / "target").stat().st_uid == 0
