"""`tools/`: what `make setup` does before anything is installed."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import bootstrap
from tools.bootstrap import SetupError, Wheel, find_uv, is_fresh, newest, obtain_uv, runs_here, uv_environ, wheels_on

TOOLS = Path(bootstrap.__file__).parent
UV_SCRIPT = b"#!/bin/sh\necho uv 0.13.8 '(test)'\n"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class TestFindingPython:
    def find(self, **environ: str) -> subprocess.CompletedProcess[str]:
        command = ["/bin/sh", str(TOOLS / "find_python.sh")]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    def test_passes_over_what_does_not_run_and_what_is_too_old(self, tmp_path: Path) -> None:
        script(tmp_path / "python3.13", "echo 'not installed' >&2; exit 127")
        script(tmp_path / "python3.12", "exit 1")
        (tmp_path / "python3").symlink_to(sys.executable)
        done = self.find(PATH=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, "")
        assert Path(done.stdout.strip()).is_absolute()

    def test_names_the_base_interpreter_of_a_virtual_environment(self) -> None:
        base = getattr(sys, "_base_executable", sys.executable)
        assert self.find(PYTHON=sys.executable, PATH="").stdout.strip() == base

    def test_says_in_one_line_what_to_do_when_there_is_none(self, tmp_path: Path) -> None:
        done = self.find(PATH=str(tmp_path))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "Python 3.11, 3.12 or 3.13" in done.stderr
        assert "make PYTHON=" in done.stderr

    def test_uses_no_other_than_the_one_asked_for(self, tmp_path: Path) -> None:
        old = script(tmp_path / "old", "exit 1")
        done = self.find(PYTHON=str(old), PATH=os.environ["PATH"])
        assert done.returncode == 1
        assert f"PYTHON={old}" in done.stderr


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has a `.venv` made to its end."""
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "stamp")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".venv" / "bin" / "threadbook").touch()
    bootstrap.STAMP.write_text(bootstrap.fingerprint())
    return tmp_path


class TestFreshness:
    def test_of_one_made_to_its_end(self, project: Path) -> None:
        assert is_fresh()
        assert bootstrap.main(["--check"]) == 0

    def test_ends_when_the_requirements_change(self, project: Path) -> None:
        (project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        assert not is_fresh()
        assert bootstrap.main(["--check"]) == 1

    def test_ends_when_the_folder_moves(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        moved = project / "moved"
        moved.mkdir()
        (project / "pyproject.toml").rename(moved / "pyproject.toml")
        monkeypatch.setattr(bootstrap, "ROOT", moved)
        assert not is_fresh()

    @pytest.mark.parametrize("part", ["bin/python", "bin/threadbook", "stamp"])
    def test_ends_when_a_part_is_missing(self, project: Path, part: str) -> None:
        (project / ".venv" / part).unlink()
        assert not is_fresh()

    def test_what_was_left_half_made_is_not_built_upon(self, project: Path) -> None:
        assert bootstrap.can_be_updated()
        bootstrap.STAMP.write_text(bootstrap.HALF_MADE)
        assert not is_fresh()
        assert not bootstrap.can_be_updated()

    def test_what_does_not_run_any_more_is_not_built_upon(self, project: Path) -> None:
        (project / ".venv" / "bin" / "python").unlink()
        (project / ".venv" / "bin" / "python").symlink_to("/nonexistent/python3")
        assert not bootstrap.can_be_updated()


class TestRunning:
    def test_does_nothing_when_all_is_there(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert bootstrap.main([]) == 0
        assert capsys.readouterr().out == ""

    def test_a_failing_uv_leaves_it_half_made_and_is_told_in_one_line(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project / "pyproject.toml").write_text("changed")
        uv = script(project / "uv", '[ "$1" = --version ] && echo uv 0.13.8 || exit 9')
        monkeypatch.setattr(bootstrap, "find_uv", lambda: uv)
        assert bootstrap.main([]) == 1
        captured = capsys.readouterr()
        assert [line[:5] for line in captured.out.splitlines()] == ["[1/4]", "[2/4]", "[3/4]"]
        assert captured.err.count("\n") == 1
        assert "exit status 9" in captured.err
        assert bootstrap.STAMP.read_text() == bootstrap.HALF_MADE

    def test_installs_this_project_and_stamps_it(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (project / "pyproject.toml").write_text("changed")
        log = project / "log"
        uv = script(project / "uv", f'echo "$*" >> "{log}"; echo uv 0.13.8')
        monkeypatch.setattr(bootstrap, "find_uv", lambda: uv)
        assert bootstrap.main([]) == 0
        assert is_fresh()
        python = project / ".venv" / "bin" / "python"
        assert f"pip install --python {python} --compile-bytecode --editable .[dev]" in log.read_text().splitlines()


class TestFindingUv:
    def test_takes_one_on_the_path(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(project))
        uv = script(project / "uv", "echo uv 0.13.8")
        assert find_uv() == uv

    @pytest.mark.parametrize("said", ["uv 0.10.9", "uv 1.0.0", "something else", ""])
    def test_but_not_one_that_is_too_old_too_new_or_something_else(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        monkeypatch.setenv("PATH", str(project))
        script(project / "uv", f"echo {said}")
        assert find_uv() is None


class Index(http.server.ThreadingHTTPServer):
    """A package index on the loopback that serves ``pages`` (path → content)."""

    pages: dict[str, bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple"


class IndexHandler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        content = self.server.pages.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that has one uv for every platform; the machine has neither pip nor a uv of its own."""
    with Index(("127.0.0.1", 0), IndexHandler) as server:
        wheel = wheel_of_uv()
        server.pages = {
            "/files/uv-0.13.8-py3-none-any_1_0_here.whl": wheel,
            "/simple/uv/": f'<a href="../../files/uv-0.13.8-py3-none-any_1_0_here.whl#sha256={sha256(wheel)}">uv</a>'.encode(),
        }
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(bootstrap, "runs_here", lambda tag, machine: tag == "any_1_0_here")
        monkeypatch.setattr(bootstrap, "uv_from_pip", absent)
        monkeypatch.setattr(bootstrap, "uv_from_bundled_pip", absent)
        for name in bootstrap.INDEX_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
        server.shutdown()
        thread.join()


def absent(scratch: Path) -> Path:
    raise SetupError("absent")


def wheel_of_uv() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("uv-0.13.8.data/scripts/uv", UV_SCRIPT)
    return content.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class TestFetchingUv:
    def test_comes_from_the_index_that_the_machine_uses(self, index: Index, tmp_path: Path) -> None:
        uv = obtain_uv(tmp_path)
        assert uv.read_bytes() == UV_SCRIPT
        assert bootstrap.version_of(uv) == (0, 13, 8)

    def test_is_refused_when_its_checksum_differs(self, index: Index, tmp_path: Path) -> None:
        index.pages["/files/uv-0.13.8-py3-none-any_1_0_here.whl"] += b"more"
        with pytest.raises(SetupError, match="checksum"):
            obtain_uv(tmp_path)
        assert list(tmp_path.glob("**/uv")) == []

    def test_is_refused_when_the_index_gives_no_checksum(self, index: Index, tmp_path: Path) -> None:
        index.pages["/simple/uv/"] = index.pages["/simple/uv/"].partition(b"#")[0] + b'">uv</a>'
        with pytest.raises(SetupError, match="no uv for"):
            obtain_uv(tmp_path)

    def test_a_missing_page_and_every_other_reason_are_told_in_one_line(self, index: Index, tmp_path: Path) -> None:
        index.pages.clear()
        with pytest.raises(SetupError, match=r"^cannot get uv \(absent; index: .*Not Found; absent\); check the network.*$"):
            obtain_uv(tmp_path)

    def test_what_does_not_run_here_is_not_used(self, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bootstrap, "version_of", lambda uv: None)
        with pytest.raises(SetupError, match="does not run on this machine"):
            obtain_uv(tmp_path)


PAGE = """
<a href="https://files.invalid/aa/uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl#sha256=11">x</a>
<a href="../bb/uv-0.13.8-py3-none-musllinux_1_1_x86_64.whl#sha256=22" data-requires-python="&gt;=3.8">x</a>
<a href="uv-0.13.9-py3-none-manylinux_2_17_x86_64.whl#sha256=33" data-yanked="broken">withdrawn</a>
<a href="uv-0.13.8.tar.gz#sha256=44">source</a>
<a href="uv-0.13.10-py3-none-manylinux_2_17_x86_64.whl">no checksum</a>
"""


class TestChoosingAWheel:
    def test_reads_the_page_of_an_index(self) -> None:
        first, second = wheels_on(PAGE, "https://index.invalid/simple/uv/")
        assert first == Wheel(
            "https://files.invalid/aa/uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "11",
            (0, 13, 8),
            ("manylinux_2_17_x86_64", "manylinux2014_x86_64"),
        )
        assert second.url == "https://index.invalid/simple/bb/uv-0.13.8-py3-none-musllinux_1_1_x86_64.whl"

    def test_takes_the_newest_by_number_of_those_that_run_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bootstrap, "runs_here", lambda tag, machine: tag == "here")
        candidates = [
            Wheel("a", "", (0, 13, 9), ("here",)),
            Wheel("b", "", (0, 13, 10), ("elsewhere", "here")),
            Wheel("c", "", (0, 14, 0), ("elsewhere",)),
            Wheel("d", "", (1, 0, 0), ("here",)),
            Wheel("e", "", (0, 1, 99), ("here",)),
        ]
        assert newest(candidates).url == "b"

    @pytest.mark.parametrize(
        ("tag", "machine", "libc", "fits"),
        [
            ("manylinux_2_17_x86_64", "linux-x86_64", ("glibc", "2.36"), True),
            ("manylinux_2_17_x86_64", "linux-x86_64", ("glibc", "2.17"), True),
            ("manylinux_2_28_x86_64", "linux-x86_64", ("glibc", "2.17"), False),
            ("manylinux_2_17_aarch64", "linux-x86_64", ("glibc", "2.36"), False),
            ("manylinux_2_28_aarch64", "linux-aarch64", ("glibc", "2.36"), True),
            ("musllinux_1_1_x86_64", "linux-x86_64", ("glibc", "2.36"), False),
            ("musllinux_1_1_x86_64", "linux-x86_64", ("", ""), True),
            ("manylinux_2_17_x86_64", "linux-x86_64", ("", ""), False),
            ("macosx_11_0_arm64", "macosx-11.0-arm64", ("", ""), True),
            ("macosx_11_0_arm64", "linux-arm64", ("glibc", "2.36"), False),
            ("win_amd64", "linux-x86_64", ("glibc", "2.36"), False),
            ("manylinux2014_x86_64", "linux-x86_64", ("glibc", "2.36"), False),
        ],
    )
    def test_a_platform_tag_fits_or_not(
        self, monkeypatch: pytest.MonkeyPatch, tag: str, machine: str, libc: tuple[str, str], fits: bool
    ) -> None:
        monkeypatch.setattr("platform.libc_ver", lambda: libc)
        assert runs_here(tag, machine) is fits


def test_uv_learns_the_index_of_pip_and_trusts_what_the_operator_trusts() -> None:
    environ = uv_environ({"PIP_INDEX_URL": "https://a.invalid/simple", "UV_SYSTEM_CERTS": "false", "VIRTUAL_ENV": "/v"})
    assert environ == {
        "PIP_INDEX_URL": "https://a.invalid/simple",
        "UV_DEFAULT_INDEX": "https://a.invalid/simple",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "false",
    }
