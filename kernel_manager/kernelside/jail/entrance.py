"""The way into a jail, step by step."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from . import capabilities, descriptors, environment, landlock, libc, mounts, namespaces, network, rlimits, seccomp
from .cgroup import Group
from .errors import JailError
from .policy import JailPolicy
from .script import Part, Script, Slot, Step, step, tagged


@dataclass(frozen=True, slots=True)
class Plan:
    """A jail thought through: what is left for init is to do it. Made by :func:`plan`."""

    policy: JailPolicy
    build: Script
    give_up: Script
    init_keeps: tuple[int, ...]
    kernel_keeps: tuple[int, ...]
    group: Group | None


def plan(policy: JailPolicy, init_keeps: Iterable[int], kernel_keeps: Iterable[int], group: Group | None = None) -> Plan:
    """Think the jail through, in the process that will fork init. Raises :class:`JailError` and :class:`OSError`.

    Of the open descriptors, init and the kernel each keep those named, and init those of *group*, which the kernel will be in.
    The kernel's are in the hands of strangers, who can open files and pipes anew in the other direction
    (``/proc/self/fd``); folders are refused. The first plan looks at the host and takes some milliseconds; make one when the
    process starts.
    """
    libc.raw()
    for descriptor in (kernels := tuple(kernel_keeps)):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise JailError("descriptors", f"{descriptor} is a folder: whoever has it, leaves the jail through it")
    own = group.descriptors() if group is not None else []
    build, give_up = _scripts(policy)
    return Plan(policy, build, give_up, (*init_keeps, *own), kernels, group)


def enter(plan: Plan) -> None:
    """Build the jail around this process, which :func:`.namespaces.spawn` just made, and give up all rights to leave it.

    Raises :class:`JailError`: then the process must end. The order is the point:

    1. An ordinary user's first user namespace gets its ids before anything else, or new files would belong to nobody.
    2. Mounts, loopback and host name take rights that the later steps give away. Mounts come before any change of user,
       because what is shown may lie below folders that only the service can pass.
    3. Every descriptor that is not kept is closed.
    4. Root becomes the kernel's user *before* the user namespace is made, so that this user owns it, not root; and this user
       namespace comes after all other namespaces, so that these belong to its parent: no capability in it reaches a mount.
    5. Quotas of 0 for further namespaces take a capability in that user namespace, so they come before all are dropped.
    6. no_new_privs, then the filter, which needs it and denies most of the above.
    """
    plan.build.run()
    opened = [*plan.build.opened(Slot.QUOTAS), *plan.build.opened(Slot.LOCKS)]
    descriptors.close_all_but([*plan.init_keeps, *plan.kernel_keeps, *opened])
    plan.give_up.take(Slot.QUOTAS, plan.build)
    plan.give_up.run()
    if plan.policy.network:
        landlock.scope()


def _scripts(policy: JailPolicy) -> tuple[Script, Script]:
    """What builds the jail, and what gives up the rights to do so. Only what is this kernel's own is thought through anew."""
    shared = _common(_anybodys(policy))
    mounting = "mount" in policy.namespaces
    own = tagged("mount namespace", mounts.own(policy, shared.folders)) if mounting else []
    build = Script(Part(_first(policy)), shared.build, Part(own), shared.enter)
    return build, Script(Part(_become(policy)), shared.give_up)


def _anybodys(policy: JailPolicy) -> JailPolicy:
    """The policy without what differs from kernel to kernel."""
    return replace(policy, host_uid=1, host_gid=1, workspace="", files=None, packages=None, sockets=None, variables=())


@dataclass(frozen=True, slots=True)
class _Common:
    build: Part
    enter: Part
    give_up: Part
    folders: frozenset[str]


@lru_cache(maxsize=8)
def _common(policy: JailPolicy) -> _Common:
    build: list[Step] = []
    if "network" in policy.clone_namespaces:
        build += tagged("network namespace", network.raise_loopback())
    if "uts" in policy.namespaces:
        build += tagged("uts namespace", namespaces.set_names(policy.hostname))
    if "mount" not in policy.namespaces:
        return _Common(Part(build), Part([]), Part(_drop(policy)), frozenset())
    root = mounts.common(policy)
    build += tagged("mount namespace", root.steps)
    return _Common(Part(build), Part(tagged("mount namespace", mounts.enter_stage())), Part(_drop(policy)), root.folders)


def _first(policy: JailPolicy) -> list[Step]:
    steps = [step("session", "setsid")]
    if "user" in policy.clone_namespaces:
        steps += tagged("user namespace", namespaces.map_ids(policy, policy.host_uid, policy.host_gid))
    return steps


def _become(policy: JailPolicy) -> list[Step]:
    steps: list[Step] = []
    if policy.privileged:
        steps += tagged("unprivileged user", capabilities.become(policy.host_uid, policy.host_gid))
    # A change of user makes a process undumpable, and with that root the owner of its /proc/self.
    steps.append(capabilities.dumpable(True))
    if "user" in policy.namespaces:
        steps += tagged("user namespace", namespaces.own_user_namespace(policy))
    return steps


def _drop(policy: JailPolicy) -> list[Step]:
    steps: list[Step] = []
    if {"user", "mount"} <= policy.namespaces:
        steps += tagged("user namespace", namespaces.set_quotas())
    if "mount" in policy.namespaces:
        steps.append(namespaces.close_quotas())
    if policy.privileged or "user" in policy.namespaces:
        steps += tagged("capabilities", capabilities.drop_all())
    steps += [rlimits.no_cores(), seccomp.refuse_new_privileges()]
    if policy.system_calls:
        steps.append(seccomp.install(policy.memory_counted))
    return [*steps, capabilities.dumpable(False)]


@dataclass(frozen=True, slots=True)
class Kernel:
    """The process beside init. In it ``pid`` is 0 and :meth:`wait` holds it until init is done; in init ``pid`` is its pid."""

    pid: int
    gate: int

    def wait(self) -> None:
        """Return once the control group holds this process. Code of strangers must not run before. Raises JailError."""
        opened = os.read(self.gate, 1)
        os.close(self.gate)
        if not opened:
            raise JailError("control group", "init ended or failed before the kernel was in it")


def start_kernel(plan: Plan) -> Kernel:
    """Fork the kernel's process from init: it is born into the jail. Raises :class:`JailError` in either of the two.

    Joining a control group waits for a grace period of the operating system (10 to 20 ms), so init does it beside the start
    of the kernel, which waits for it at the gate.
    """
    inner, outer = os.pipe()
    pid = os.fork()
    if pid == 0:
        descriptors.close_all_but([*plan.kernel_keeps, inner])
        _become_kernel(plan.policy)
        return Kernel(0, inner)
    descriptors.close_all_but([*plan.init_keeps, *plan.build.opened(Slot.LOCKS), outer])
    if plan.group is not None:
        plan.group.add(pid)
    with suppress(BrokenPipeError):  # the kernel is dead already; who waits for it will know
        os.write(outer, b"1")
    os.close(outer)
    return Kernel(pid, -1)


def _become_kernel(policy: JailPolicy) -> None:
    os.setsid()
    capabilities.set_dumpable(True)
    if "mount" in policy.namespaces:
        _go_first(policy.oom_score_adj)
    rlimits.apply(policy.limits)
    environment.replace(policy.variables)


def _go_first(score: int) -> None:
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(score))
