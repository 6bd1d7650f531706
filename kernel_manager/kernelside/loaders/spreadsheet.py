"""Excel workbooks, old and new."""

from __future__ import annotations

import zipfile
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable

#: First bytes of the container of old Office files, and of new ones under a password.
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORKBOOK_STREAMS = tuple(name.encode("utf-16-le") for name in ("Workbook\0", "Book\0"))
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_MAX_NAMED_SHEETS = 20


def load_spreadsheet(source: Source, **options: Any) -> Any:
    """A DataFrame of the first visible sheet, or of ``sheet_name=``. Options are those of ``pandas.read_excel``."""
    _refuse_bomb(source)
    if "engine" in options:
        return _read(source, **options)
    try:
        return _read(source, engine="calamine", **options)
    except BaseException as exc:
        if not _is_engines_failure(exc):
            raise
        return _second_opinion(source, exc, options)


def is_panic(exc: BaseException) -> bool:
    """Whether ``exc`` is a Rust library's bug on damaged input; it is no :class:`Exception`, so that nobody catches it."""
    return type(exc).__name__ == "PanicException"


def _is_engines_failure(exc: BaseException) -> bool:
    if isinstance(exc, ImportError) or is_panic(exc):
        return True
    from python_calamine import CalamineError

    return isinstance(exc, CalamineError)


def holds_workbook(data: bytes) -> bool:
    """Whether an OLE container has the stream of an Excel workbook."""
    return any(stream in data for stream in _WORKBOOK_STREAMS)


def _second_opinion(source: Source, first: BaseException, options: dict[str, Any]) -> Any:
    """What openpyxl makes of it. When it fails too, the first engine's reason is given: it is the plainer one."""
    try:
        return _read(source, engine="openpyxl", **options)
    except (Unreadable, MemoryError):
        raise
    except Exception as exc:
        if isinstance(exc, ImportError) and isinstance(first, ImportError):
            raise
        raise Unreadable(_reason(source, first)) from first


def _reason(source: Source, first: BaseException) -> str:
    if source.head.startswith(OLE_MAGIC) and _ENCRYPTED_STREAM in source.read():
        return "it is protected with a password; save it without one"
    return f"it cannot be read: {str(first) or type(first).__name__}"


def _read(source: Source, *, engine: str, **options: Any) -> Any:
    import pandas as pd

    with pd.ExcelFile(source.for_reader(), engine=engine) as workbook:
        if "sheet_name" in options:
            _check_sheet(options["sheet_name"], workbook.sheet_names)
            return pd.read_excel(workbook, **options)
        shown, others = _choose_sheet(workbook)
        frame = pd.read_excel(workbook, sheet_name=shown, **options)
    if others:
        source.note(f"this is sheet {shown!r}; others: {_listed(others)} (sheet_name=… opens one, sheet_name=None all)")
    return frame


def _choose_sheet(workbook: Any) -> tuple[str, list[str]]:
    """The first sheet that a person sees on opening the workbook, and the names of all others."""
    names = [str(name) for name in workbook.sheet_names]
    if not names:
        raise Unreadable("it has no sheets")
    visible = [name for name in names if name in _visible_sheets(workbook)]
    shown = (visible or names)[0]
    return shown, [name for name in names if name != shown]


def _visible_sheets(workbook: Any) -> set[str]:
    if workbook.engine == "calamine":
        from python_calamine import SheetVisibleEnum

        return {sheet.name for sheet in workbook.book.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible}
    return {sheet.title for sheet in workbook.book.worksheets if sheet.sheet_state == "visible"}


def _check_sheet(wanted: Any, names: list[str]) -> None:
    for sheet in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        missing = sheet not in names if isinstance(sheet, str) else isinstance(sheet, int) and sheet >= len(names)
        if missing:
            raise Unreadable(f"it has no sheet {sheet!r}; its sheets: {_listed(names)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED_SHEETS} more" if len(names) > _MAX_NAMED_SHEETS else ""
    return ", ".join(repr(name) for name in names[:_MAX_NAMED_SHEETS]) + more


def _refuse_bomb(source: Source) -> None:
    try:
        with zipfile.ZipFile(source.for_reader()) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # An old workbook, or a damaged one: the engines say what is wrong.
    if size > MAX_UNPACKED:
        raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
