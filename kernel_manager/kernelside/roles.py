"""The three roles of this package's processes, each as a function of the command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from . import init, zygote
from .zygote import KernelPlan, Layout, kernel_plan


def zygote_role(options: Namespace) -> None:
    """Leave the caller, then serve on the inherited socket."""
    server = socket.socket(fileno=options.fd)
    server.set_inheritable(False)
    _daemonize()
    zygote.main(server, _layout(options), _names(options.preload), options.idle_timeout)


def init_role(options: Namespace) -> None:
    """Supervise a kernel that is started as a program of its own."""
    request = json.loads(options.kernel)
    plan = kernel_plan(_layout(options), request)
    _daemonize()
    init.Init(plan.kernel_dir, plan.idle_timeout).run(lambda pipes: _start_program(options, pipes))
    os._exit(0)


def kernel_role(options: Namespace) -> None:
    """Be a kernel from nothing, under an init."""
    init.die_with_parent(os.getppid())
    from . import app as kernel_app

    plan: KernelPlan = kernel_plan(_layout(options), json.loads(options.kernel))
    stdout_read, stderr_read, news_write = map(int, options.pipes.split(","))
    app = kernel_app.build((), warm_up=False)
    kernel_app.run(app, plan, (stdout_read, stderr_read), news_write)


def _start_program(options: Namespace, pipes: init.Pipes) -> int:
    request = json.loads(options.kernel)
    plan = kernel_plan(_layout(options), request)
    passed = (pipes.stdout_read, pipes.stderr_read, pipes.news_write)
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


ROLES = {"zygote": zygote_role, "init": init_role, "kernel": kernel_role}
