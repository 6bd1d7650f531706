from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kernel_manager.errors import LimitError, ServiceError, SettingsError, StorageError
from kernel_manager.execution.events import CellStarted
from kernel_manager.execution.result import ExecutionResult
from tests.threadbook.fakes import FakeInterpreter, FakeSession, cell_of, error, history_of, stream, value
from threadbook import app
from threadbook.__main__ import main
from threadbook.commands import build_parser

COMMANDS = {
    "run": ["run", "1"],
    "console": ["console"],
    "sessions": ["sessions"],
    "attach": ["attach"],
    "export": ["export"],
    "import": ["import", "x.ipynb"],
    "stop": ["stop"],
    "env build": ["env", "build"],
    "env status": ["env", "status"],
    "kernelspec install": ["kernelspec", "install"],
    "status": ["status"],
}


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


class Stdin(io.TextIOWrapper):
    """A stdin that is no terminal."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), "utf-8")


@pytest.fixture(autouse=True)
def stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b""))


class TestUsage:
    def test_help_lists_every_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = help_of([], capsys)
        for name in COMMANDS:
            assert f"\n    {name.split()[0]} " in text

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_help_with_an_example(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        text = help_of(name.split(), capsys)
        assert f"  threadbook {name}" in text.partition("example")[2]

    @pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
    def test_every_command_has_a_function(self, arguments: list[str]) -> None:
        module, _, name = build_parser().parse_args(arguments).function.partition(":")
        assert callable(getattr(importlib.import_module(module), name))

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            ([], "threadbook: missing: COMMAND; see `threadbook --help`"),
            (["run"], "threadbook run: missing: CODE; see `threadbook run --help`"),
            (["fly"], "threadbook: argument COMMAND: invalid choice: 'fly'"),
            (["run", "--time", "1", "x"], "threadbook: unrecognized arguments: --time"),
            (["run", "--timeout", "nan", "x"], "threadbook run: argument --timeout: 'nan' is not a number of seconds"),
            (["run", "--timeout", "0", "x"], "threadbook run: argument --timeout: '0' is not a number of seconds"),
            (["env"], "threadbook env: missing: COMMAND; see `threadbook env --help`"),
        ],
    )
    def test_errors_take_one_line_and_have_status_2(
        self, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(line)
        assert said.err.count("\n") == 1

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--version"]) == 0
        assert capsys.readouterr().out.startswith("threadbook ")

    def test_asking_for_help_loads_nothing_that_takes_time(self) -> None:
        code = "import sys; from threadbook.__main__ import main; main(['run', '--help']); print(*sys.modules, file=sys.stderr)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
        )
        loaded = {name.partition(".")[0] for name in done.stderr.split()}
        assert not loaded & {"asyncio", "kernel_manager", "pydantic", "prompt_toolkit", "jupyter_client", "zmq", "nbformat"}


class TestErrors:
    """What goes wrong becomes one line and a status, whichever command it happens to."""

    @pytest.fixture(params=[["run", "1"], ["sessions"], ["export"], ["stop"], ["status"], ["console"]])
    def arguments(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.mark.parametrize(
        ("failure", "status", "line"),
        [
            (SettingsError("MAX_KERNELS=0: too small"), 2, "MAX_KERNELS=0: too small"),
            (LimitError("too many\nkernels"), 2, "too many kernels"),
            (StorageError("the disk is full"), 3, "the disk is full"),
            (OSError(28, "No space left on device", "/data"), 3, "/data: No space left on device"),
            (ExceptionGroup("several", [ServiceError("no zygote")]), 3, "no zygote"),
            (
                RuntimeError("surprise\x1b[2J"),
                3,
                "internal error (RuntimeError: surprise); `python -X dev -m threadbook …` shows where",
            ),
            (KeyboardInterrupt(), 130, None),
        ],
    )
    def test_of_the_service(
        self,
        failure: BaseException,
        status: int,
        line: str | None,
        arguments: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail() -> Any:
            raise failure

        monkeypatch.setattr(app, "open_interpreter", fail)
        assert main(arguments) == status
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == (f"threadbook: {line}\n" if line else "")

    def test_of_the_settings(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("MAX_KERNELS", "0")
        assert main(["status"]) == 2
        assert capsys.readouterr().err.startswith("threadbook: MAX_KERNELS='0': input should be greater than")

    def test_of_a_data_folder_that_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
        assert main(["sessions"]) == 3
        said = capsys.readouterr().err
        assert said.startswith("threadbook: ")
        assert said.count("\n") == 1

    @pytest.mark.parametrize("command", ["export", "stop", "attach"])
    def test_of_a_session_that_does_not_exist(
        self, command: str, interpreter: FakeInterpreter, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([command, "--session", "nope"]) == 2
        assert capsys.readouterr().err == "threadbook: no session 'nope'; there are: ['default']\n"
        assert len(interpreter.known) == 1


@pytest.mark.usefixtures("interpreter")
class TestRun:
    def test_shows_what_comes_of_the_code(self, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        session.cells = [cell_of([stream("a\n"), stream("b\n", "stderr"), value("42")])]
        assert main(["run", "code"]) == 0
        assert capsys.readouterr() == ("a\n42\n", "b\n")
        assert session.ran == [("code", None, [])]

    def test_of_another_user_and_session(self, interpreter: FakeInterpreter) -> None:
        assert main(["run", "--user", "7", "--session", "s", "1"]) == 0
        assert [(session.user_id, session.session_id) for session in interpreter.known[1:]] == [("7", "s")]

    def test_fails_as_the_code_did(self, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        session.cells = [cell_of([error()], status="error", cause="ValueError: no")]
        assert main(["run", "code"]) == 1
        assert capsys.readouterr().err.splitlines()[-1] == "error: ValueError: no"

    @pytest.mark.parametrize("status", ["timeout", "interrupted", "died"])
    def test_fails_however_the_cell_ended(self, status: str, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        session.cells = [cell_of(status=status, cause="why", state_lost=True)]
        assert main(["run", "code"]) == 1
        assert capsys.readouterr().err.splitlines()[0] == f"{status}: why"

    def test_takes_the_code_from_stdin(self, session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", Stdin("\ufeffx = 'é'\n".encode()))
        assert main(["run", "-"]) == 0
        assert session.ran[0][0] == "x = 'é'\n"

    def test_refuses_code_that_is_no_text(
        self, session: FakeSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Stdin(b"\xff"))
        assert main(["run", "-"]) == 2
        assert main(["run", "\udcff"]) == 2
        assert capsys.readouterr().err.count("not valid UTF-8") == 2
        assert session.ran == []

    def test_hands_files_and_time_limit_on(self, session: FakeSession, tmp_path: Path) -> None:
        paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
        for path in paths:
            path.touch()
        assert main(["run", "--file", str(paths[0]), "--timeout", "2.5", "--file", str(paths[1]), "code"]) == 0
        assert session.ran == [("code", 2.5, paths)]

    def test_refuses_files_that_do_not_exist(self, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", "--file", "nope.csv", "code"]) == 2
        assert capsys.readouterr().err == "threadbook: nope.csv is not a file; give the path of one that exists\n"
        assert session.ran == []

    def test_gives_up_before_the_cell_begins(self, session: FakeSession) -> None:
        from tests.threadbook.test_cell import press

        session.cells = [[press, session.was_interrupted.wait, CellStarted(1)]]
        assert main(["run", "code"]) == 130

    def test_as_json_prints_one_object_with_every_field(self, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        outputs = [stream("a\n"), value({"text/plain": "é\x1b[2J", "application/json": {"n": float("nan")}}), error()]
        session.cells = [cell_of(outputs, status="error", cause="ValueError: no", duration_s=0.5)]
        assert main(["run", "--json", "code"]) == 1
        said = capsys.readouterr()
        assert said.err == ""
        assert said.out.count("\n") == 1
        assert said.out.isascii()
        found = json.loads(said.out, parse_constant=pytest.fail)
        assert set(found) == {*ExecutionResult.__dataclass_fields__, "session_id", "user_id"}
        assert (found["status"], found["cause"], found["state_lost"]) == ("error", "ValueError: no", False)
        assert (found["session_id"], found["user_id"]) == ("default", "local")
        assert found["outputs"][1]["data"]["text/plain"] == "é\x1b[2J"


@pytest.mark.usefixtures("interpreter")
class TestSessions:
    def test_are_listed_in_columns(self, interpreter: FakeInterpreter, capsys: pytest.CaptureFixture[str]) -> None:
        interpreter.known.append(FakeSession(Path("/s"), "日本", "a\u202eb", has_kernel=False))
        assert main(["sessions"]) == 0
        header, first, second = capsys.readouterr().out.splitlines()
        assert header.split() == ["SESSION", "USER", "STATE", "KERNEL", "CELLS", "LAST", "USED"]
        assert first.split()[:5] == ["default", "local", "idle", "4711", "3"]
        assert second.split()[:5] == [r"a\u202eb", "日本", "dead", "-", "3"]
        assert first.index("local") == header.index("USER")
        assert second.index("dead") == header.index("STATE") - 2  # two characters that take two columns each

    def test_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sessions", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["session_id"] == "default"
        assert set(found) >= {"user_id", "state", "kernel_pid", "connection_file"}

    def test_that_do_not_exist_are_none(self, interpreter: FakeInterpreter, capsys: pytest.CaptureFixture[str]) -> None:
        interpreter.known.clear()
        assert main(["sessions"]) == 0
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("threadbook: no sessions yet")
        assert main(["sessions", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []


@pytest.mark.usefixtures("interpreter")
class TestStop:
    def test_ends_the_kernel(self, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["stop"]) == 0
        assert session.done == ["stop"]
        assert capsys.readouterr().out == "stopped session default\n"

    def test_says_when_there_is_none(self, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        session.has_kernel = False
        assert main(["stop"]) == 0
        assert capsys.readouterr().out == "session default has no kernel\n"

    def test_all_ends_everything(self, interpreter: FakeInterpreter, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["stop", "--all"]) == 0
        assert interpreter.stopped
        assert capsys.readouterr().out == "ended 1 kernel\n"


@pytest.mark.usefixtures("interpreter")
class TestExport:
    def test_writes_a_notebook_and_prints_its_path(self, session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
        session.history = history_of("x = 1", "x")
        assert main(["export"]) == 0
        path = Path(capsys.readouterr().out.removesuffix("\n"))
        assert path == Path("default.ipynb")
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(notebook)
        assert [cell.source for cell in notebook.cells if cell.cell_type == "code"] == ["x = 1", "x"]

    def test_writes_where_it_is_told(self, session: FakeSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        session.history = history_of("x = 1")
        target = tmp_path / "analysis.ipynb"
        assert main(["export", "-o", str(target)]) == 0
        assert capsys.readouterr().out == f"{target}\n"
        assert target.is_file()

    def test_refuses_a_place_that_is_none(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", "-o", str(tmp_path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("interpreter")
class TestStatus:
    def test_is_readable(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["status"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "data dir            /data",
            "environment python  -",
            "environment fresh   no",
            "kernels             2",
        ]

    def test_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["status", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["kernels"] == 2


class TestStreams:
    def test_an_output_that_cannot_be_written_is_one_line(self) -> None:
        done = call_with_stdout("/dev/full")
        assert done.returncode == 3
        assert done.stderr == "threadbook: No space left on device\n"

    def test_a_reader_that_has_gone_needs_no_telling(self) -> None:
        reading = subprocess.Popen(["true"], stdin=subprocess.PIPE)
        reading.wait()
        assert reading.stdin is not None
        done = call_with_stdout(reading.stdin.fileno())
        reading.stdin.close()
        assert (done.returncode, done.stderr) == (0, "")


PRINTER = """
import sys
from argparse import Namespace
from threadbook import app
sys.modules["commands"] = type(sys)("commands")
sys.modules["commands"].command = lambda options: print("out") or 0
sys.exit(app.call(Namespace(function="commands:command")))
"""


def call_with_stdout(target: str | int) -> subprocess.CompletedProcess[str]:
    def run(stdout: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PRINTER],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )

    if isinstance(target, int):
        return run(target)
    with Path(target).open("w", encoding="utf-8") as stdout:
        return run(stdout)


def test_development_mode_shows_where_an_error_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flags:
        dev_mode = True

    def fail(options: Namespace) -> Iterator[int]:
        raise RuntimeError("surprise")

    monkeypatch.setattr(sys, "flags", Flags())
    monkeypatch.setattr("threadbook.status.status", fail)
    with pytest.raises(RuntimeError, match="surprise"):
        app.call(Namespace(function="threadbook.status:status"))
