"""All sessions: get or create, list, cull, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from kernel_manager.errors import ClosedError, StorageError, ThreadbookError, UnknownSessionError
from kernel_manager.provisioning.zygote_launcher import drain_zygotes
from kernel_manager.sessions import culling
from kernel_manager.sessions.ending import end_in
from kernel_manager.sessions.history import SessionHistory, read_log
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.names import check_id
from kernel_manager.sessions.owner import Owner
from kernel_manager.sessions.session import Session, SessionInfo
from kernel_manager.tree import remove_tree

logger = logging.getLogger(__name__)

#: The shortest and the longest time between two rounds, in seconds.
_CULL_INTERVALS_S = (0.1, 60.0)


class SessionManager:
    """The sessions of one data folder, as far as this process uses them.

    A session without a kernel holds nothing open, so it is forgotten when nobody else refers to it any more.
    """

    def __init__(self, host: SessionHost) -> None:
        self._host = host
        self._sessions: WeakValueDictionary[tuple[str, str], Session] = WeakValueDictionary()
        self._kept: set[Session] = set()
        self._closed = False

    async def get(self, user_id: str | int, session_id: str, *, create: bool = True) -> Session:
        """Return a session; raises UnknownSessionError if it does not exist and must not be made."""
        self._check_open()
        user, name = check_id(user_id, "the user id"), check_id(session_id, "the session id")
        if not create and not self._host.data.session(user, name).exists:
            raise UnknownSessionError(await asyncio.to_thread(self._unknown, user, name))
        session = self._session(user, name)
        session.create()
        self._kept.add(session)
        return session

    async def remove(self, user_id: str | int, session_id: str) -> None:
        """End a session's kernel and delete everything of it, its history included."""
        session = await self.get(user_id, session_id, create=False)
        await session.stop()
        self._kept.discard(session)
        self._sessions.pop((session.user_id, session.session_id), None)
        await session.aclose()
        try:
            await asyncio.to_thread(remove_tree, session.folder)
        except OSError as exc:
            raise StorageError(f"{session.folder} cannot be removed ({exc.strerror or exc}); remove it by hand") from exc

    def _session(self, user: str, name: str) -> Session:
        session = self._sessions.get((user, name))
        if session is None:
            session = self._sessions[user, name] = Session(self._host, user, name)
        return session

    def _unknown(self, user: str, name: str) -> str:
        known = sorted(story.session_id for story in self._stories() if story.user_id == user)
        listed = f"there are: {', '.join(known[:20])}" if known else "there are none yet; `threadbook run` makes one"
        return f"no session {name!r} of user {user!r}; {listed}"

    def _stories(self) -> list[SessionHistory]:
        """The history of every session on disk."""
        stories = []
        for places in self._host.data.sessions():
            try:
                stories.append(read_log(places.history))
            except StorageError as exc:
                logger.warning("left a session out: %s", exc)
        return [story for story in stories if story.session_id]

    async def infos(self) -> list[SessionInfo]:
        """Every session there is, whichever process uses it."""
        self._check_open()
        stories = await asyncio.to_thread(self._stories)
        return [await self._session(story.user_id, story.session_id).info(story) for story in stories]

    @property
    def here(self) -> list[Session]:
        """The sessions that this process uses."""
        return list(self._sessions.values())

    def quiet_for(self) -> float:
        """Seconds since a session of this process was last used; 0 while a cell runs or waits."""
        sessions = list(self._sessions.values())
        if any(session.busy for session in sessions):
            return 0.0
        return asyncio.get_running_loop().time() - max((session.last_used for session in sessions), default=0.0)

    # --- ending kernels -------------------------------------------------------------------------------------------

    async def stop_all(self) -> int:
        """End every kernel of this data folder, and its zygotes; return how many kernels that were.

        Cells of this process that were still waiting do not run any more.
        """
        self._check_open()
        folders = self._host.runtime.folders()
        owners = {folder: Owner.read(folder) for folder in folders}
        used = {self._session(owner.user_id, owner.session_id) for owner in owners.values() if owner and self._exists(owner)}
        for session in list(self._sessions.values()):
            session.withdraw("the service ended all kernels before the cell began")
        ended = await asyncio.gather(*(end_in(folder, "stop") for folder in folders))
        await asyncio.gather(*(session.stop() for session in used))
        for folder, owner in owners.items():
            if owner is None or not self._exists(owner):
                folder.remove()
        await drain_zygotes(self._host.runtime.root)
        return sum(ended)

    def _exists(self, owner: Owner) -> bool:
        return self._host.data.session(owner.user_id, owner.session_id).exists

    async def cull(self, now: float | None = None) -> list[str]:
        """End this process's kernels that have been idle for too long; return their sessions' ids.

        ``now`` is in seconds, on the event loop's clock. Also lets go of what has ended by itself.
        """
        now = asyncio.get_running_loop().time() if now is None else now
        alive = {str(key): session for key, session in self._sessions.items() if session.has_kernel}
        seen = [culling.LiveKernel(key, session.user_id, session.busy, session.last_used) for key, session in alive.items()]
        idle = culling.idle_too_long(seen, now, self._host.settings.kernel_idle_timeout)
        ended = [alive[kernel.session_key] for kernel in idle if await alive[kernel.session_key].end_idle("idle")]
        for session in list(self._sessions.values()):
            await session.tidy()
        await self._host.kernels.clear()
        self._kept = {session for session in self._sessions.values() if session.has_kernel or session.busy}
        return [session.session_id for session in ended]

    @contextlib.asynccontextmanager
    async def culling(self) -> AsyncIterator[None]:
        """Cull from time to time, as long as the context lasts."""
        interval = min(max(self._host.settings.kernel_idle_timeout / 4, _CULL_INTERVALS_S[0]), _CULL_INTERVALS_S[1])

        async def cull_for_ever() -> None:
            while True:
                await asyncio.sleep(interval)
                try:
                    await self.cull()
                except (ThreadbookError, OSError) as exc:
                    logger.warning("culling failed, it is tried again: %s", exc)

        task = asyncio.create_task(cull_for_ever(), name="culling")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    # --- the end --------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the interpreter was closed; open it again")

    async def aclose(self) -> None:
        """Close every session; kernels live on."""
        self._closed = True
        await asyncio.gather(*(session.aclose() for session in list(self._sessions.values())))
        self._kept.clear()
