from __future__ import annotations

import pytest

from kernel_manager.kernelside.stills import formula_lines


@pytest.mark.parametrize(
    ("latex", "lines"),
    [
        (r"$\displaystyle \frac{x}{2}$", [r"\frac{x}{2}"]),
        (r"$$\sum\limits_{k=1}^n k$$", [r"\sum_{k=1}^n k"]),
        (r"\[a < b\]", ["a < b"]),
        (r"\begin{align*} a &= b \\ c &= d \end{align*}", ["a = b", "c = d"]),
        (r"\begin{matrix} 1 \end{matrix}", []),
        (r"text with $a$ and $b$", []),
        ("", []),
    ],
)
def test_lines_of_a_formula(latex: str, lines: list[str]) -> None:
    assert formula_lines(latex) == lines
