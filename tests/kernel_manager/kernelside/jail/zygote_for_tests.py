"""A small zygote: builds one jail, runs one piece of Python in it, and reports. Run by the harness, as root or not.

``python zygote_for_tests.py PACKAGE_FOLDER REPORT`` with the request as a line of JSON on standard input. The standard streams
are the kernel's; the report is written to the descriptor REPORT as lines of JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

REPORT = int(sys.argv[2])


def module(name: str = "") -> Any:
    """The package, or a module of it, by the name under which a kernel environment has it."""
    return importlib.import_module(f"jail.{name}" if name else "jail")


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    request = json.loads(sys.stdin.readline())
    if request["restart"]:
        _restart(request)
    _serve(request)


def _restart(request: dict[str, Any]) -> None:
    """Come back as the same program from a read-only mount, with the request on the command line's behalf in the environment."""
    executable = module("executable")

    if executable.is_exposed() and "REQUEST" not in os.environ:
        inner, outer = os.pipe()
        os.write(outer, json.dumps({**request, "restart": False}).encode() + b"\n")
        os.close(outer)
        os.dup2(inner, 0)
        executable.restart_read_only([sys.executable, *sys.orig_argv[1:]], dict(os.environ))


def _serve(request: dict[str, Any]) -> None:
    jail, cgroup, environment, listeners = module(), module("cgroup"), module("environment"), module("listeners")

    environment.scrub("zygote")
    limits = jail.Limits(**request["limits"])
    prefixes = (sys.prefix, sys.base_prefix, *request["shown"])
    policy = jail.JailPolicy(
        **request["policy"],
        namespaces=frozenset(request["namespaces"]),
        limits=limits,
        environment=jail.environment_paths(sys.executable, *prefixes),
        variables=tuple(map(tuple, request["variables"])),
    )
    places = cgroup.find() if request["group"] else {}
    group = cgroup.create(f"threadbook-test-{os.getpid()}", limits, places) if places else None
    bound = listeners.listen(policy.sockets, ["kernel-1"]) if policy.sockets else {}
    init_report, report = os.pipe()
    plan = jail.plan(policy, [2, report], [0, 1, 2, *bound.values()], group)
    started = time.perf_counter()
    pid = jail.spawn(policy)
    if pid == 0:
        _be_init(plan, report, request, started)
    os.close(report)
    for descriptor in bound.values():
        os.close(descriptor)
    _tell({"init": pid})
    with os.fdopen(init_report, "rb", buffering=0) as file:
        while line := file.read(65_536):
            os.write(REPORT, line)
    _, status = os.waitpid(pid, 0)
    usage = None
    if group is not None:
        group.close()
        usage = {name: getattr(group.usage(), name) for name in ("memory", "peak", "oom_kills", "tasks", "refused_forks")}
        while not group.remove():
            group.kill()
    _tell({"init_status": status, "usage": usage, "held": sorted(group.held) if group is not None else []})


def _be_init(plan: Any, report: int, request: dict[str, Any], started: float) -> NoReturn:
    jail, supervisor = module(), module("supervisor")

    status = 97
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        jail.enter(plan)
        kernel = jail.start_kernel(plan)
        if kernel.pid == 0:
            _be_kernel(kernel, request)
        _send(report, {"kernel": kernel.pid, "milliseconds": (time.perf_counter() - started) * 1000})
        excess, locked = None, False
        while True:
            found, value = os.waitpid(-1, os.WNOHANG if request["supervise"] else 0)
            if found == kernel.pid:
                status = os.waitstatus_to_exitcode(value)
                break
            if request["supervise"] and not found:
                excess = excess or supervisor.excess(supervisor.measure(plan.policy.limits.memory), plan.policy.limits)
                if excess:
                    os.kill(kernel.pid, signal.SIGKILL)
                locked = locked or any(map(supervisor.has_too_many_locks, plan.build.opened(module("script").Slot.LOCKS)))
                select.select([], [], [], 0.02)
        _send(report, {"exit_code": status, "excess": excess, "locked": locked})
    except BaseException as exc:  # noqa: BLE001  (nothing may return into the zygote's code)
        _send(report, {"failed": str(exc)})
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(0)


def _be_kernel(kernel: Any, request: dict[str, Any]) -> NoReturn:
    status = 1
    try:
        kernel.wait()
        exec(compile(request["source"], "<kernel>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 0
    except BaseException:  # noqa: BLE001  (the same)
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _send(descriptor: int, message: dict[str, Any]) -> None:
    os.write(descriptor, json.dumps(message).encode() + b"\n")


def _tell(message: dict[str, Any]) -> None:
    _send(REPORT, message)


if __name__ == "__main__":
    main()
