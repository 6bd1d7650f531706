"""Every command with its options, its help and the function that does its work.

Functions are named, not imported: only the module of the command that runs is loaded.
"""

from __future__ import annotations

from pathlib import Path

from notebooks_export.arguments import add_export_options
from threadbook.arguments import (
    Commands,
    OneLineParser,
    add_command,
    add_file_option,
    add_group,
    add_json_option,
    add_session_options,
    add_user_option,
    new_parser,
    seconds,
)


def build_parser() -> OneLineParser:
    """Return the parser of the whole command."""
    parser = new_parser()
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups = (
        _run,
        _console,
        _chat,
        _bot,
        _files,
        _packages,
        _sessions,
        _attach,
        _export,
        _import,
        _stop,
        _env,
        _kernelspec,
        _status,
        _doctor,
        _cleanup,
    )
    for add in groups:
        add(commands)
    return parser


def _run(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "run",
        "threadbook.run:run",
        about="Run code in a session and show what comes of it.",
        examples=[
            "threadbook run 'x = 41'",
            "threadbook run --file sales.csv 'load_file(\"sales.csv\").describe()'",
            "threadbook run --json - < analysis.py",
        ],
        more="exit status: 0 it ran well, 1 the code failed, 2 wrong usage, 3 the service failed",
    )
    parser.add_argument("code", metavar="CODE", help="the code; - reads it from stdin")
    add_session_options(parser)
    add_file_option(parser)
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="how long the code may run")
    add_json_option(parser)


def _console(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "console",
        "threadbook.console:console",
        about="Work in a session interactively.",
        examples=["threadbook console", "threadbook console --session sales --file sales.csv"],
    )
    add_session_options(parser)
    add_file_option(parser)


def _chat(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "chat",
        "threadbook.chat:chat",
        about="Talk to a model that works in a session.",
        examples=["threadbook chat", "threadbook chat --once 'what is the mean of price?' --file diamonds.csv"],
        more="exit status of --once: 0 answered, 2 wrong usage or over a limit, 3 the model or the service failed, 130 stopped",
    )
    parser.add_argument("--once", metavar="MESSAGE", help="answer one message and leave; - reads it from stdin")
    add_session_options(parser)
    add_file_option(parser)
    parser.add_argument("--assistant", metavar="ID", help="who answers (default: the user's choice)")
    parser.add_argument("--json", action="store_true", help="with --once: print one JSON document instead")


def _bot(commands: Commands[OneLineParser]) -> None:
    add_command(
        commands,
        "bot",
        "threadbook.bot:bot",
        about="Run the Discord bot.",
        examples=["DISCORD_TOKEN=… threadbook bot"],
        more="exit status: 2 a setting is missing or wrong, or the sandbox does not hold; 3 Discord cannot be reached",
    )


def _files(commands: Commands[OneLineParser]) -> None:
    group = add_group(
        commands,
        "files",
        about="Add, list or remove the files that sessions can load.",
        examples=["threadbook files add sales.csv", "threadbook files list", "threadbook files rm sales.csv"],
    )
    adding = add_command(
        group,
        "add",
        "threadbook.files:add",
        about="Add files; load_file('NAME') opens them in every session of the user.",
        examples=["threadbook files add sales.csv costs.xlsx", "threadbook files add --user ada --json sales.csv"],
        more="Where a limit is reached (MAX_FILES_PER_USER, MAX_USER_FILES_MB), the oldest files go, and are named on stderr.",
    )
    adding.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="what to add; it is copied")
    listing = add_command(
        group,
        "list",
        "threadbook.files:list_files",
        about="List the files, the newest first.",
        examples=["threadbook files list", "threadbook files list --json"],
    )
    removing = add_command(
        group,
        "rm",
        "threadbook.files:remove",
        about="Remove files.",
        examples=["threadbook files rm sales.csv", "threadbook files rm 0f3a6c1d2e4b5978"],
    )
    removing.add_argument("files", nargs="+", metavar="FILE", help="a file's id, or a name: the newest file of that name goes")
    for parser in (adding, listing, removing):
        add_user_option(parser, "whose files")
        add_json_option(parser)


def _sessions(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "sessions",
        "threadbook.sessions:list_sessions",
        about="List all sessions and their kernels.",
        examples=["threadbook sessions", "threadbook sessions --json"],
    )
    add_json_option(parser)


def _attach(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "attach",
        "threadbook.sessions:attach",
        about="Open a Jupyter console on a session's live kernel.",
        examples=["threadbook attach", "threadbook attach --session sales"],
        more="Ctrl-D leaves; the kernel stays. What is run there is in the session's history.",
    )
    add_session_options(parser)


def _export(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "export",
        "threadbook.notebooks:export",
        about="Write a session as a notebook and print its path.",
        examples=[
            "threadbook export -o analysis.ipynb",
            "threadbook export --session sales --bundle --verify",
            "threadbook export --format html --max-size 10",
        ],
    )
    add_export_options(parser)
    add_session_options(parser)
    default = "(default: the session's name, in the current folder)"
    parser.add_argument("-o", "--output", type=Path, metavar="PATH", help=f"where to write it {default}")


def _import(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "import",
        "threadbook.notebooks:import_",
        about="Open a notebook as a new session and print its name.",
        examples=["threadbook import analysis.ipynb", "threadbook import analysis.ipynb --file sales.csv --run"],
        more="Its cells are shown, its Markdown becomes context; nothing runs without --run or --up-to.",
    )
    parser.add_argument("notebook", type=Path, metavar="FILE.ipynb", help="the notebook, of format 3 or 4")
    parser.add_argument("--user", default="local", metavar="ID", help="whose session (default: %(default)s)")
    parser.add_argument("--session", metavar="ID", help="its name, which must be new (default: after the notebook)")
    add_file_option(parser)
    running = parser.add_mutually_exclusive_group()
    running.add_argument("--run", action="store_true", help="run all cells; one that fails ends it")
    running.add_argument("--up-to", type=int, metavar="N", help="run the cells up to the N-th")


def _stop(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "stop",
        "threadbook.sessions:stop",
        about="End the kernel of a session; its history and files stay.",
        examples=["threadbook stop", "threadbook stop --session sales", "threadbook stop --all"],
    )
    add_session_options(parser)
    parser.add_argument("--all", action="store_true", help="end every kernel, and the process that kernels are forked from")


def _env(commands: Commands[OneLineParser]) -> None:
    group = add_group(
        commands,
        "env",
        about="Build or show the Python environment that kernels run in.",
        examples=["threadbook env build", "threadbook env status --json"],
    )
    building = add_command(
        group,
        "build",
        "threadbook.env:build",
        about="Build a new environment; kernels that start from then on use it.",
        examples=["threadbook env build", "threadbook env build --if-needed"],
    )
    building.add_argument("--if-needed", action="store_true", help="keep the one that is there if it is up to date")
    add_json_option(building)
    showing = add_command(
        group,
        "status",
        "threadbook.env:status",
        about="Show the environment that kernels run in.",
        examples=["threadbook env status", "threadbook env status --json"],
    )
    add_json_option(showing)


def _packages(commands: Commands[OneLineParser]) -> None:
    group = add_group(
        commands,
        "packages",
        about="Show, add or remove the packages that were installed for a user.",
        examples=["threadbook packages list", "threadbook packages install seaborn 'polars>=1'"],
    )
    listing = add_command(
        group,
        "list",
        "threadbook.packages:list_packages",
        about="List what was installed for a user, beside the kernel environment.",
        examples=["threadbook packages list", "threadbook packages list --user ada --json"],
    )
    installing = add_command(
        group,
        "install",
        "threadbook.packages:install",
        about="Install approved packages for a user; live kernels can import them at once.",
        examples=["threadbook packages install seaborn", "threadbook packages install --user ada 'polars>=1'"],
    )
    installing.add_argument("packages", nargs="+", metavar="PACKAGE", help="a name, with versions if they matter")
    resetting = add_command(
        group,
        "reset",
        "threadbook.packages:reset",
        about="Remove all that was installed for a user; the kernel environment stays.",
        examples=["threadbook packages reset", "threadbook packages reset --user ada"],
        more="A kernel that has imported a package keeps it until it is restarted.",
    )
    for parser in (listing, installing, resetting):
        parser.add_argument("--user", default="local", metavar="ID", help="whose packages (default: %(default)s)")
    for parser in (listing, installing):
        add_json_option(parser)


def _kernelspec(commands: Commands[OneLineParser]) -> None:
    group = add_group(
        commands,
        "kernelspec",
        about="Make Threadbook's kernel known to Jupyter.",
        examples=["threadbook kernelspec install"],
    )
    parser = add_command(
        group,
        "install",
        "threadbook.kernelspec:install",
        about="Install a kernelspec, for Jupyter applications that run in this Python environment.",
        examples=["threadbook kernelspec install", "threadbook kernelspec install --user"],
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--sys-prefix", action="store_true", help="into this Python environment (the default)")
    where.add_argument("--user", action="store_true", help="into the folder of this user")
    where.add_argument("--prefix", metavar="PATH", help="into the environment at PATH")


def _status(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "status",
        "threadbook.status:status",
        about="Show folders, kernel environment, sessions, live kernels, files and free space.",
        examples=["threadbook status", "threadbook status --json"],
    )
    add_json_option(parser)


def _doctor(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "doctor",
        "threadbook.doctor:doctor",
        about="Try what keeps kernels in on this machine, and say what to do about what is missing.",
        examples=["threadbook doctor", "threadbook doctor --json"],
        more="exit status: 0 every protection holds, 1 one is missing, 2 wrong usage, 3 the service failed",
    )
    add_json_option(parser)


def _cleanup(commands: Commands[OneLineParser]) -> None:
    parser = add_command(
        commands,
        "cleanup",
        "threadbook.cleanup:cleanup",
        about="Remove now what has expired or was abandoned, and say what went.",
        examples=["threadbook cleanup", "threadbook cleanup --json"],
        more="The service does it by itself, every CLEANUP_INTERVAL_HOURS. Nothing goes that a running cell may use.",
    )
    add_json_option(parser)
