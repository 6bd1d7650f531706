from __future__ import annotations

import pytest

from kernel_manager.execution.result import ExecutionResult
from notebooks_export.verification import CellVerdict, Run, ShownCell, Verification, judge, sentence
from tests.notebooks_export.making import printed


def cell(status: str = "ok", text: str = "a", code: str = "f()", *, skipped: bool = False) -> ShownCell:
    return ShownCell("c", 7, code, status, (printed(text),), skipped)


def run(text: str = "a", status: str = "ok", asked: bool = False) -> Run:
    result = ExecutionResult(status, outputs=[printed(text)], cause="E: x" if status != "ok" else None)  # type: ignore[arg-type]
    return Run({"c": result}, frozenset(["c"] if asked else []))


@pytest.mark.parametrize(
    ("shown", "first", "second", "verdict", "why"),
    [
        (cell(), run(), None, "same", ""),
        (cell("error"), run(status="error"), None, "same", ""),
        (cell(), run("b"), run("b"), "different", "shows something else than in the session"),
        (cell(), run("b"), run("c"), "not repeatable", "shows something else at each run"),
        (cell(code="time.time()"), run("b"), run("c"), "not repeatable", "uses the current time"),
        (cell(), run("b"), run("a"), "not repeatable", "shows something else at each run"),
        (cell(), run("b", "error"), run("b", "error"), "failed", "fails in a fresh kernel (E: x)"),
        (cell(), run("b", "error"), run("a"), "not repeatable", "shows something else at each run"),
        (cell("error"), run(), run(), "different", "failed in the session and runs in a fresh kernel"),
        (cell(), run("b", "error", asked=True), None, "failed", "asks for a password, which is never kept"),
        (cell(skipped=True), Run({}), None, "skipped", "did not come to its end in the session, so it was not run again"),
        (cell(), Run({}), Run({}), "failed", "was not reached, as an earlier cell ended the kernel"),
    ],
)
def test_a_cell_is_judged_by_what_was_shown_and_by_fresh_runs(
    shown: ShownCell, first: Run, second: Run | None, verdict: str, why: str
) -> None:
    judged = judge(shown, "", first, second, frozenset())
    assert (judged.number, judged.verdict, judged.why) == (7, verdict, why)


def verdicts(same: int, *others: CellVerdict) -> list[CellVerdict]:
    return [*(CellVerdict(f"s{number}", number, "same") for number in range(same)), *others]


def other(number: int, why: str) -> CellVerdict:
    return CellVerdict(f"o{number}", number, "not repeatable", why, "- a\n+ b")


def test_one_sentence_tells_all() -> None:
    assert sentence(verdicts(18, other(7, "uses the current time"))) == "18 of 19 cells reproduce; cell 7 uses the current time."
    assert sentence(verdicts(2)) == "All cells reproduce."
    assert sentence(verdicts(1)) == "The cell reproduces."
    assert sentence([]) == "There are no cells to reproduce."
    many = sentence(verdicts(0, *(other(number, "measures time") for number in range(1, 6))))
    assert many == "0 of 5 cells reproduce; cell 1 measures time; cell 2 measures time; cell 3 measures time; 2 more do not."


def test_the_summary_names_what_is_not_the_same() -> None:
    found = verdicts(2, other(3, "uses random numbers"))
    summary = Verification(tuple(found), sentence(found)).to_dict()
    assert (summary["cells"], summary["same"], summary["not repeatable"]) == (3, 2, 1)
    (named,) = summary["not_same"]
    assert (named["number"], named["why"], named["diff"]) == (3, "uses random numbers", "- a\n+ b")
