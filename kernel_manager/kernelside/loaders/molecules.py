"""Molecules and spectra in text form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .plain import load_text
from .source import Source, Unreadable

_MAX_ATOMS = 999_999


@dataclass(frozen=True, slots=True)
class Molecule:
    """One molecule: ``atoms`` and ``bonds`` are DataFrames (bonds count atoms from 1), ``data`` its named values."""

    name: str
    atoms: Any
    bonds: Any
    data: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Molecule {self.name!r}: {len(self.atoms)} atoms, {len(self.bonds)} bonds>"


def load_sdf(source: Source) -> list[Molecule]:
    """The molecules of a V2000 file."""
    text = load_text(source)
    records = [record for record in re.split(r"^\$\$\$\$[^\n]*\n?", text, flags=re.MULTILINE) if record.strip()]
    if not records:
        raise Unreadable("it holds no molecules")
    return [_sdf_molecule(record, number) for number, record in enumerate(records, 1)]


def _sdf_molecule(record: str, number: int) -> Molecule:
    import pandas as pd

    lines = record.split("\n")
    try:
        if "V3000" in lines[3]:
            raise Unreadable(f"molecule {number} is in the form V3000, which is not supported")
        atoms, bonds = int(lines[3][:3]), int(lines[3][3:6])
        block = lines[4 : 4 + atoms + bonds]
        if len(block) < atoms + bonds:
            raise Unreadable(f"molecule {number} is cut off")
        places = [(line[31:34].strip(), float(line[:10]), float(line[10:20]), float(line[20:30])) for line in block[:atoms]]
        links = [(int(line[:3]), int(line[3:6]), int(line[6:9])) for line in block[atoms:]]
    except (ValueError, IndexError) as exc:
        raise Unreadable(f"molecule {number} is damaged ({exc})") from exc
    if not any(line.startswith("M  END") for line in lines[4 + atoms + bonds :]):
        raise Unreadable(f"molecule {number} has no end")
    if any(not 1 <= end <= atoms for first, second, _ in links for end in (first, second)):
        raise Unreadable(f"molecule {number} has a bond to an atom that is not there")
    data = dict(re.findall(r"^>[^<\n]*<([^>\n]+)>[^\n]*\n(.*?)\n(?:\n|\Z)", record, flags=re.MULTILINE | re.DOTALL))
    columns = {"atoms": ["element", "x", "y", "z"], "bonds": ["first", "second", "order"]}
    return Molecule(
        lines[0].strip(), pd.DataFrame(places, columns=columns["atoms"]), pd.DataFrame(links, columns=columns["bonds"]), data
    )


def load_mol2(source: Source) -> list[Molecule]:
    """The molecules of a Tripos file."""
    records = re.split(r"^@<TRIPOS>MOLECULE[^\n]*\n", load_text(source), flags=re.MULTILINE)[1:]
    if not records:
        raise Unreadable("it holds no molecules")
    return [_mol2_molecule(record, number) for number, record in enumerate(records, 1)]


def _mol2_molecule(record: str, number: int) -> Molecule:
    import pandas as pd

    head, *parts = re.split(r"^@<TRIPOS>(\w+)[^\n]*\n", record, flags=re.MULTILINE)
    sections = {
        name: [line.split() for line in body.split("\n") if line.strip()]
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
    lines = head.split("\n")
    try:
        promised = [int(word) for word in lines[1].split()[:2]]
        atoms = [(row[1], float(row[2]), float(row[3]), float(row[4]), row[5]) for row in sections["ATOM"]]
        bonds = [(int(row[1]), int(row[2]), row[3]) for row in sections.get("BOND", [])]
    except (KeyError, IndexError, ValueError) as exc:
        raise Unreadable(f"molecule {number} is damaged ({exc})") from exc
    if promised != [len(atoms), len(bonds)][: len(promised)]:
        raise Unreadable(f"molecule {number} promises {promised} atoms and bonds and has {len(atoms)} and {len(bonds)}")
    frame = pd.DataFrame(atoms, columns=["name", "x", "y", "z", "type"])
    return Molecule(lines[0].strip(), frame, pd.DataFrame(bonds, columns=["first", "second", "order"]))


def load_xyz(source: Source) -> Any:
    """A DataFrame of the atoms: element, x, y, z, and the frame if there are several. Plain tables of numbers open as such."""
    import pandas as pd

    lines = load_text(source).split("\n")
    if not lines[0].strip().isdigit():
        from .table import load_table

        return load_table(source)
    rows: list[tuple[int, str, float, float, float]] = []
    at = number = 0
    while at < len(lines) and lines[at].strip():
        try:
            count = int(lines[at])
        except ValueError as exc:
            raise Unreadable(f"line {at + 1} is no number of atoms") from exc
        if not 0 <= count <= _MAX_ATOMS or at + 2 + count > len(lines):
            raise Unreadable(f"line {at + 1} promises {count} atoms, which are not there")
        rows.extend((number, *_atom(lines[index], index + 1)) for index in range(at + 2, at + 2 + count))
        at, number = at + 2 + count, number + 1
    frame = pd.DataFrame(rows, columns=["frame", "element", "x", "y", "z"])
    return frame if number > 1 else frame.drop(columns="frame")


def _atom(line: str, number: int) -> tuple[str, float, float, float]:
    words = line.split()
    try:
        return words[0], float(words[1]), float(words[2]), float(words[3])
    except (IndexError, ValueError) as exc:
        raise Unreadable(f"line {number} is no atom") from exc


def load_smiles(source: Source) -> Any:
    """A DataFrame: smiles and name."""
    import pandas as pd

    rows = [[*line.split(None, 1), ""][:2] for line in load_text(source).split("\n") if line.strip() and not line.startswith("#")]
    if rows and rows[0][0].lower() == "smiles":
        rows = rows[1:]
    for number, (smiles, _) in enumerate(rows, 1):
        if not re.fullmatch(r"[A-Za-z0-9@+\-\[\]()=#$:.%/\\*~>{}]+", smiles):
            raise Unreadable(f"entry {number} is no SMILES: {smiles[:40]!r}")
    if not rows:
        raise Unreadable("it holds no molecules")
    return pd.DataFrame(rows, columns=["smiles", "name"])


def load_jcamp(source: Source) -> Any:
    """A DataFrame of x and y of a spectrum in plain numbers; the labels are in ``.attrs``."""
    import pandas as pd

    labels: dict[str, str] = {}
    points: list[tuple[float, float]] = []
    form = ""
    for line in load_text(source).split("\n"):
        line = line.split("$$")[0].strip()
        if line.startswith("##"):
            name, _, value = line[2:].partition("=")
            labels[name.strip().upper()] = value.strip()
            form = name.strip().upper() if name.strip().upper() in ("XYDATA", "XYPOINTS", "PEAK TABLE") else ""
        elif form and line:
            points.extend(_jcamp_points(line, form, labels))
    if "END" not in labels:
        raise Unreadable("it has no ##END=: the file is cut off")
    if not points:
        raise Unreadable("it holds no points in plain numbers")
    promised = labels.get("NPOINTS", "")
    if promised.isdigit() and int(promised) != len(points):
        raise Unreadable(f"it promises {promised} points and has {len(points)}")
    frame = pd.DataFrame(points, columns=["x", "y"])
    frame.attrs = labels
    return frame


def _jcamp_points(line: str, form: str, labels: dict[str, str]) -> list[tuple[float, float]]:
    try:
        if form != "XYDATA":
            numbers = [float(word) for word in re.split(r"[,;\s]+", line) if word]
            return list(zip(numbers[::2], numbers[1::2], strict=True))
        start, *values = (float(word) for word in re.findall(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", line))
        x_factor, y_factor = float(labels.get("XFACTOR", 1)), float(labels.get("YFACTOR", 1))
        first, last, count = (float(labels[name]) for name in ("FIRSTX", "LASTX", "NPOINTS"))
        step = (last - first) / max(1.0, count - 1)
        return [(start * x_factor + index * step, value * y_factor) for index, value in enumerate(values)]
    except (ValueError, KeyError) as exc:
        raise Unreadable(f"the line {line[:40]!r} is damaged or packed ({exc})") from exc


def load_mgf(source: Source) -> list[dict[str, Any]]:
    """The spectra: their named values, and ``peaks``, a DataFrame of mz and intensity."""
    import pandas as pd

    spectra: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    for number, line in enumerate(load_text(source).split("\n"), 1):
        line = line.strip()
        if line == "BEGIN IONS":
            current = {"peaks": []}
        elif line == "END IONS" and current is not None:
            current["peaks"] = pd.DataFrame(current["peaks"], columns=["mz", "intensity"])
            spectra.append(current)
            current = None
        elif current is not None and line:
            name, equals, value = line.partition("=")
            if equals and not line[0].isdigit():
                current[name.lower()] = value
                continue
            try:
                current["peaks"].append((float(line.split()[0]), float([*line.split(), "nan"][1])))
            except ValueError as exc:
                raise Unreadable(f"line {number} is no peak") from exc
    if current is not None or not spectra:
        raise Unreadable("it ends within a spectrum" if current is not None else "it holds no spectra")
    return spectra
