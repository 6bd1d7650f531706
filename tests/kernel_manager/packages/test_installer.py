"""Installations as uv really does them, from a folder of wheels."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kernel_manager.errors import PackageInstallError, PackageRefusedError
from kernel_manager.packages.installer import OUTAGE_S, Installer
from kernel_manager.packages.overlay import Overlay, OverlayContent
from kernel_manager.packages.uv import Cancelled, PackageSource
from tests.kernel_manager.packages.conftest import LIMITS, World
from tests.wheels import make_wheel


class TestInstalling:
    def test_adds_the_package_with_its_bytecode(self, world: World) -> None:
        overlay = world.overlay()
        done = world.installer().install(overlay, world.wanted("tiny"))
        assert (done.requested, dict(done.added)) == (("tiny",), {"tiny": "1.0"})
        assert overlay.has("tiny")
        assert overlay.content().packages == {"tiny": "1.0"}
        assert overlay.content().requested == ("tiny",)
        assert list((overlay.current / "__pycache__").glob("tiny.*.pyc"))

    def test_tells_each_step(self, world: World) -> None:
        lines: list[str] = []
        world.installer().install(world.overlay(), world.wanted("needs-tiny"), lines.append)
        assert lines == ["looking for needs-tiny", "installing needs-tiny 1.0, tiny 1.0"]

    def test_adds_only_what_environment_and_overlay_lack(self, world: World) -> None:
        overlay, installer = world.overlay(), world.installer()
        assert dict(installer.install(overlay, world.wanted("needs-tiny")).added) == {"needs-tiny": "1.0", "tiny": "1.0"}
        assert not overlay.has("core")
        before = overlay.current.readlink()
        assert dict(installer.install(overlay, world.wanted("needs-tiny", "tiny", "core")).added) == {}
        assert overlay.current.readlink() == before

    def test_keeps_what_was_there_without_using_space_for_it_twice(self, world: World) -> None:
        overlay, installer = world.overlay(), world.installer()
        installer.install(overlay, world.wanted("big"))
        first = (overlay.current / "big.py").stat().st_ino
        installer.install(overlay, world.wanted("tiny"))
        assert overlay.content().packages == {"big": "1.0", "tiny": "1.0"}
        assert (overlay.current / "big.py").stat().st_ino == first

    def test_never_links_files_to_the_cache_that_all_users_share(self, world: World) -> None:
        overlay = world.overlay()
        world.installer().install(overlay, world.wanted("tiny"))
        assert (overlay.current / "tiny.py").stat().st_nlink == 1

    def test_what_was_made_can_be_read_by_everybody(self, world: World) -> None:
        overlay = world.overlay()
        os.umask(0o077)
        try:
            world.installer().install(overlay, world.wanted("tiny"))
        finally:
            os.umask(0o022)
        assert (overlay.current / "tiny.py").stat().st_mode & 0o444 == 0o444
        assert overlay.current.stat().st_mode & 0o555 == 0o555


class TestConstraints:
    def test_a_package_that_needs_another_version_than_the_environment_has_is_refused_with_the_reason(self, world: World) -> None:
        overlay = world.overlay()
        with pytest.raises(PackageRefusedError, match=r"^needs-old not installed: .*core") as caught:
            world.installer().install(overlay, world.wanted("needs-old"))
        assert "\n" not in str(caught.value)
        assert overlay.content() == OverlayContent()

    @pytest.mark.parametrize("text", ["core<2", "core==3.0"])
    def test_packages_of_the_environment_stay_as_they_are(self, world: World, text: str) -> None:
        with pytest.raises(PackageRefusedError, match="core not installed"):
            world.installer().install(world.overlay(), world.wanted(text))

    @pytest.mark.parametrize("text", ["ranged==2.5", "ranged>=2"])
    def test_no_version_outside_the_approved_range(self, world: World, text: str) -> None:
        with pytest.raises(PackageRefusedError, match="ranged not installed"):
            world.installer().install(world.overlay(), world.wanted(text))

    def test_nor_for_what_another_package_needs(self, world: World) -> None:
        assert world.installer().install(world.overlay(), world.wanted("both")).added["ranged"] == "1.5"

    def test_what_is_in_the_overlay_stays_in_its_version(self, world: World) -> None:
        overlay, installer = world.overlay(), world.installer()
        installer.install(overlay, world.wanted("tiny"))
        make_wheel(world.wheels, "tiny", version="9.0")
        assert dict(installer.install(overlay, world.wanted("needs-tiny")).added) == {"needs-tiny": "1.0"}

    def test_wheels_only(self, world: World, tmp_path: Path) -> None:
        project = tmp_path / "absent-1.0"
        project.mkdir()
        (project / "setup.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\n")
        (project / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: absent\nVersion: 1.0\n")
        shutil.make_archive(str(world.wheels / "absent-1.0"), "gztar", tmp_path, "absent-1.0")
        with pytest.raises(PackageRefusedError, match=r"absent not installed: .*wheels"):
            world.installer().install(world.overlay(), world.wanted("absent"))
        assert not (tmp_path / "was_run").exists()

    def test_a_configuration_file_of_a_user_is_not_read(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        (workspace / "uv.toml").write_text("not = [toml")
        monkeypatch.chdir(workspace)
        world.installer().install(world.overlay(), world.wanted("tiny"))

    def test_too_many_at_once_are_refused(self, world: World) -> None:
        with pytest.raises(PackageRefusedError, match="too many"):
            world.installer().install(world.overlay(), world.wanted("tiny") * 51)


class TestFailing:
    def test_the_size_of_an_overlay_is_limited_and_what_was_there_stays(self, world: World) -> None:
        overlay = world.overlay()
        world.installer().install(overlay, world.wanted("tiny"))
        before = overlay.current.readlink()
        with pytest.raises(PackageRefusedError, match=r"big not installed: .*MAX_PACKAGES_MB"):
            world.installer(max_bytes=50_000).install(overlay, world.wanted("big"))
        assert overlay.current.readlink() == before
        assert len(list(overlay.folder.glob("v-*"))) == 2

    def test_a_package_that_is_nowhere_is_one_line(self, world: World) -> None:
        with pytest.raises((PackageRefusedError, PackageInstallError), match="absent not installed: ") as caught:
            world.installer().install(world.overlay(), world.wanted("absent"))
        assert "\n" not in str(caught.value)

    def test_an_environment_that_is_gone_is_named(self, world: World) -> None:
        overlay = world.overlay(generation="g-20250101T000000-abcdef")
        with pytest.raises(PackageInstallError, match="is gone; restart the session"):
            world.installer().install(overlay, world.wanted("tiny"))

    def test_a_killed_installer_leaves_nothing_to_be_seen(self, world: World, tmp_path: Path) -> None:
        overlay = world.overlay()
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        uv = _uv_that_waits(tmp_path, gate)
        program = (
            "import sys\nfrom pathlib import Path\n"
            "from kernel_manager.packages.approved import Approved, ApprovedPackages\n"
            "from kernel_manager.packages.installer import *\nfrom kernel_manager.packages.overlay import Overlay\n"
            "from kernel_manager.packages.uv import PackageSource\n"
            "environments, overlay, wheels, uv = map(Path, sys.argv[1:])\n"
            "package = Approved('tiny', ('tiny',))\n"
            "source = PackageSource(('--offline', '--no-index', '--find-links', str(wheels)), uv)\n"
            "installer = Installer(environments, ApprovedPackages([package]), InstallLimits(10**7, 60), source)\n"
            "installer.install(Overlay(overlay), [Wanted.plainly(package)])\n"
        )
        root = str(Path(__file__).resolve().parents[3])
        arguments = map(str, (world.environments, overlay.folder, world.wheels, uv))
        process = subprocess.Popen([sys.executable, "-c", program, *arguments], env={**os.environ, "PYTHONPATH": root})
        with process, gate.open("w"):  # uv has filled the folder and waits
            process.kill()
            process.wait()
            assert overlay.content() == OverlayContent()
            assert not overlay.has("tiny")
        assert len(list(overlay.folder.glob("v-*"))) == 2
        world.installer().install(overlay, world.wanted("tiny"))
        assert overlay.has("tiny")
        overlay.tidy()
        assert len(list(overlay.folder.glob("v-*"))) == 1

    def test_an_installation_that_takes_too_long_is_ended(self, world: World, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        source = PackageSource(world.source.options, _uv_that_waits(tmp_path, gate))
        ticks = itertools.count(0, 20)
        installer = Installer(world.environments, world.approved, LIMITS, source, clock=lambda: next(ticks))
        with pytest.raises(PackageInstallError, match="tiny not installed: it took longer than 60 s"):
            installer.install(world.overlay(), world.wanted("tiny"))

    def test_an_installation_can_be_cancelled(self, world: World, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        source = PackageSource(world.source.options, _uv_that_waits(tmp_path, gate))
        cancelled = threading.Event()
        overlay = world.overlay()

        def on_progress(line: str) -> None:
            if line.startswith("installing"):
                cancelled.set()

        with pytest.raises(Cancelled):
            Installer(world.environments, world.approved, LIMITS, source).install(
                overlay, world.wanted("tiny"), on_progress, cancelled.is_set
            )
        assert overlay.content() == OverlayContent()


class TestOffline:
    def test_an_index_that_cannot_be_reached_is_one_line_and_not_asked_again_for_a_while(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        log = tmp_path / "uv.log"
        uv = _uv_that_logs(tmp_path, log)
        now = [1_000.0]
        installer = Installer(world.environments, world.approved, LIMITS, PackageSource(uv=uv), clock=lambda: now[0])

        def attempt() -> int:
            """Online runs of uv in one installation."""
            log.write_text("")
            with pytest.raises(PackageInstallError, match="tiny not installed: the package index cannot be reached") as caught:
                installer.install(world.overlay(), world.wanted("tiny"))
            assert "\n" not in str(caught.value)
            return sum("--offline" not in line for line in log.read_text().splitlines())

        assert attempt() == 1
        assert attempt() == 0
        now[0] += OUTAGE_S + 1
        assert attempt() == 1

    def test_an_index_that_says_nothing_is_given_up_after_a_while(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        ticks = itertools.count(0.0, 2.0)
        installer = Installer(world.environments, world.approved, LIMITS, PackageSource(), clock=lambda: next(ticks))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
            with pytest.raises(PackageInstallError, match="tiny not installed: the package index does not answer"):
                installer.install(world.overlay(), world.wanted("tiny"))

    def test_what_is_in_the_cache_installs_without_the_network(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("UV_FIND_LINKS", str(world.wheels))
        installer = Installer(world.environments, world.approved, LIMITS, PackageSource())
        assert dict(installer.install(world.overlay(), world.wanted("needs-tiny")).added) == {"needs-tiny": "1.0", "tiny": "1.0"}


class TestAtOnce:
    def test_installations_into_one_overlay_follow_each_other_and_nothing_is_lost(self, world: World) -> None:
        overlay, installers = world.overlay(), [world.installer() for _ in range(3)]
        names = ["tiny", "big", "space-one"]
        with ThreadPoolExecutor() as pool:
            list(
                pool.map(
                    lambda pair: pair[0].install(Overlay(overlay.folder), world.wanted(pair[1])),
                    zip(installers, names, strict=True),
                )
            )
        assert overlay.content().packages == dict.fromkeys(names, "1.0")
        assert all(overlay.has(name) for name in ("tiny", "big", "space.one"))

    def test_users_do_not_disturb_each_other(self, world: World) -> None:
        overlays = [world.overlay(f"user{number}") for number in range(4)]
        installer = world.installer()
        with overlays[0].locked(), ThreadPoolExecutor() as pool:
            list(pool.map(lambda overlay: installer.install(overlay, world.wanted("needs-tiny")), overlays[1:]))
        assert [overlay.has("needs_tiny") for overlay in overlays] == [False, True, True, True]


def _uv_that_waits(folder: Path, gate: Path) -> Path:
    """The real uv, but it waits after an installation until somebody opens the gate."""
    return _script(folder, f'"$REAL" "$@" || exit\ncase "$1 $2" in "pip install") cat {gate};; esac\n')


def _uv_that_logs(folder: Path, log: Path) -> Path:
    return _script(folder, f'echo "$*" >> {log}\nexec "$REAL" "$@"\n')


def _script(folder: Path, text: str) -> Path:
    from kernel_manager.packages.uv import find_uv

    path = folder / "uv"
    path.write_text(f"#!/bin/sh\nREAL={find_uv()}\n{text}")
    path.chmod(0o755)
    return path
