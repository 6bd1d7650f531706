"""The probe tells the truth about this machine, and finds the strongest policy where something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.kernel_manager.kernelside.jail.harness import Builder

PROBE = """
import dataclasses, json, os, sys
sys.path.insert(0, sys.argv[1])
import jail
from jail import cgroup, capabilities, probe
WRAP
root = capabilities.is_privileged()
ids = (201_000, 201_000) if root else (os.geteuid(), os.getegid())
environment = jail.environment_paths(sys.executable, sys.prefix, sys.base_prefix)
policy = jail.JailPolicy('/nowhere', *ids, privileged=root, environment=environment)
findings = probe.probe(policy, cgroup.find())
print(json.dumps({
    'protections': {p.name: [p.held, p.means, p.advice] for p in findings.protections},
    'missing': [p.name for p in findings.missing],
    'namespaces': sorted(findings.policy.namespaces), 'system_calls': findings.policy.system_calls,
    'memory_counted': findings.policy.memory_counted}))
"""


def probe(builder: Builder, wrap: str = "") -> dict[str, Any]:
    identity: dict[str, Any] = (
        {} if builder.uid == os.geteuid() else {"user": builder.uid, "group": builder.uid, "extra_groups": []}
    )
    source = PROBE.replace("WRAP", textwrap.dedent(wrap))
    done = subprocess.run(
        [builder.python, "-B", "-c", source, str(builder.base / "package")],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
        **identity,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_what_jails_here_have_is_held(builder: Builder) -> None:
    answer = probe(builder)
    held = {name for name, (holds, _, _) in answer["protections"].items() if holds}
    namespaces = {f"{name} namespace" for name in ("user", "pid", "mount", "network", "ipc", "uts", "cgroup")}
    assert held >= namespaces | {
        "unprivileged user",
        "capabilities",
        "no new privileges",
        "system call filter",
        "init out of reach",
    }
    assert held >= {"memory limit", "task limit", "interpreter out of reach"}
    assert set(answer["missing"]) <= {"processor limit"}
    assert len(answer["namespaces"]) == 7


def test_each_missing_protection_comes_with_advice(builder: Builder) -> None:
    for holds, means, advice in probe(builder)["protections"].values():
        assert (bool(advice), means == "none") == (not holds, not holds)


def test_a_network_that_was_opened_on_purpose_is_called_so(builder: Builder) -> None:
    wrap = """
    real = jail.JailPolicy
    jail.JailPolicy = lambda *ids, **more: real(*ids, **more, network=True)
    """
    answer = probe(builder, wrap)
    assert answer["protections"]["network namespace"][0] is False
    assert "KERNEL_NETWORK is on" in answer["protections"]["network namespace"][2]


def test_without_groups_the_supervisor_counts(builder: Builder) -> None:
    answer = probe(builder, "cgroup.find = dict")
    assert answer["protections"]["memory limit"][:2] == [True, "supervisor"]
    assert answer["protections"]["task limit"][1] in ("rlimit", "supervisor")
    assert answer["protections"]["processor limit"][0] is False
    assert answer["memory_counted"] is False


@pytest.mark.parametrize("lost", ["network", "ipc", "uts", "cgroup"])
def test_a_namespace_that_the_host_lacks_is_left_out_and_reported(builder: Builder, lost: str) -> None:
    wrap = f"""
    import errno
    from jail import libc
    real = libc.call
    def call(name, *arguments):
        if name == 'clone' and arguments[0] & jail.namespaces.CLONE_FLAGS['{lost}']: raise OSError(errno.EINVAL, 'missing')
        return real(name, *arguments)
    libc.call = call
    """
    answer = probe(builder, wrap)
    assert sorted([*answer["namespaces"], lost]) == sorted(["user", "pid", "mount", "network", "ipc", "uts", "cgroup"])
    assert answer["protections"][f"{lost} namespace"][0] is False
    assert answer["protections"]["mount namespace"][0] is True
    assert answer["protections"]["system call filter"][0] is True


def test_without_user_namespaces_an_ordinary_user_still_has_the_filter(ordinary_builder: Builder) -> None:
    wrap = """
    import errno
    from jail import libc
    real = libc.call
    def call(name, *arguments):
        if name == 'clone' and arguments[0] & 0x10000000: raise OSError(errno.EPERM, 'Operation not permitted')
        return real(name, *arguments)
    libc.call = call
    """
    answer = probe(ordinary_builder, wrap)
    assert answer["namespaces"] == []
    assert answer["protections"]["system call filter"][0] is True
    assert answer["protections"]["mount namespace"][0] is False
    assert "user namespaces" in answer["protections"]["user namespace"][2]


def test_root_without_user_namespaces_keeps_all_the_rest(root_builder: Builder) -> None:
    wrap = """
    from jail import namespaces
    from jail.script import step
    namespaces.own_user_namespace = lambda policy: [step('user namespace', 'chdir', b'/does/not/exist')]
    """
    answer = probe(root_builder, wrap)
    assert answer["missing"] == ["user namespace"]
    assert len(answer["namespaces"]) == 6


def test_importing_the_package_does_nothing(tmp_path: Path) -> None:
    folder = Path(__file__).parents[4] / "kernel_manager" / "kernelside"
    names = [path.stem for path in (folder / "jail").glob("*.py") if path.stem != "__init__"]
    imports = f"import jail; from jail import {', '.join(names)}"
    source = f"import sys; sys.path.insert(0, {str(folder)!r}); {imports}; print(len(sys.modules))"
    folder_of_its_own = tmp_path / "empty"
    folder_of_its_own.mkdir()
    done = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, text=True, check=True, cwd=folder_of_its_own)
    assert done.stdout.strip().isdigit()
    assert not list(folder_of_its_own.iterdir())
