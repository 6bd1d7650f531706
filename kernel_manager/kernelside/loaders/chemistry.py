"""Structures and reflections: PDB, CIF, MTZ, maps."""

from __future__ import annotations

import re
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable


def load_pdb(source: Source) -> Any:
    """A gemmi ``Structure``."""
    import gemmi

    structure = gemmi.read_pdb_string(source.text())
    if not len(structure):
        raise Unreadable("it holds no atoms")
    if not re.search(r"^END\s*$", source.text(), re.MULTILINE):
        source.note("it has no END: the file may be cut off")
    return structure


def load_cif(source: Source) -> Any:
    """A gemmi ``Structure`` of an mmCIF with atoms, a ``SmallStructure`` as a dict, else the tags and loops of each block."""
    import gemmi

    try:
        document = gemmi.cif.read_string(source.text())
    except ValueError as exc:
        raise Unreadable(f"it is not CIF: {exc}") from exc
    if not len(document):
        raise Unreadable("it has no blocks")
    if document[0].find_loop("_atom_site.Cartn_x"):
        return gemmi.make_structure_from_block(document[0])
    return {block.name: _block(block) for block in document}


def _block(block: Any) -> dict[str, Any]:
    import gemmi
    import pandas as pd

    found: dict[str, Any] = {}
    for item in block:
        if item.pair is not None:
            found[item.pair[0]] = gemmi.cif.as_string(item.pair[1])
        elif item.loop is not None:
            width, tags = item.loop.width(), item.loop.tags
            values = [gemmi.cif.as_string(value) for value in item.loop.values]
            rows = [values[at : at + width] for at in range(0, len(values), width)]
            found[tags[0].partition(".")[0] if "." in tags[0] else ", ".join(tags[:3])] = pd.DataFrame(rows, columns=list(tags))
    return found


def load_mtz(source: Source) -> Any:
    """A DataFrame of the reflections; cell and space group in ``.attrs``."""
    import gemmi
    import numpy as np
    import pandas as pd

    with source.file(".mtz") as path:
        mtz = gemmi.read_mtz_file(path)
    frame = pd.DataFrame(np.array(mtz.array), columns=mtz.column_labels())
    frame.attrs = {
        "cell": list(mtz.cell.parameters),
        "spacegroup": mtz.spacegroup.hm if mtz.spacegroup else "",
        "title": mtz.title,
    }
    return frame


def load_ccp4(source: Source) -> Any:
    """A NumPy array of the density."""
    import struct

    import gemmi
    import numpy as np

    order = "<" if source.head[212:213] in (b"D", b"\0") else ">"
    sides = struct.unpack_from(f"{order}3i", source.head)
    size = sides[0] * sides[1] * sides[2]
    if min(sides) <= 0 or size * 4 > MAX_UNPACKED or size > len(source.read()):
        raise Unreadable(f"its dimensions {sides} do not fit to its size")
    with source.file(".ccp4") as path:
        return np.array(gemmi.read_ccp4_map(path).grid)
