"""The rows as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.row import Row

_HEADER = ("name", "ours", "plain", "ratio", "target", "reached")
_FACTORS = {"ms": 1e3, "MB": 1e-6}
_NOTHING = "–"


def render(rows: Iterable[Row]) -> str:
    """Return the table, columns aligned, with a line below it for each failure."""
    rows = list(rows)
    cells = [_HEADER, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    head, *body = (_line(line, widths) for line in cells)
    failures = [f"{row.name}: {row.failure}" for row in rows if row.failure]
    return "\n".join([head, _rule(widths), *body, *([""] if failures else []), *failures])


def _cells(row: Row) -> tuple[str, ...]:
    reached = {None: "", True: "yes", False: "no"}[row.reached]
    target = "" if row.target is None else f"≤ {_ratio(row.target)}"
    if row.most is not None:
        target = f"≤ +{_value(row.most, row.unit)}"
    if row.limit is not None:
        target = f"≤ {_value(row.limit, row.unit)}"
    return (row.name, _value(row.ours_median, row.unit), _value(row.plain_median, row.unit), _ratio(row.ratio), target, reached)


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return _NOTHING
    shown = value * _FACTORS[unit]
    return f"{shown:.{2 if shown < 10 else 1 if shown < 100 else 0}f} {unit}"


def _ratio(ratio: float | None) -> str:
    """Small ratios as fractions: that is how the targets are given."""
    if ratio is None:
        return ""
    return f"1/{1 / ratio:.3g}" if 0 < ratio <= 0.5 else f"{ratio:.2f} ×"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join([first, *others])} |"


def _rule(widths: Sequence[int]) -> str:
    first, *others = widths
    return f"| {' | '.join(['-' * first, *('-' * (width - 1) + ':' for width in others)])} |"
