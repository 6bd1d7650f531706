"""Astronomy: FITS, VOTable, ECSV."""

from __future__ import annotations

import io
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable


def load_fits(source: Source, **options: Any) -> Any:
    """An astropy ``HDUList``, in memory. Options are those of ``astropy.io.fits.open``."""
    from astropy.io import fits

    data = source.read()
    units = fits.open(io.BytesIO(data), **{"memmap": False, "lazy_load_hdus": False, **options})
    units.verify("exception")
    _check_sizes(units, len(data))
    for unit in units:
        _ = unit.data  # Read now: damage is an error here, and the object needs no file.
    return units


def _check_sizes(units: Any, size: int) -> None:
    for unit in units:
        needed = unit.size if hasattr(unit, "size") else 0
        start = unit._data_offset or 0
        if start + needed > size:
            raise Unreadable(f"unit {unit.name or 'PRIMARY'} needs {needed} bytes and the file ends before")
        sides = getattr(unit, "shape", ()) or ()
        count = 8
        for side in sides:
            count *= side
        if count > MAX_UNPACKED:
            raise Unreadable(f"unit {unit.name or 'PRIMARY'} comes to {count >> 20} MB")


def load_votable(source: Source) -> Any:
    """An astropy ``Table`` of the first table."""
    from astropy.io.votable import parse

    document = parse(io.BytesIO(source.read()), verify="ignore")
    tables = list(document.iter_tables())
    if not tables:
        raise Unreadable("it has no tables")
    if len(tables) > 1:
        source.note(f"this is the first of {len(tables)} tables; astropy.io.votable.parse(load_file(…, as_='path')) has all")
    return tables[0].to_table(use_names_over_ids=True)


def load_ecsv(source: Source) -> Any:
    """An astropy ``Table`` with units and metadata."""
    from astropy.table import Table

    return Table.read(source.text(), format="ascii.ecsv")
