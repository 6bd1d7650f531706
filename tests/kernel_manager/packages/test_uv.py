from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from kernel_manager.packages.uv import Cancelled, explain_failure, find_uv, known_cause, run_uv, uv_environ


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class Terminal(io.StringIO):
    """A terminal of 40 rows and 123 columns that remembers what was written to it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor


class TestRunning:
    def test_returns_the_status_and_all_that_was_said(self, tmp_path: Path) -> None:
        uv = script(tmp_path / "uv", 'echo "out $1"; echo "err $2" >&2; exit 3')
        assert run_uv(uv, ["a", "b c"], cwd=tmp_path) == (3, "out a\nerr b c\n")

    def test_runs_in_the_folder_given_without_input(self, tmp_path: Path) -> None:
        uv = script(tmp_path / "uv", "pwd; cat")
        assert run_uv(uv, [], cwd=tmp_path) == (0, f"{tmp_path}\n")

    def test_echoes_while_it_runs(self, tmp_path: Path) -> None:
        echo = io.StringIO()
        run_uv(script(tmp_path / "uv", "echo one; echo two >&2"), [], cwd=tmp_path, echo=echo)
        assert echo.getvalue() == "one\ntwo\n"

    def test_shows_uv_a_terminal_of_the_same_size_when_there_is_one(self, tmp_path: Path) -> None:
        import fcntl
        import struct
        import termios

        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 123, 0, 0))
        echo = Terminal(slave)
        uv = script(tmp_path / "uv", r"test -t 1 && test -t 2 && stty size <&1; printf '\033[32mgreen\033[0m\n'")
        try:
            status, output = run_uv(uv, [], cwd=tmp_path, echo=echo)
        finally:
            os.close(master)
            os.close(slave)
        assert (status, output) == (0, "40 123\ngreen\n")
        assert "\x1b[32mgreen" in echo.getvalue()

    def test_keeps_only_the_end_of_a_flood(self, tmp_path: Path) -> None:
        uv = script(tmp_path / "uv", "i=0; while [ $i -lt 4000 ]; do echo line-$i; i=$((i+1)); done")
        _, output = run_uv(uv, [], cwd=tmp_path)
        assert output.endswith("line-3999\n")
        assert len(output) == 20_000

    def test_makes_files_that_everybody_can_read(self, tmp_path: Path) -> None:
        old = os.umask(0o077)
        try:
            run_uv(script(tmp_path / "uv", "touch made"), [], cwd=tmp_path)
        finally:
            os.umask(old)
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644

    def test_is_ended_when_the_caller_withdraws(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "never")
        uv = script(tmp_path / "uv", "echo started; exec cat never")
        withdrawn = threading.Event()

        class Echo(io.StringIO):
            def write(self, text: str) -> int:
                withdrawn.set()
                return super().write(text)

        with pytest.raises(Cancelled):
            run_uv(uv, [], cwd=tmp_path, echo=Echo(), is_cancelled=withdrawn.is_set)


class TestFinding:
    def test_prefers_the_one_beside_the_interpreter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        script(tmp_path / "uv", "")
        assert find_uv() == tmp_path / "uv"

    def test_finds_the_installed_one_otherwise(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        assert find_uv().is_file()


class TestEnviron:
    def test_never_downloads_a_python_and_is_not_led_astray(self) -> None:
        environ = uv_environ({"VIRTUAL_ENV": "/v", "PYTHONPATH": "/p", "UV_TARGET": "/t", "HTTPS_PROXY": "http://proxy"})
        assert environ["UV_PYTHON_DOWNLOADS"] == "never"
        assert environ["HTTPS_PROXY"] == "http://proxy"
        assert not {"VIRTUAL_ENV", "PYTHONPATH", "UV_TARGET"} & environ.keys()

    def test_uses_the_index_of_pip_unless_uv_has_its_own(self) -> None:
        assert uv_environ({"PIP_INDEX_URL": "https://a/simple"})["UV_DEFAULT_INDEX"] == "https://a/simple"
        assert "UV_DEFAULT_INDEX" not in uv_environ({"PIP_INDEX_URL": "https://a/simple", "UV_INDEX_URL": "https://b/simple"})

    def test_the_operator_decides_about_certificates(self) -> None:
        assert uv_environ({"UV_SYSTEM_CERTS": "false"})["UV_SYSTEM_CERTS"] == "false"


NO_NETWORK = """\
error: Request failed after 3 retries in 12.0s
  cause: Failed to fetch: http://index.invalid/simple/numpy/
  cause: error sending request for url (http://index.invalid/simple/numpy/)
  cause: client error (Connect)
  cause: dns error
  cause: failed to lookup address information: Name or service not known
"""
BAD_CERTIFICATE = """\
error: Failed to fetch: https://index.invalid/simple/six/
  cause: error sending request for url (https://index.invalid/simple/six/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer

hint: Consider enabling use of system TLS certificates with the `--system-certs` command-line flag
"""
DISK_FULL = """\
warning: Failed to hardlink files; falling back to full copy. This may lead to degraded performance.
error: Failed to install: numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (numpy==2.4.6)
  cause: failed to copy file from /cache/a to /target/b: No space left on device (os error 28)
"""
OFFLINE = """\
error: No solution found when resolving dependencies
  cause: Because numpy was not found in the cache and you require numpy, your requirements are unsatisfiable.

hint: Packages were unavailable because the network was disabled. When the network is disabled, …
"""
IMPOSSIBLE = """\
Using Python 3.11.2 environment at: v1
error: No solution found when resolving dependencies
  cause: Because only numpy<=2.5.5 is available and you require numpy>99, your requirements are unsatisfiable.
"""
IMPOSSIBLE_OLDER_UV = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because only numpy<=2.5.5 is available and
      you require numpy>99, your requirements are unsatisfiable.
"""


class TestExplaining:
    @pytest.mark.parametrize(
        ("output", "expected"),
        [
            pytest.param(NO_NETWORK, "the package index cannot be reached; check the network", id="no network"),
            pytest.param(BAD_CERTIFICATE, "certificate of the package index is not trusted; set SSL_CERT_FILE", id="certificate"),
            pytest.param(DISK_FULL, "the disk is full; free some space", id="disk full"),
            pytest.param(OFFLINE, "offline and its cache lacks a package; unset UV_OFFLINE", id="offline"),
            pytest.param("error: …\n  cause: Permission denied (os error 13)", "a folder cannot be written", id="permission"),
            pytest.param(IMPOSSIBLE, "Because only numpy<=2.5.5 is available and you require numpy>99", id="impossible"),
            pytest.param(
                IMPOSSIBLE_OLDER_UV,
                "Because only numpy<=2.5.5 is available and you require numpy>99, your",
                id="impossible, older uv",
            ),
            pytest.param("", "uv ended with status 1", id="silent"),
        ],
    )
    def test_names_the_cause_in_one_line(self, output: str, expected: str) -> None:
        explanation = explain_failure(output, 1)
        assert expected in explanation
        assert "\n" not in explanation

    def test_a_killed_uv_is_told_by_its_status(self) -> None:
        assert "status -9" in explain_failure("Resolved 42 packages in 1s\n", -9)

    def test_knows_no_cause_in_a_text_that_tells_none(self) -> None:
        assert known_cause("Resolved 42 packages") is None
