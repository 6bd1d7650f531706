"""All sessions: get or create, list, cull, stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from kernel_manager.errors import UnknownSessionError
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.zygote_launcher import drain_zygotes
from kernel_manager.sessions import culling
from kernel_manager.sessions.history import History
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.names import check_id
from kernel_manager.sessions.session import Session, SessionInfo


class SessionManager:
    """The sessions of one data folder, as far as this process uses them."""

    def __init__(self, host: SessionHost) -> None:
        self._host = host
        self._sessions: dict[tuple[str, str], Session] = {}

    async def get(self, user_id: str | int, session_id: str, *, create: bool = True) -> Session:
        """Return a session; raises UnknownSessionError if it does not exist and must not be made."""
        user, name = check_id(user_id, "the user id"), check_id(session_id, "the session id")
        session = self._sessions.get((user, name))
        if session is None:
            session = Session(self._host, user, name)
            if create:
                session.create()
            elif not self._host.data.session(user, name).exists:
                await session.aclose()
                raise UnknownSessionError(self._unknown(user, name))
            self._sessions[user, name] = session
        return session

    def _unknown(self, user: str, name: str) -> str:
        known = sorted(session for owner, session in self._ids() if owner == user)
        listed = f"there are: {', '.join(known[:20])}" if known else "there are none yet; `threadbook run` makes one"
        return f"no session {name!r} of user {user!r}; {listed}"

    def _ids(self) -> list[tuple[str, str]]:
        """User and session ids of every session on disk, from the first line of each history."""
        found = []
        for places in self._host.data.sessions():
            history = History(places.history, self._host.clock)
            try:
                story = history.read()
            finally:
                history.close()
            if story.session_id:
                found.append((story.user_id, story.session_id))
        return found

    async def infos(self) -> list[SessionInfo]:
        """Every session there is, whichever process uses it."""
        return [await (await self.get(user, name)).info() for user, name in await asyncio.to_thread(self._ids)]

    async def stop_all(self) -> int:
        """End every kernel of this data folder, and its zygotes; return how many kernels that were."""
        count = 0
        for session in self._sessions.values():
            if session.has_kernel:
                await session.stop()
                count += 1
        for folder in self._host.runtime.folders():
            if (kernel := await LiveKernel.attach(folder)) is not None:
                kernel.kill("stop")
                await asyncio.shield(kernel.exited)
                await kernel.aclose()
                count += 1
        await drain_zygotes(self._host.runtime.root)
        return count

    async def cull(self) -> list[str]:
        """End this process's kernels that have been idle for too long; return their sessions' ids."""
        loop, ended = asyncio.get_running_loop(), []
        alive = {f"{user} {name}": session for (user, name), session in self._sessions.items() if session.has_kernel}
        seen = [culling.LiveKernel(key, session.user_id, session.busy, session.last_used) for key, session in alive.items()]
        for kernel in culling.idle_too_long(seen, loop.time(), self._host.settings.kernel_idle_timeout):
            if await alive[kernel.session_key].end_idle("idle"):
                ended.append(alive[kernel.session_key].session_id)
        return ended

    @contextlib.asynccontextmanager
    async def culling(self) -> AsyncIterator[None]:
        """Cull from time to time, as long as the context lasts."""

        async def cull_for_ever() -> None:
            while True:
                await asyncio.sleep(min(60.0, self._host.settings.kernel_idle_timeout / 4))
                await self.cull()

        task = asyncio.create_task(cull_for_ever(), name="culling")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def aclose(self) -> None:
        """Close every session; kernels live on."""
        for session in self._sessions.values():
            await session.aclose()
        self._sessions.clear()
