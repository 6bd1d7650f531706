"""``python -m tools.types_table``: print the README's table of file types. A test checks that the README has it."""

from __future__ import annotations

from kernel_manager.kernelside.file_types import BY_EXTENSION, KINDS, TYPES, FileType


def table() -> str:
    """The Markdown table: a row for each kind and what its types give."""
    rows = ["| kind | opens as | extensions |", "|---|---|---|"]
    for kind, title in KINDS.items():
        gives: dict[str, list[str]] = {}
        for row in TYPES:
            if row.kind == kind:
                gives.setdefault(row.gives, []).extend(_extensions(row))
        rows += [f"| {title} | {what} | {' '.join(extensions) or '–'} |" for what, extensions in gives.items()]
    return "\n".join(rows)


def _extensions(row: FileType) -> list[str]:
    return [f"`{extension[1:]}`" for extension in row.extensions if BY_EXTENSION[extension] is row]


def count() -> int:
    """How many extensions there are."""
    return sum(len(_extensions(row)) for row in TYPES)


if __name__ == "__main__":
    print(table())
