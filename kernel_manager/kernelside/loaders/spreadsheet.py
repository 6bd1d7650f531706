"""Excel workbooks, old and new."""

from __future__ import annotations

import zipfile
from typing import Any

from . import limited
from .sheet import no_sheet, note_others, to_frame
from .sheet_extent import largest_extent
from .source import MAX_UNPACKED, Source, Unreadable

#: First bytes of the container of old Office files, and of new ones under a password.
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORKBOOK_STREAMS = tuple(name.encode("utf-16-le") for name in ("Workbook\0", "Book\0"))
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")


def load_spreadsheet(source: Source, **options: Any) -> Any:
    """A DataFrame of the first visible sheet that holds something, or of ``sheet_name=``.

    Options are those of ``pandas.read_excel``, which reads the sheet when there are any others. Old and binary workbooks,
    and those whose cells are far apart, are opened in a process of their own.
    """
    _refuse_bomb(source)
    extent = largest_extent(source)
    if extent is not None and extent.is_modest:
        return load_here(source, **options)
    try:
        return limited.load("spreadsheet:load_here", source, options)
    except Unreadable as exc:
        if extent is None:
            raise
        reach = f"its cells reach over {extent.rows:,} rows and {extent.columns:,} columns, {extent.filled:,} of them filled"
        raise Unreadable(f"{reach}: {exc}; clear the cells beside the table") from exc


def load_here(source: Source, **options: Any) -> Any:
    """What :func:`load_spreadsheet` gives, loaded in this process."""
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
        if engine != "calamine" or set(options) - {"sheet_name"}:
            return _read_by_pandas(source, workbook, options)
        if "sheet_name" not in options:
            return _first_filled(source, workbook)
        return _named(source, workbook, options["sheet_name"])


def _read_by_pandas(source: Source, workbook: Any, options: dict[str, Any]) -> Any:
    import pandas as pd

    if "sheet_name" in options:
        return pd.read_excel(workbook, **options)
    shown = _in_order(workbook)[0]
    note_others(source, map(str, workbook.sheet_names), shown)
    return pd.read_excel(workbook, sheet_name=shown, **options)


def _first_filled(source: Source, workbook: Any) -> Any:
    """The first sheet with something in it, of those that a person sees if there are any."""
    for name in _in_order(workbook):
        if rows := _rows(workbook, name):
            note_others(source, map(str, workbook.sheet_names), name)
            return to_frame(source, rows)
    source.note("its sheets are empty")
    return to_frame(source, [])


def _named(source: Source, workbook: Any, wanted: Any) -> Any:
    """A sheet by its name or number; several in a dict, all for None."""
    if wanted is not None and not isinstance(wanted, (list, tuple)):
        return to_frame(source, _rows(workbook, wanted))
    names = workbook.sheet_names if wanted is None else wanted
    return {name: to_frame(source, _rows(workbook, name)) for name in names}


def _rows(workbook: Any, sheet: str | int) -> list[list[Any]]:
    name = workbook.sheet_names[sheet] if isinstance(sheet, int) else sheet
    rows: list[list[Any]] = workbook.book.get_sheet_by_name(name).to_python(skip_empty_area=True)
    return rows


def _in_order(workbook: Any) -> list[str]:
    """The names of the sheets: those that a person sees on opening the workbook, then the hidden ones."""
    names = [str(name) for name in workbook.sheet_names]
    if not names:
        raise Unreadable("it has no sheets")
    visible = _visible_sheets(workbook)
    return sorted(names, key=lambda name: name not in visible)


def _visible_sheets(workbook: Any) -> set[str]:
    if workbook.engine == "calamine":
        from python_calamine import SheetVisibleEnum

        return {sheet.name for sheet in workbook.book.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible}
    return {sheet.title for sheet in workbook.book.worksheets if sheet.sheet_state == "visible"}


def _check_sheet(wanted: Any, names: list[str]) -> None:
    for sheet in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        missing = sheet not in names if isinstance(sheet, str) else isinstance(sheet, int) and sheet >= len(names)
        if missing:
            raise no_sheet(sheet, names)


def _refuse_bomb(source: Source) -> None:
    try:
        with zipfile.ZipFile(source.for_reader()) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # An old workbook, or a damaged one: the engines say what is wrong.
    if size > MAX_UNPACKED:
        raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
