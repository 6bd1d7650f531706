"""The command as a person uses it: processes, kernels, files."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pexpect
import pytest

from kernel_manager.execution.result import ExecutionResult
from kernel_manager.packages.environments import Environment
from threadbook.figures import pixels

ROOT = Path(__file__).parents[2]
THREADBOOK = [sys.executable, "-m", "threadbook"]
#: Nothing here takes that long, in seconds, on however busy a machine.
PATIENCE_S = 50
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cli:
    """Runs commands on folders that all tests of this module share, each test with a session of its own."""

    folder: Path
    environments: Path
    session: str

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(self.folder / "data"),
            "RUNTIME_DIR": str(self.folder / "run"),
            "ENVIRONMENTS_DIR": str(self.environments),
            "KERNEL_IDLE_TIMEOUT": "300",
            "ZYGOTE_IDLE_TIMEOUT": "60",
            "INTERRUPT_GRACE": "2",
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*THREADBOOK, *arguments],
            input=stdin,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        done.stderr = said(done.stderr)
        return done

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """``threadbook run`` in this test's session."""
        return self("run", "--session", self.session, *arguments, stdin=stdin)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def kernel_of_session(self) -> Any:
        """What ``threadbook sessions`` says of this test's session."""
        (found,) = (each for each in self.json("sessions") if each["session_id"] == self.session)
        return found

    def start(self, code: str) -> subprocess.Popen[str]:
        """Start ``threadbook run`` and go on once the code has printed a line."""
        command = [*THREADBOOK, "run", "--session", self.session, code]
        process = subprocess.Popen(command, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    @contextlib.contextmanager
    def at_terminal(self, *arguments: str) -> Iterator[pexpect.spawn[str]]:
        """A command whose screen and keyboard are a terminal. It has to end by itself."""
        command = [*THREADBOOK, *arguments, "--session", self.session]
        terminal = pexpect.spawn(
            command[0], command[1:], env=self.environ, encoding="utf-8", timeout=PATIENCE_S, dimensions=(40, 200)
        )
        try:
            yield terminal
            terminal.expect(pexpect.EOF)
        finally:
            terminal.close(force=True)

    @contextlib.contextmanager
    def console(self, *arguments: str) -> Iterator[pexpect.spawn[str]]:
        """A console that is left with Ctrl-D, at a prompt."""
        with self.at_terminal("console", *arguments) as console:
            yield console
            console.sendcontrol("d")

    @property
    def workspace(self) -> Path:
        return self.folder / "data" / "sessions" / "local" / self.session / "workspace"


@pytest.fixture(scope="module")
def shared(kernel_environment: Environment) -> Iterator[Cli]:
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))  # short enough for the paths of sockets
    cli = Cli(folder, kernel_environment.root.parent, "shared")
    yield cli
    cli("stop", "--all")
    shutil.rmtree(folder)


@pytest.fixture
def cli(shared: Cli) -> Cli:
    # Its kernel makes room for those of later tests by itself: a user has three at most.
    return Cli(shared.folder, shared.environments, f"session-{next(_numbers)}")


def prompt(number: int) -> str:
    """The pattern of a prompt of that number, in whatever colours."""
    colours = r"(?:\x1b\[[\d;]*m)*"
    return rf"In \[{colours}{number}{colours}\]: "


def said(stderr: str) -> str:
    """What a command said, but that this machine lacks a protection: an ordinary user's may lack one."""
    return re.sub(r"threadbook: warning: kernels run without: .*\n", "", stderr)


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    return stdout, said(stderr)


class TestRun:
    def test_state_goes_from_one_process_to_the_next(self, cli: Cli) -> None:
        assert cli.run("x = 41").returncode == 0
        assert cli.run("x + 1").stdout == "42\n"

    def test_as_json(self, cli: Cli) -> None:
        done = cli.run("--json", "open('a.txt', 'w').write('abc'); print('out'); 1 + 1")
        found = json.loads(done.stdout)
        assert set(found) == {*ExecutionResult.__dataclass_fields__, "session_id", "user_id"}
        assert (found["status"], found["cause"], found["state_lost"], found["installed_packages"]) == ("ok", None, False, [])
        assert (found["session_id"], found["user_id"], found["execution_count"]) == (cli.session, "local", 1)
        assert [output["output_type"] for output in found["outputs"]] == ["stream", "execute_result"]
        (file,) = found["files"]
        assert (file["filename"], file["size"], file["mime"]) == ("a.txt", 3, "text/plain")
        assert Path(file["path"]).read_text() == "abc"
        assert done.stderr == ""

    def test_fails_as_the_code_does(self, cli: Cli) -> None:
        done = cli.run("1 / 0")
        assert done.returncode == 1
        assert done.stdout == ""
        assert "\x1b" not in done.stderr
        assert done.stderr.splitlines()[-1] == "error: ZeroDivisionError: division by zero"

    def test_tells_of_a_kernel_that_dies(self, cli: Cli) -> None:
        done = cli.run("print('before'); import os; os._exit(7)")
        assert (done.returncode, done.stdout) == (1, "before\n")
        assert done.stderr.startswith("died: ")
        assert "state lost" in done.stderr
        assert cli.run("1 + 1").stdout == "2\n"

    @pytest.mark.slow
    def test_keeps_to_the_time_limit(self, cli: Cli) -> None:
        done = cli.run("--timeout", "0.5", "x = 1\nwhile True: pass")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("timeout: ")
        assert cli.run("x").stdout == "1\n"

    def test_takes_code_from_stdin(self, cli: Cli) -> None:
        assert cli.run("-", stdin="for i in range(2):\n    print(i)\n").stdout == "0\n1\n"

    def test_nobody_answers_where_nobody_is(self, cli: Cli) -> None:
        done = cli.run("input('name? ')")
        assert done.returncode == 1
        assert "EOFError" in done.stderr

    def test_hands_files_in(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "numbers.csv").write_text("a,b\n1,2\n3,4\n")
        done = cli.run("--file", str(tmp_path / "numbers.csv"), "load_file('numbers.csv').a.sum()")
        assert done.stdout.rstrip().endswith("4") or "(4)" in done.stdout
        assert done.stderr == ""

    def test_saves_figures_beside_the_workspace(self, cli: Cli) -> None:
        done = cli.run("import matplotlib.pyplot as plt\n_ = plt.plot([1, 2, 3])")
        kind, _, rest = done.stdout.partition(": ")
        path, _, size = rest.strip().rpartition(" ")
        assert kind == "figure"
        width, height = pixels(Path(path).read_bytes()) or (0, 0)
        assert size == f"({width}x{height})"
        assert not Path(path).is_relative_to(cli.workspace)

    def test_output_cannot_command_the_terminal(self, cli: Cli) -> None:
        assert cli.run(r"print('a\x1b]52;c;ZXZpbA==\x07b\x1b[31mc')").stdout == "abc\n"

    def test_leaves_nothing_open_behind_it(self, cli: Cli) -> None:
        """A shell that takes its output would wait for whoever holds the other end, such as a new zygote."""
        assert cli("stop", "--all").returncode == 0
        command = shlex.join([*THREADBOOK, "run", "--session", cli.session, "print(6 * 7)"])
        done = subprocess.run(
            ["sh", "-c", f'x=$({command} 2>&1); echo "[$x]"'],
            env=cli.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert said(done.stdout) == "[42]\n"

    def test_stops_when_nobody_reads_any_more(self, cli: Cli) -> None:
        command = shlex.join([*THREADBOOK, "run", "--session", cli.session, "while True: print('y')"])
        done = subprocess.run(
            ["sh", "-c", f"{command} | head -n 1"],
            env=cli.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.stdout, said(done.stderr)) == ("y\n", "")
        assert cli.run("1 + 1").stdout == "2\n"

    def test_a_bad_setting_is_one_line(self, cli: Cli) -> None:
        command = ["env", "MAX_KERNELS=0", *THREADBOOK, "run", "1"]
        done = subprocess.run(command, env=cli.environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert done.stderr.startswith("threadbook: MAX_KERNELS=")


class TestTwoAtOnce:
    WAIT_FOR_GO = "import os, time\nprint('on', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nos.remove('go')"

    def test_the_second_waits_and_says_so(self, cli: Cli) -> None:
        first = self.start(cli)
        second = subprocess.Popen(
            [*THREADBOOK, "run", "--session", cli.session, "'second'"],
            env=cli.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr is not None
        assert second.stderr.readline() == f"session {cli.session} is in use by process {first.pid}; waiting\n"
        assert cli.kernel_of_session()["state"] == "busy"
        (cli.workspace / "go").touch()
        assert finish(first) == ("", "")
        assert finish(second)[0] == "'second'\n"

    def test_state_survives_the_kill_of_a_process_in_the_middle_of_a_cell(self, cli: Cli) -> None:
        cli.run("x = 41")
        first = self.start(cli)
        first.kill()
        finish(first)
        (cli.workspace / "go").touch()
        done = cli.run("x + 1")
        assert done.stdout == "42\n"
        assert "waiting" in done.stderr

    def start(self, cli: Cli) -> subprocess.Popen[str]:
        return cli.start(self.WAIT_FOR_GO)


class TestSessions:
    def test_are_listed(self, cli: Cli) -> None:
        cli.run("1")
        found = cli.kernel_of_session()
        assert found["state"] == "idle"
        assert found["user_id"] == "local"
        assert Path(found["connection_file"]).exists()
        assert Path(f"/proc/{found['kernel_pid']}").exists()
        assert cli.session in cli("sessions").stdout

    def test_kernel_pid_is_that_of_the_kernel(self, cli: Cli) -> None:
        pid = int(cli.run("import os, signal; print(os.getpid())").stdout)
        found = cli.kernel_of_session()["kernel_pid"]
        assert pid == found or f"NSpid:\t{found}" in Path(f"/proc/{found}/status").read_text()

    def test_are_exported_as_notebooks(self, cli: Cli, tmp_path: Path) -> None:
        cli.run("import matplotlib.pyplot as plt\n_ = plt.plot([1])\nprint('text')")
        cli.run("1 / 0")
        target = tmp_path / "analysis.ipynb"
        done = cli("export", "--session", cli.session, "-o", str(target))
        assert (done.returncode, done.stdout) == (0, f"{target}\n")
        notebook = nbformat.read(target, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and "part" not in cell.metadata.threadbook]
        assert [cell.execution_count for cell in code] == [1, 2]
        assert any("image/png" in output.get("data", {}) for output in code[0].outputs)
        assert code[1].outputs[0].ename == "ZeroDivisionError"

    def test_are_exported_verified_in_other_forms_and_refused(self, cli: Cli, tmp_path: Path) -> None:
        cli.run("import time\nprint(time.time())")
        cli.run("print('steady')")
        cli("stop", "--session", cli.session)  # so that there is room for a kernel to verify in
        done = cli("export", "--session", cli.session, "--verify", "--bundle", "-o", str(tmp_path / "a.zip"))
        assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'a.zip'}\n")
        assert done.stderr.endswith("threadbook: 1 of 2 cells reproduce; cell 1 uses the current time.\n")
        assert "threadbook:   +++ fresh run\n" in done.stderr
        page = cli("export", "--session", cli.session, "--format", "html", "--no-outputs", "-o", str(tmp_path / "a.html"))
        assert page.stderr == "threadbook: Left out as asked: 2 outputs.\n"
        assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
        both = cli("export", "--session", cli.session, "--format", "html", "--bundle")
        assert (both.returncode, both.stderr.count("\n")) == (2, 1)

    def test_are_made_of_notebooks_and_run(self, cli: Cli, tmp_path: Path) -> None:
        cells = [nbformat.v4.new_code_cell(code) for code in ("a = load_file('a.txt')", "print(a * 2)", "1 / 0", "print('no')")]  # type: ignore[no-untyped-call]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# T"), *cells])  # type: ignore[no-untyped-call]
        nbformat.write(notebook, tmp_path / "four cells.ipynb")  # type: ignore[no-untyped-call]
        (tmp_path / "a.txt").write_text("ha")
        made = cli(
            "import", str(tmp_path / "four cells.ipynb"), "--session", f"{cli.session}-i", "--file", str(tmp_path / "a.txt")
        )
        assert (made.returncode, made.stdout) == (0, f"{cli.session}-i\n")
        assert "threadbook: [3] 1 / 0\n" in made.stderr
        again = cli("import", str(tmp_path / "four cells.ipynb"), "--session", f"{cli.session}-i")
        assert (again.returncode, again.stderr.count("\n")) == (2, 1)
        ran = cli("import", str(tmp_path / "four cells.ipynb"), "--session", f"{cli.session}-r", "--run")
        assert ran.returncode == 1
        assert ran.stdout == f"{cli.session}-r\nhaha\n"
        assert "ZeroDivisionError" in ran.stderr
        part = cli("import", str(tmp_path / "four cells.ipynb"), "--session", f"{cli.session}-u", "--up-to", "2")
        assert (part.returncode, part.stdout) == (0, f"{cli.session}-u\nhaha\n")

    def test_are_not_made_of_anything_else(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "x.ipynb").write_text("{}")
        for name in ("x.ipynb", "missing.ipynb"):
            done = cli("import", str(tmp_path / name))
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)

    def test_are_stopped(self, cli: Cli) -> None:
        cli.run("x = 1")
        pid = cli.kernel_of_session()["kernel_pid"]
        assert cli("stop", "--session", cli.session).stdout == f"stopped session {cli.session}\n"
        assert not Path(f"/proc/{pid}").exists()
        assert cli.kernel_of_session()["state"] == "dead"
        assert cli.run("x").returncode == 1

    @pytest.mark.parametrize("command", ["export", "stop", "attach"])
    def test_that_do_not_exist_are_refused(self, command: str, cli: Cli) -> None:
        cli.run("1")
        done = cli(command, "--session", "nope")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert cli.session in done.stderr
        assert not (cli.folder / "data" / "sessions" / "local" / "nope").exists()

    def test_status_counts_them(self, cli: Cli) -> None:
        cli.run("1")
        found = cli.json("status")
        assert found["sessions"] >= 1
        assert found["kernels"] >= 1
        assert cli("status").returncode == 0

    def test_environment_is_told(self, cli: Cli) -> None:
        found = cli.json("env", "status")
        assert Path(found["python"]).exists()
        assert found["package_count"] > 10
        assert found["generation"]


@pytest.mark.slow
class TestAtTheTerminal:
    def test_ctrl_c_interrupts_the_cell(self, cli: Cli) -> None:
        cli.run("x = 1")
        with cli.at_terminal("run", "import time; print('on'); time.sleep(60)") as terminal:
            terminal.expect("on\r\n")
            terminal.sendintr()
            terminal.expect("interrupted: ")
        assert terminal.exitstatus == 1
        assert cli.run("x").stdout == "1\n"

    def test_a_second_ctrl_c_gives_up_what_ignores_the_first(self, cli: Cli) -> None:
        stubborn = "while True:\n    try:\n        print('on'); import time; time.sleep(60)\n    except KeyboardInterrupt: pass"
        with cli.at_terminal("run", stubborn) as terminal:
            for _ in range(2):
                terminal.expect("on\r\n")
                terminal.sendintr()
            terminal.expect("ending the cell; it has 2 s")
            terminal.expect("state lost")
        assert terminal.exitstatus == 130
        assert cli.run("1 + 1").stdout == "2\n"

    def test_questions_are_asked_in_place(self, cli: Cli) -> None:
        code = "from getpass import getpass; a = input('name? '); b = getpass('word? '); print(a + b)"
        with cli.at_terminal("run", code) as terminal:
            terminal.expect_exact("name? ")
            terminal.sendline("Ada")
            terminal.expect_exact("word? ")
            terminal.waitnoecho()
            terminal.sendline("secret")
            terminal.expect("Adasecret")
            assert "secret" not in str(terminal.before)

    def test_the_end_of_input_is_an_end_of_file(self, cli: Cli) -> None:
        with cli.at_terminal("run", "input('name? ')") as terminal:
            terminal.expect_exact("name? ")
            terminal.sendeof()
            terminal.expect("EOFError")

    def test_ctrl_c_at_a_question_interrupts_the_cell(self, cli: Cli) -> None:
        with cli.at_terminal("run", "input('name? ')") as terminal:
            terminal.expect_exact("name? ")
            terminal.sendintr()
            terminal.expect("interrupted: ")

    def test_an_attached_console_leaves_the_kernel_and_is_recorded(self, cli: Cli) -> None:
        cli.run("x = 41")
        with cli.at_terminal("attach") as terminal:
            terminal.expect_exact("Ctrl-D leaves")
            terminal.expect("In ")
            terminal.sendline("y = x + 1\r")
            terminal.expect("In ")
            terminal.sendline("import time; print('o' + 'n', flush=True); time.sleep(60)\r")
            terminal.expect("on\r\n")
            terminal.sendintr()
            terminal.expect("KeyboardInterrupt")
            terminal.expect("In ")
            terminal.sendline("exit\r")
        assert terminal.exitstatus == 0
        assert cli.run("y").stdout == "42\n"
        cli("export", "--session", cli.session, "-o", "attached.ipynb")
        assert "y = x + 1" in Path("attached.ipynb").read_text()


@pytest.mark.slow
class TestConsole:
    def test_text_table_and_figure_of_a_large_file(self, cli: Cli, tmp_path: Path) -> None:
        path = tmp_path / "sales.csv"
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["day", "region", "amount"])
            rows.writerows((day, "NESW"[day % 4], day % 97) for day in range(100_000))
        cells = [
            ("df = load_file('sales.csv'); print('rows:', len(df))", "rows: 100000"),
            ("df.groupby('region').amount.mean().to_frame()", r"region\s+E "),
            ("_ = df.groupby('region').amount.sum().plot.bar()", r"figure: (\S+\.png) \(\d+x\d+\)"),
        ]
        with cli.console("--file", str(path)) as console:
            for number, (code, shown) in enumerate(cells, 1):
                console.expect(prompt(number))
                console.send(f"{code}\r")
                console.expect(shown)
            assert isinstance(console.match, re.Match)
            assert pixels(Path(console.match.group(1)).read_bytes())
            console.expect(prompt(4))

    def test_goes_on_where_it_was_left(self, cli: Cli) -> None:
        with cli.console() as console:
            console.expect(prompt(1))
            console.send("x = 41\r")
            console.expect(prompt(2))
        assert f"Come back with: threadbook console --session {cli.session}" in str(console.before)
        assert console.exitstatus == 0
        with cli.console() as console:
            console.expect(prompt(2))
            console.send("x + 1\r")
            console.expect(r"Out\[2\]: 42")
            console.expect(prompt(3))

    def test_ctrl_c_interrupts_a_cell_and_clears_a_line(self, cli: Cli) -> None:
        with cli.console() as console:
            console.expect(prompt(1))
            console.send("import time; print('o' + 'n', flush=True); time.sleep(60)\r")
            console.expect("on\r\n")
            console.sendintr()
            console.expect("interrupted: ")
            console.expect(prompt(2))
            console.send("wrong")
            console.expect("wrong")
            console.sendintr()
            console.send("6 * 7\r")
            console.expect(r"Out\[2\]: 42")
            console.expect(prompt(3))

    def test_blocks_end_with_an_empty_line(self, cli: Cli) -> None:
        with cli.console() as console:
            console.expect(prompt(1))
            console.send("for i in range(2):\r")
            console.expect_exact("...:")
            console.send("print(i + 40)\r\r")
            console.expect("40\r\n41\r\n")
            console.expect(prompt(2))

    def test_tab_completes_what_the_kernel_knows(self, cli: Cli) -> None:
        cli.run("remarkable_name = 42")
        with cli.console() as console:
            console.expect(prompt(2))
            console.send("remarkab\t")
            console.expect("le_name")
            console.send("\r")
            console.expect(r"Out\[2\]: 42")
            console.expect(prompt(3))

    def test_a_restart_forgets_the_variables(self, cli: Cli) -> None:
        cli.run("x = 1")
        with cli.console() as console:
            console.expect(prompt(2))
            console.send(":restart\r")
            console.expect("a fresh kernel")
            console.expect(prompt(1))
            console.send("x\r")
            console.expect("NameError")
            console.expect(prompt(2))

    def test_takes_cells_from_a_pipe(self, cli: Cli) -> None:
        script = "x = 40\nfor i in range(2):\n    x += 1\n\ndef f():\n    a = x\n\n    return a\n\nf()\n1 / 0\n'end'\n"
        done = cli("console", "--session", cli.session, stdin=script)
        assert "ZeroDivisionError" in done.stderr
        assert (done.returncode, done.stdout) == (1, "42\n'end'\n")


def test_an_interrupt_while_nothing_runs_is_status_130(cli: Cli) -> None:
    process = subprocess.Popen(
        [*THREADBOOK, "console", "--session", cli.session],
        env=cli.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(":help\n")
    process.stdin.flush()
    while "Ctrl-D leaves" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert finish(process) == ("", "")
    assert process.returncode == 130
