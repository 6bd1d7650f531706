"""One line of the result."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured on both sides: seconds or bytes, as ``unit`` says (``ms`` or ``MB`` is how it is shown).

    ``target`` is the ratio to reach, ``most`` what ours may be above the other side, ``limit`` what ours may be at all. A side
    without samples was not measured; ``failure`` says why if that is wrong.
    """

    name: str
    unit: str
    ours: Sequence[float] = ()
    plain: Sequence[float] = ()
    target: float | None = None
    most: float | None = None
    limit: float | None = None
    failure: str | None = None

    @property
    def ours_median(self) -> float | None:
        """The median of our side's samples."""
        return statistics.median(self.ours) if self.ours else None

    @property
    def plain_median(self) -> float | None:
        """The median of the other side's samples."""
        return statistics.median(self.plain) if self.plain else None

    @property
    def ratio(self) -> float | None:
        """Ours to plain; less is better."""
        ours, plain = self.ours_median, self.plain_median
        return ours / plain if ours is not None and plain else None

    @property
    def reached(self) -> bool | None:
        """Whether the target was reached; None when there is none."""
        if self.target is None and self.most is None and self.limit is None:
            return None
        ours, plain = self.ours_median, self.plain_median
        if self.limit is not None:
            return self.failure is None and ours is not None and ours <= self.limit
        if self.failure is not None or ours is None or plain is None:
            return False
        return ours <= plain * self.target if self.target is not None else ours - plain <= (self.most or 0)

    def to_dict(self) -> dict[str, Any]:
        """Everything by name, ready for JSON; seconds and bytes."""
        return {
            "name": self.name,
            "unit": _BASE_UNITS[self.unit],
            "ours": self.ours_median,
            "plain": self.plain_median,
            "ratio": self.ratio,
            "target": self.target,
            "most": self.most,
            "limit": self.limit,
            "reached": self.reached,
            "failure": self.failure,
            "samples": {"ours": list(self.ours), "plain": list(self.plain)},
        }


_BASE_UNITS = {"ms": "s", "MB": "bytes"}
