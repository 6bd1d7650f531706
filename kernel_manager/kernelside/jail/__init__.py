"""The jail: what the operating system does so that a kernel cannot leave, look around, or take the machine down.

The process that is forked (the zygote) makes a :class:`Plan` of a :class:`JailPolicy` and calls :func:`spawn`; the child is the
jail's init, calls :func:`enter` and :func:`start_kernel`, and watches. Standard library only; importing does nothing.
"""

from __future__ import annotations

from .entrance import Kernel, Plan, enter, plan, start_kernel
from .errors import JailError
from .namespaces import spawn
from .policy import JailPolicy, Limits, environment_paths

__all__ = ["JailError", "JailPolicy", "Kernel", "Limits", "Plan", "enter", "environment_paths", "plan", "spawn", "start_kernel"]
