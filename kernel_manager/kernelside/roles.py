"""The roles of this package's processes, each as a function of the command line."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import NoReturn

from . import containment, init, zygote
from .containment import Demand
from .enclosure import Enclosure, NoEnclosure, die_with_parent
from .handles import KernelHandles, Pipes, inherited, numbers_of
from .jail import JailError, executable
from .jail_enclosure import JailEnclosure
from .zygote import Layout, kernel_plan


def zygote_role(options: Namespace) -> None:
    """Leave the caller, then serve on the inherited socket."""
    demand = Demand.parse(options.demand)
    _leave_writable_interpreter(demand)
    server = socket.socket(fileno=options.fd)
    server.set_inheritable(False)
    _daemonize()
    layout, preload = _layout(options), _names(options.preload)
    containment.hide_start("zygote")
    zygote.main(server, layout, preload, options.idle_timeout, demand, options.held)


def init_role(options: Namespace) -> None:
    """Supervise one kernel: in a jail a fork of this process, otherwise a program of its own."""
    demand = Demand.parse(options.demand)
    _leave_writable_interpreter(demand)
    plan = kernel_plan(_layout(options), json.loads(options.kernel))
    looking = containment.Looking(demand, options.runtime) if demand.sandbox != "none" else None
    contained = containment.find(demand, looking.findings() if looking is not None else None)
    enclosure = zygote.enclose(contained, plan)
    _daemonize()
    if isinstance(enclosure, JailEnclosure):
        containment.hide_start("init")
        _supervise_jail(plan, enclosure, options.held)
    init.Init(plan.kernel_dir, plan.idle_timeout, enclosure, options.held).run(
        lambda enclosure, _pipes, handles: _start_program(options, enclosure, _pipes, handles)
    )
    os._exit(0)


def kernel_role(options: Namespace) -> None:
    """Be a kernel from nothing, under an init."""
    die_with_parent(os.getppid())
    from . import app as kernel_app

    plan = kernel_plan(_layout(options), json.loads(options.kernel))
    handles = inherited(plan.kernel_dir, [int(number) for number in options.pipes.split(",")])
    app = kernel_app.build((), warm_up=False)
    kernel_app.run(app, handles, zygote.places_of(plan, jailed=False))


def doctor_role(options: Namespace) -> None:
    """Print which protections this host gives, as JSON."""
    demand = Demand.parse(options.demand)
    _leave_writable_interpreter(demand)
    print(json.dumps(containment.find(demand, containment.look(demand)).report()))  # noqa: T201


def _supervise_jail(plan: zygote.KernelPlan, enclosure: JailEnclosure, held: int | None) -> NoReturn:
    """Fork the jail's init, and stay to clean up after it."""
    from . import app as kernel_app

    pid = zygote.fork_init(enclosure)
    if pid == 0:
        zygote.become_init(plan, enclosure, lambda: kernel_app.build((), warm_up=False), held)
    os.waitpid(pid, 0)
    zygote.dispose(enclosure)
    os._exit(0)


def _leave_writable_interpreter(demand: Demand) -> None:
    """Come back from a read-only mount where kernels could write to the file of this very interpreter."""
    if demand.sandbox != "none" and executable.is_exposed():
        with contextlib.suppress(JailError):
            executable.restart_read_only([sys.executable, *sys.orig_argv[1:]], dict(os.environ))


def _start_program(options: Namespace, enclosure: Enclosure, pipes: Pipes, handles: KernelHandles) -> int:
    plan = kernel_plan(_layout(options), json.loads(options.kernel))
    passed = numbers_of(handles)
    command = [
        *(sys.executable, "-I", str(Path(__file__).parent), "kernel"),
        *("--runtime", options.runtime, "--data", options.data, "--kernel", options.kernel),
        *("--pipes", ",".join(map(str, passed))),
    ]
    process = subprocess.Popen(
        command,
        cwd=plan.workspace,
        stdin=subprocess.DEVNULL,
        stdout=pipes.stdout_write,
        stderr=pipes.stderr_write,
        pass_fds=passed,
        env={**os.environ, "HOME": plan.workspace},
        start_new_session=True,
    )
    process.returncode = 0  # the init reaps; Popen must not
    if isinstance(enclosure, NoEnclosure):
        enclosure.let_go()
    return process.pid


def _layout(options: Namespace) -> Layout:
    return Layout(runtime=options.runtime, data=options.data)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _daemonize() -> None:
    """Let the starter go on at once: it reaps its own child, and this process belongs to nobody."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)


ROLES = {"zygote": zygote_role, "init": init_role, "kernel": kernel_role, "doctor": doctor_role}
