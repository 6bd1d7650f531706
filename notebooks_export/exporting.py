"""A session's export from beginning to end: gather, choose, clean, verify, fit, write."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from kernel_manager import Interpreter, LimitError, Session, Settings, StorageError, UsageError
from kernel_manager.sessions.history import SessionHistory
from kernel_manager.sessions.names import folder_name
from notebooks_export.bundle import Packing, Ran, choose, write_bundle
from notebooks_export.cells import counted, megabytes
from notebooks_export.cleaning import superseded, without_effect
from notebooks_export.code import Load
from notebooks_export.disk import write_file
from notebooks_export.formats.html import to_html
from notebooks_export.formats.markdown import to_markdown
from notebooks_export.formats.pdf import to_pdf
from notebooks_export.formats.percent import to_percent
from notebooks_export.gathering import gather
from notebooks_export.loader_package import TRACE, imports_of_loaders, package_files, sources
from notebooks_export.notebook import add_to_title, notebook_bytes, to_notebook
from notebooks_export.options import ExportOptions
from notebooks_export.sizes import fit, without_figures, without_outputs
from notebooks_export.surroundings import Surroundings
from notebooks_export.verification import Verification, fresh_session, verify

#: Room for what is added after the notebook was fitted: notes in the title.
_RESERVE = 4_000
#: The most that a bundle has when nobody says how much it may have, in bytes: it is made in memory.
MAX_BUNDLE = 250_000_000
#: The share of a limited bundle that data may not push the notebook out of.
_NOTEBOOK_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Export:
    """An exported session. ``content`` is the file, ``companions`` are files beside it by relative path (figures of Markdown).

    ``notes`` are sentences for the person: what was left out, dropped, not found or not reproduced.
    """

    filename: str
    content: bytes
    companions: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    verification: Verification | None = None

    def as_one_file(self) -> tuple[str, bytes]:
        """The name and the bytes of one file: a zip if there are companions."""
        if not self.companions:
            return self.filename, self.content
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {self.filename: self.content, **self.companions}.items():
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        return f"{Path(self.filename).stem}.zip", stream.getvalue()

    def write(self, path: Path | None = None) -> Path:
        """Write it, by default under its own name in the current folder; return where. Raises UsageError or StorageError."""
        target = path or Path(self.filename)
        for name, content in self.companions.items():
            try:
                (target.parent / name).parent.mkdir(exist_ok=True)
            except OSError as exc:
                raise StorageError(
                    f"{(target.parent / name).parent} cannot be made: {exc.strerror}; name another place."
                ) from exc
            write_file(target.parent / name, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
        write_file(target, lambda stream: stream.write(self.content))
        return target


async def export_session(interpreter: Interpreter, session: Session, options: ExportOptions | None = None) -> Export:
    """Export a session of an open interpreter. Raises UsageError if it cannot be as asked, or what starting a kernel raises."""
    history = await asyncio.to_thread(session.read_history)
    return await export_history(
        history, options or ExportOptions(), interpreter.settings, workspace=session.workspace, interpreter=interpreter
    )


async def export_history(
    history: SessionHistory,
    options: ExportOptions,
    settings: Settings,
    *,
    workspace: Path | None = None,
    interpreter: Interpreter | None = None,
    name: str | None = None,
) -> Export:
    """Export what a history says.

    ``workspace`` is the session's working folder. Without an ``interpreter`` nothing can be verified or cleaned, and a
    bundle has all loaders. ``name`` is the file's, without ending.
    """
    if interpreter is None and (options.verify or options.clean):
        raise UsageError("verifying and cleaning need kernels; open an interpreter")
    surroundings = await asyncio.to_thread(gather, history, settings, workspace)
    work = _Work(
        history, options, surroundings, str(workspace or ""), interpreter, name or folder_name(history.session_id or "session")
    )
    return await work.run()


class _Work:
    """One export."""

    def __init__(
        self,
        history: SessionHistory,
        options: ExportOptions,
        surroundings: Surroundings,
        workspace: str,
        interpreter: Interpreter | None,
        name: str,
    ) -> None:
        self._history = history
        self._options = options
        self._surroundings = surroundings
        self._workspace = workspace
        self._interpreter = interpreter
        self._name = name
        self._notes: list[str] = []
        self._verification: Verification | None = None

    async def run(self) -> Export:
        if self._history.damaged_lines:
            self._notes.append(f"Left out: {counted(self._history.damaged_lines, 'damaged line')} of the history.")
        if self._surroundings.missing:
            self._notes.append(f"Files that are no longer there: {_listed(self._surroundings.missing)}.")
        dropped = await self._dropped()
        ran = await self._traced() if self._options.bundle else None
        nb = await asyncio.to_thread(self._notebook, dropped)
        if self._options.verify and self._verification is None:
            self._verification = await self._verified(nb)
        packing = await asyncio.to_thread(self._packed, nb, ran) if self._options.bundle else Packing(())
        if packing.left_out:
            nb = await asyncio.to_thread(self._notebook, dropped, packing)
        content, companions = await self._finished(nb, packing, ran)
        return Export(f"{self._name}{self._options.suffix}", content, companions, tuple(self._notes), self._verification)

    def _notebook(self, dropped: frozenset[str], packing: Packing = Packing(())) -> NotebookNode:  # noqa: B008 - immutable
        return to_notebook(
            self._history,
            title=self._options.title,
            surroundings=self._surroundings,
            dropped=dropped,
            left_out=packing.left_out,
        )

    # --- clean and verified ---------------------------------------------------------------------------------------

    async def _verified(self, nb: NotebookNode) -> Verification:
        assert self._interpreter is not None
        return await verify(self._interpreter, self._history.user_id, nb, self._workspace)

    async def _dropped(self) -> frozenset[str]:
        """The cells that a clean notebook does without: all that are superfluous, else those that did nothing, else none.

        None goes if the notebook would not give the same without it.
        """
        candidates = frozenset(superseded(self._history.cells)) if self._options.clean else frozenset[str]()
        if not candidates:
            return candidates
        whole: Verification | None = None
        for chosen in filter(None, dict.fromkeys((candidates, candidates & without_effect(self._history.cells)))):
            cleaned = await self._verified(await asyncio.to_thread(self._notebook, chosen))
            if not cleaned.holds and whole is None:
                whole = await self._verified(await asyncio.to_thread(self._notebook, frozenset()))
            if cleaned.holds or (whole is not None and not _not_same(cleaned) - _not_same(whole)):
                return self._clean(chosen, len(candidates - chosen), cleaned)
        return self._clean(frozenset(), len(candidates), whole)

    def _clean(self, dropped: frozenset[str], kept: int, found: Verification | None) -> frozenset[str]:
        """Note what was dropped, and what was not because others would have changed without it."""
        self._verification = found if self._options.verify else None
        if dropped:
            self._notes.append(f"Dropped: {counted(len(dropped), 'cell')} that later ones made superfluous.")
        if kept:
            which = "more superseded cell" if dropped else "superseded cell"
            self._notes.append(f"Kept: {counted(kept, which)}, without which others would show something else.")
        return dropped

    async def _traced(self) -> Ran | None:
        """What opening the session's files runs in a kernel; None if that cannot be told, or no kernel is to be had."""
        if self._interpreter is None or not self._surroundings.loads:
            return None
        calls = _literal(self._surroundings.loads)
        try:
            async with fresh_session(self._interpreter, self._history.user_id, "trace") as session:
                result = await session.execute(TRACE % calls)
        except LimitError:
            return None
        text = "".join(output["text"] for output in result.outputs if output.get("name") == "stdout")
        try:
            told = json.loads(text.strip().splitlines()[-1])
            modules = {*told["modules"], *imports_of_loaders(sources(), told["named"])}
            return Ran({**told["named"], **told["functions"]}, modules) if told["opened"] else None
        except (ValueError, IndexError, KeyError, TypeError):
            return None

    # --- into the size ----------------------------------------------------------------------------------------------

    def _packed(self, nb: NotebookNode, ran: Ran | None) -> Packing:
        limit = self._options.max_bytes or MAX_BUNDLE
        room = limit - _compressed(self._package(ran)) - _RESERVE
        packing = choose(self._surroundings.data, room - min(_compressed_notebook(nb), int(room * _NOTEBOOK_SHARE)))
        if packing.left_out:
            named = _listed([name for name, _ in packing.left_out])
            self._notes.append(f"Not in the bundle, which may have {megabytes(limit)}: {named}; put them into its folder files.")
        return packing

    def _package(self, ran: Ran | None) -> bytes:
        return "".join(package_files(sources(), ran.functions if ran else None, {}).values()).encode()

    async def _finished(self, nb: NotebookNode, packing: Packing, ran: Ran | None) -> tuple[bytes, Mapping[str, bytes]]:
        await asyncio.to_thread(self._shrink, nb, packing, ran)
        self._sign(nb)
        content, companions = await self._rendered(nb, packing, ran)
        limit, size = self._options.max_bytes, len(content) + sum(map(len, companions.values()))
        if limit is not None and size > limit:
            raise UsageError(f"The export has {megabytes(size)}, more than the {megabytes(limit)} that it may have; allow more.")
        return content, companions

    def _shrink(self, nb: NotebookNode, packing: Packing, ran: Ran | None) -> None:
        if not self._options.outputs:
            self._notes += without_outputs(nb)
        elif not self._options.figures:
            self._notes += without_figures(nb)
        if (limit := self._options.max_bytes) is not None:
            if self._options.bundle:
                room = limit - packing.size - _compressed(self._package(ran)) - _RESERVE
                self._notes += fit(nb, room, _compressed_notebook)
            else:
                self._notes += fit(nb, limit - _RESERVE, self._size_of)

    def _size_of(self, nb: NotebookNode) -> int:
        match self._options.format:
            case "ipynb":
                return len(notebook_bytes(nb))
            case "md":
                document = to_markdown(nb, "x")
                return len(document.text.encode()) + sum(map(len, document.figures.values()))
            case "py":
                return len(to_percent(nb).encode())
            case _:
                return len(to_html(nb, "").encode())

    def _sign(self, nb: NotebookNode) -> None:
        """Write into the notebook what a reader should know about it."""
        about = nb.metadata.threadbook
        lines = [note for note in self._notes if len(note) <= 1_000]
        if self._verification is not None:
            about["verification"] = NotebookNode(_bounded(self._verification))  # type: ignore[no-untyped-call]
            lines.append(f"Run again in a fresh kernel: {self._verification.sentence}")
        if lines:
            about["notes"] = lines
            add_to_title(nb, lines)

    # --- into its form ----------------------------------------------------------------------------------------------

    async def _rendered(self, nb: NotebookNode, packing: Packing, ran: Ran | None) -> tuple[bytes, Mapping[str, bytes]]:
        if self._options.format == "pdf":
            return await to_pdf(await asyncio.to_thread(to_html, nb, self._title)), {}
        return await asyncio.to_thread(self._render, nb, packing, ran)

    @property
    def _title(self) -> str:
        return self._options.title or f"Session {self._history.session_id}"

    def _render(self, nb: NotebookNode, packing: Packing, ran: Ran | None) -> tuple[bytes, Mapping[str, bytes]]:
        match self._options.format:
            case "html":
                return to_html(nb, self._title).encode("utf-8", "replace"), {}
            case "md":
                document = to_markdown(nb, f"{self._name}_files")
                return document.text.encode("utf-8", "replace"), document.figures
            case "py":
                return to_percent(nb).encode("utf-8", "replace"), {}
        return (self._bundle(nb, packing, ran) if self._options.bundle else notebook_bytes(nb)), {}

    def _bundle(self, nb: NotebookNode, packing: Packing, ran: Ran | None) -> bytes:
        stream = io.BytesIO()
        try:
            write_bundle(stream, self._name, nb, packing, self._surroundings, ran)
        except OSError as exc:
            raise StorageError(f"a data file of the session cannot be read ({exc}); export again") from exc
        return stream.getvalue()


def _not_same(verification: Verification) -> set[str]:
    return {cell.cell_id for cell in verification.cells if cell.verdict != "same"}


def _bounded(verification: Verification) -> dict[str, object]:
    found = verification.to_dict()
    return (
        found
        if len(json.dumps(found)) < _RESERVE
        else found | {"not_same": [item | {"diff": ""} for item in found["not_same"][:10]]}
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _literal(loads: Sequence[Load]) -> str:
    return ascii([(load.name, load.options) for load in loads])


def _compressed(content: bytes) -> int:
    return len(zlib.compress(content, 6))


def _compressed_notebook(nb: NotebookNode) -> int:
    return _compressed(notebook_bytes(nb))
