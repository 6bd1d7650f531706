from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from kernel_manager.errors import PackageInstallError, PackageRefusedError
from kernel_manager.packages.approved import Approved, ApprovedPackages
from kernel_manager.packages.desk import PackageDesk, Place
from kernel_manager.packages.import_errors import Lack
from kernel_manager.packages.overlay import OverlayContent
from kernel_manager.packages.user_packages import UserPackages
from tests.kernel_manager.packages.conftest import GENERATION, World
from tests.wheels import make_wheel

NEWER = "g-20260201T000000-abcdef"


@pytest.fixture
def desk(world: World) -> PackageDesk:
    world.overlay()
    return world.desk()


@pytest.fixture
def place(world: World) -> Place:
    workspace = world.folder / "workspace"
    workspace.mkdir()
    return Place("ada", GENERATION, workspace)


class TestWhatACellLacks:
    @pytest.mark.parametrize(
        ("code", "names"),
        [
            ("import tiny", ["tiny"]),
            ("import tiny.part, needs_tiny", ["tiny", "needs-tiny"]),
            ("from space import one", ["space-one"]),
            ("from space.one.part import x", ["space-one"]),
            ("import space", []),
            ("import core", []),
            ("import json, nothing_known", []),
            ("%pip install Needs_Tiny", ["needs-tiny"]),
            ("%pip install core", []),
            ("%pip install core<3", ["core"]),
            ("import tiny\n%pip install tiny", ["tiny"]),
        ],
    )
    def test_is_what_is_approved_and_in_neither_environment_nor_overlay(
        self, desk: PackageDesk, place: Place, code: str, names: list[str]
    ) -> None:
        assert [wanted.package.name for wanted in desk.missing_in(code, place).wanted] == names

    def test_has_what_comes_along_with_it(self, world: World, place: Place) -> None:
        world.approved = ApprovedPackages([*world.approved, Approved("tiny", ("tiny",), companions=("big", "core"))])
        shortage = world.desk().missing_in("import tiny", place)
        assert [wanted.package.name for wanted in shortage.wanted] == ["tiny", "big"]

    async def test_is_nothing_once_it_is_installed(self, desk: PackageDesk, place: Place) -> None:
        shortage = desk.missing_in("import tiny; from space import one", place)
        await desk.install(place, shortage.wanted)
        assert desk.missing_in("import tiny; from space import one\n%pip install tiny", place).wanted == []

    @pytest.mark.parametrize("name", ["tiny.py", "tiny"])
    def test_is_not_what_lies_in_the_working_folder(self, desk: PackageDesk, place: Place, name: str) -> None:
        path = place.workspace / name
        path.touch() if name.endswith(".py") else path.mkdir()
        assert desk.missing_in("import tiny", place).wanted == []

    def test_says_what_a_line_asked_for_in_vain(self, desk: PackageDesk, place: Place) -> None:
        notes = desk.missing_in("%pip install -i http://x nosuchthing ./tiny", place).notes
        assert len(notes) == 3
        assert any("'-i http://x' was not followed" in note for note in notes)


class TestWhatAnErrorTells:
    @pytest.mark.parametrize(
        ("lack", "names", "notes"),
        [
            (Lack(modules=("tiny.part",)), ["tiny"], 0),
            (Lack(modules=("space.one", "space")), ["space-one"], 0),
            (Lack(names=("Needs_Tiny",)), ["needs-tiny"], 0),
            (Lack(modules=("core.part",)), [], 0),
            (Lack(modules=("core.Thing", "core")), [], 0),
            (Lack(modules=("nothing_known",)), [], 1),
        ],
    )
    def test_is_installed_if_it_may_be_and_else_explained(
        self, desk: PackageDesk, place: Place, lack: Lack, names: list[str], notes: int
    ) -> None:
        shortage = desk.missing_after(lack, place)
        assert [wanted.package.name for wanted in shortage.wanted] == names
        assert len(shortage.notes) == notes


class TestARenewedEnvironment:
    async def test_gets_what_the_user_had_asked_for(self, desk: PackageDesk, world: World, place: Place) -> None:
        await desk.install(place, world.wanted("needs-tiny"))
        world.add_generation(NEWER, core="3.0", tiny="1.0")
        make_wheel(world.wheels, "needs-tiny", version="2.0")
        assert desk.rebuild(NEWER, lambda: False, time.monotonic() + 60) == []
        assert desk.overlay("ada", NEWER).content().packages == {"needs-tiny": "2.0"}
        assert desk.to_restore("ada", NEWER) == []

    async def test_says_what_could_not_be_made_anew_and_tries_again_when_it_is_needed(
        self, desk: PackageDesk, world: World, place: Place
    ) -> None:
        await desk.install(place, world.wanted("tiny"))
        world.add_generation(NEWER)
        (world.wheels / "tiny-1.0-py3-none-any.whl").unlink()
        (failure,) = desk.rebuild(NEWER, lambda: False, time.monotonic() + 60)
        assert failure.startswith("packages of ada: tiny not installed")
        assert [wanted.text for wanted in desk.to_restore("ada", NEWER)] == ["tiny"]
        assert desk.to_restore("ada", NEWER) == []

    async def test_leaves_out_what_the_new_environment_has_itself(self, desk: PackageDesk, world: World, place: Place) -> None:
        await desk.install(place, world.wanted("tiny"))
        world.add_generation(NEWER, tiny="1.0")
        assert desk.to_restore("ada", NEWER) == []

    def test_overlays_go_with_their_generation(self, desk: PackageDesk, world: World) -> None:
        world.overlay("bob", NEWER)
        assert desk.remove_orphans([GENERATION]) == [f"bob/{NEWER}"]
        assert desk.overlay("ada", GENERATION).current.is_dir()
        assert desk.remove_orphans([GENERATION]) == []


class TestAUsersPackages:
    async def test_go_into_every_environment_that_the_user_has_kernels_in(self, desk: PackageDesk, world: World) -> None:
        world.add_generation(NEWER)
        world.overlay("ada", NEWER)
        packages = UserPackages(desk, "ada", NEWER)
        assert await packages.install(["tiny>=1"]) == {"tiny": "1.0"}
        assert packages.content().listed() == [("tiny", "1.0", True)]
        assert desk.overlay("ada", GENERATION).has("tiny")

    async def test_can_all_be_removed(self, desk: PackageDesk) -> None:
        packages = UserPackages(desk, "ada", GENERATION)
        await packages.install(["needs-tiny"])
        assert desk.counts(GENERATION)["installed"] == 2
        assert await packages.reset() == 2
        assert packages.content() == OverlayContent()
        assert await packages.reset() == 0
        assert desk.counts(GENERATION) == {"users": 0, "installed": 0, "approved": len(desk.approved), "size_mb": 0}

    async def test_are_none_without_an_environment(self, desk: PackageDesk) -> None:
        packages = UserPackages(desk, "ada", None)
        assert packages.content() == OverlayContent()
        assert await packages.reset() == 0
        with pytest.raises(PackageInstallError, match="threadbook env build"):
            await packages.install(["tiny"])

    @pytest.mark.parametrize("text", ["nosuchthing", "../tiny", "-r x"])
    async def test_are_approved_ones(self, desk: PackageDesk, text: str) -> None:
        with pytest.raises(PackageRefusedError):
            await UserPackages(desk, "ada", GENERATION).install(["tiny", text])
        assert not desk.overlay("ada", GENERATION).has("tiny")


async def test_an_installation_that_nobody_waits_for_ends(desk: PackageDesk, world: World, place: Place) -> None:
    overlay = desk.overlay("ada", GENERATION)
    waiting = asyncio.Event()
    with overlay.locked():
        task = asyncio.create_task(desk.install(place, world.wanted("tiny"), lambda _line: waiting.set()))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert overlay.content() == OverlayContent()


def test_overlays_are_counted(desk: PackageDesk, tmp_path: Path) -> None:
    assert desk.users() == ["ada"]
    assert desk.counts(None) == {"users": 0, "installed": 0, "approved": len(desk.approved), "size_mb": 0}
    assert desk.overlays_of("nobody") == []
