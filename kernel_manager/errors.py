"""The error tree.

Code that a person runs and that fails is *data* (an :class:`~kernel_manager.execution.result.ExecutionResult`);
these exceptions are for everything else. The message of each says what to do next, in one line.

::

    ThreadbookError
    ├── UsageError              the caller asked for something that cannot be: unknown session, bad value
    │   ├── UnknownSessionError
    │   ├── LimitError          a limit of the operator's settings is reached
    │   ├── PackageRefusedError a package is not approved, or not in a version that could be
    │   └── SettingsError       a setting is out of range or unreadable
    └── ServiceError            the service could not do its work
        ├── StorageError        the data or runtime folder cannot be read or written, or the disk is full
        │   └── DatabaseError   the database cannot be reached, read or written
        ├── EnvironmentBuildError   the kernel environment could not be built
        ├── PackageInstallError a package could not be installed this time
        ├── KernelStartError    no kernel came up
        ├── SessionBusyError    another process drives this session
        └── ClosedError         used after it was closed
"""

from __future__ import annotations


class ThreadbookError(Exception):
    """Base of all errors raised by Threadbook on purpose."""


class UsageError(ThreadbookError):
    """The request itself cannot be served; the caller has to change it."""


class UnknownSessionError(UsageError):
    """No session of that name exists for that user."""


class LimitError(UsageError):
    """A limit set by the operator is reached."""


class PackageRefusedError(UsageError):
    """A package is not approved, or needs what the kernel environment or the operator's limits do not allow."""


class SettingsError(UsageError):
    """A setting is missing, unreadable or out of range."""


class ServiceError(ThreadbookError):
    """The service failed; the operator has to look."""


class StorageError(ServiceError):
    """A folder of the service cannot be read or written, or its disk is full."""


class DatabaseError(StorageError):
    """The database cannot be reached, read or written."""


class EnvironmentBuildError(ServiceError):
    """The kernel environment could not be built."""


class PackageInstallError(ServiceError):
    """A package could not be installed: no network, no disk, no time."""


class KernelStartError(ServiceError):
    """A kernel did not come up."""


class SessionBusyError(ServiceError):
    """Another process drives this session and the caller did not want to wait."""


class ClosedError(ServiceError):
    """The object was used after it had been closed."""
