from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kernel_manager.packages.base import Base
from kernel_manager.packages.environments import IN_USE, SETTLING_S, Environments
from kernel_manager.packages.renewal import PATIENCE, QUIET_S, RETRY_AFTER, Renewal, Situation, is_due
from kernel_manager.packages.warm_up import WarmUpError, measure_preload
from tests.kernel_manager.packages.conftest import World
from tests.kernel_manager.packages.test_environments import FakeUv

BUILT = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


class TestWhetherToRenew:
    @pytest.mark.parametrize(
        ("age", "quiet_for", "days", "due"),
        [
            (WEEK, QUIET_S, 7, True),
            (WEEK - timedelta(seconds=1), 1e6, 7, False),
            (WEEK, QUIET_S - 1, 7, False),
            (WEEK + PATIENCE, 0, 7, True),
            (timedelta(days=4_000), 1e6, 0, False),
            (timedelta(days=1), QUIET_S, 0.5, True),
        ],
    )
    def test_is_told_by_age_and_quiet(self, age: timedelta, quiet_for: float, days: float, due: bool) -> None:
        assert is_due(Situation(BUILT, BUILT + age, quiet_for), days) is due

    def test_a_failure_is_not_repeated_at_once(self) -> None:
        failed_at = BUILT + WEEK
        assert not is_due(Situation(BUILT, failed_at + RETRY_AFTER / 2, QUIET_S, failed_at), 7)
        assert is_due(Situation(BUILT, failed_at + RETRY_AFTER, QUIET_S, failed_at), 7)


@pytest.fixture
def uv(tmp_path: Path) -> FakeUv:
    folder = tmp_path / "fake"
    folder.mkdir()
    return FakeUv(folder)


@pytest.fixture
def environments(tmp_path: Path, uv: FakeUv) -> Environments:
    made = Environments(tmp_path / "generations", base=Base(("tiny",)), uv=uv.path)
    made.build()
    return made


def renewal(environments: Environments, world: World, age: timedelta) -> Renewal:
    now = datetime.now(UTC) + age
    return Renewal(environments, world.desk(), 7, lambda: QUIET_S, lambda: now)


def make_old(environments: Environments) -> None:
    """Have the last switch lie so far back that no kernel can just be starting in the generation before."""
    long_ago = time.time() - SETTLING_S - 1
    os.utime(environments.root / "current", (long_ago, long_ago), follow_symlinks=False)


class TestRenewing:
    async def test_makes_a_new_generation_when_it_is_time(self, environments: Environments, world: World) -> None:
        before = environments.current()
        assert await renewal(environments, world, timedelta(days=6)).look() is None
        assert environments.current() == before
        renewed = await renewal(environments, world, timedelta(days=8)).look()
        assert renewed is not None
        assert renewed == environments.current() != before

    async def test_a_failure_changes_nothing_and_is_told(
        self, environments: Environments, world: World, uv: FakeUv, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = environments.current()
        uv.behave(on_install="echo 'error: No space left on device' >&2; exit 1")
        looking = renewal(environments, world, timedelta(days=8))
        with caplog.at_level(logging.WARNING):
            assert await looking.look() is None
        (record,) = caplog.records
        assert "not renewed, the present one stays: kernel environment not built: the disk is full" in record.getMessage()
        assert environments.current() == before
        assert "the disk is full" in environments.status()["failure"]
        calls = uv.calls()
        assert await looking.look() is None  # not at once again
        assert uv.calls() == calls
        uv.behave()
        environments.build()
        assert environments.status()["failure"] is None

    async def test_overlays_are_made_anew_before_the_switch(self, world: World, tmp_path: Path, uv: FakeUv) -> None:
        environments = Environments(world.environments, base=Base(("tiny",)), uv=uv.path)
        first = environments.build()
        (first.root / "lib" / "python3" / "site-packages").mkdir(parents=True)
        desk = world.desk()
        world.overlay("ada", first.generation)
        world.installer().install(desk.overlay("ada", first.generation), world.wanted("big"))
        seen: list[str | None] = []
        rebuild = desk.rebuild

        def watched(generation: str, is_cancelled: Callable[[], bool], until: float) -> list[str]:
            seen.append(getattr(environments.current(), "generation", None))
            return rebuild(generation, is_cancelled, until)

        desk.rebuild = watched  # type: ignore[method-assign]
        renewed = await Renewal(environments, desk, 7, lambda: 0.0, lambda: datetime.now(UTC)).renew()
        assert renewed is not None
        assert seen == [first.generation]
        assert desk.overlay("ada", renewed.generation).has("big")


class TestOldGenerations:
    def test_go_when_nobody_runs_in_them(self, environments: Environments) -> None:
        first = environments.current()
        second = environments.build()
        assert first is not None
        assert environments.remove_unused() == []  # a kernel may just be starting
        make_old(environments)
        with (first.root / IN_USE).open() as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            assert environments.remove_unused() == []
        assert environments.remove_unused() == [first.generation]
        assert environments.generations() == [second.generation]
        assert environments.current() == second

    def test_stay_while_somebody_builds(self, environments: Environments) -> None:
        environments.build()
        make_old(environments)
        with (environments.root / "build.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert environments.remove_unused() == []
        assert len(environments.remove_unused()) == 1

    def test_go_with_the_next_build_where_no_service_looks_after_them(self, environments: Environments) -> None:
        environments.build()
        make_old(environments)
        environments.build()
        assert len(environments.generations()) == 2

    async def test_take_their_overlays_along(self, environments: Environments, world: World) -> None:
        first = environments.current()
        assert first is not None
        second = environments.build()
        for generation in (first.generation, second.generation):
            world.overlay("ada", generation)
        make_old(environments)
        await renewal(environments, world, timedelta()).tidy()
        assert [overlay.folder.name for overlay in world.desk().overlays_of("ada")] == [second.generation]


class TestWarmUp:
    """The kernel environment's Python, as what kernels are forked from has to be without threads."""

    def test_finds_what_typical_code_imports(self, kernel_python: Path) -> None:
        preload = measure_preload(kernel_python, ["numpy"], ["import pandas", "import no_such_module"])
        assert preload[0] == "numpy"
        assert "pandas" in preload
        # what comes along with another one is not named
        assert not any(name.startswith("numpy.") for name in preload)

    def test_leaves_out_what_starts_a_thread(self, kernel_python: Path, tmp_path: Path) -> None:
        (tmp_path / "threaded.py").write_text(
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        )
        lines = [f"import sys; sys.prefix = {str(tmp_path)!r}; sys.path.append(sys.prefix); import threaded"]
        assert measure_preload(kernel_python, [], lines) == []

    def test_what_has_to_import_and_does_not_is_named(self, kernel_python: Path) -> None:
        with pytest.raises(WarmUpError, match="no_such_module"):
            measure_preload(kernel_python, ["no_such_module"], [])
