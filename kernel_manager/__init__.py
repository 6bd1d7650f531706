"""The interpreter as a library: persistent Jupyter kernels, sessions, results.

::

    async with open_interpreter() as interpreter:
        session = await interpreter.session("ada")
        result = await session.execute("1 + 1")
"""

from __future__ import annotations

from kernel_manager.config import Settings
from kernel_manager.database.opening import DatabaseHandler
from kernel_manager.database.protocol import Database
from kernel_manager.errors import (
    ClosedError,
    DatabaseError,
    EnvironmentBuildError,
    KernelStartError,
    LimitError,
    PackageInstallError,
    PackageRefusedError,
    ServiceError,
    SessionBusyError,
    SettingsError,
    StorageError,
    ThreadbookError,
    UnknownSessionError,
    UsageError,
)
from kernel_manager.execution.events import (
    CellFinished,
    CellStarted,
    DisplayUpdated,
    Event,
    InputRequested,
    OutputAdded,
    OutputReplaced,
    OutputsCleared,
    PackagesInstalled,
    PackagesInstalling,
    SessionWaiting,
    StreamExtended,
)
from kernel_manager.execution.result import ExecutionResult, Output, Status, WrittenFile
from kernel_manager.files.selection import FileRef
from kernel_manager.files.user_file import AddedFile, UserFile
from kernel_manager.housekeeping import CleanupReport
from kernel_manager.interpreter import Interpreter, cleanup_expired_files, get_interpreter_status, open_interpreter
from kernel_manager.packages.uv import PackageSource
from kernel_manager.sessions.session import Completion, Session, SessionInfo
from kernel_manager.sessions.variables import Variable, Variables

__all__ = [
    "AddedFile",
    "CellFinished",
    "CellStarted",
    "CleanupReport",
    "ClosedError",
    "Completion",
    "Database",
    "DatabaseError",
    "DatabaseHandler",
    "DisplayUpdated",
    "EnvironmentBuildError",
    "Event",
    "ExecutionResult",
    "FileRef",
    "InputRequested",
    "Interpreter",
    "KernelStartError",
    "LimitError",
    "Output",
    "OutputAdded",
    "OutputReplaced",
    "OutputsCleared",
    "PackageInstallError",
    "PackageRefusedError",
    "PackageSource",
    "PackagesInstalled",
    "PackagesInstalling",
    "ServiceError",
    "Session",
    "SessionBusyError",
    "SessionInfo",
    "SessionWaiting",
    "Settings",
    "SettingsError",
    "Status",
    "StorageError",
    "StreamExtended",
    "ThreadbookError",
    "UnknownSessionError",
    "UsageError",
    "UserFile",
    "Variable",
    "Variables",
    "WrittenFile",
    "cleanup_expired_files",
    "get_interpreter_status",
    "open_interpreter",
]
