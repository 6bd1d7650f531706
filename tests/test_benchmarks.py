"""The measuring code works; what it measures is nobody's test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.__main__ import main
from benchmarks.arena import Plan, in_turns
from benchmarks.measures import MEASURES
from benchmarks.processes import Memory, parse_rollup
from benchmarks.row import Row
from kernel_manager.packages.environments import Environment
from tests.wheels import make_wheel

TINY = Plan(
    figures=1,
    kernels_for_memory=1,
    round_trips=2,
    block=1,
    crowds=1,
    ours_at_once=2,
    plain_at_once=1,
    starts=1,
    colds=1,
    commands=1,
    interrupts=1,
    bombed=1,
    installs=1,
    checks=2,
    exports=1,
    exported_cells=4,
    agent_rounds=1,
    loads=1,
    threads_at_once=2,
)
ROLLUP = """\
55d0-7ffc ---p 00000000 00:00 0                          [rollup]
Rss:              171000 kB
Pss:               60000 kB
Shared_Clean:      20000 kB
Private_Clean:       512 kB
Private_Dirty:      1536 kB
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_measure_measures_both_sides(
    kernel_environment: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path, "seaborn", version="0.13.2")
    environ = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    file = tmp_path / "rows.json"
    assert main(["--json", str(file)], TINY) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["failure"] for row in rows if row["failure"]] == []
    assert all(row["ours"] > 0 for row in rows)
    alone = [row for row in rows if ("zygote" in row["name"] and "included" not in row["name"]) or "lack" in row["name"]]
    assert len(alone) == 4
    alone += [row for row in rows if "first message" in row["name"]]
    by_itself = [row for row in rows if row["limit"] is not None]
    assert len(by_itself) == 6
    assert all(row["plain"] > 0 for row in rows if row not in [*alone, *by_itself])
    assert sum(row["target"] is not None for row in rows) == 9
    assert sum(row["most"] is not None for row in rows) == 4
    printed = capsys.readouterr().out
    assert kernel_environment.lock.read_text().partition("ipykernel==")[2].split()[0] in printed
    assert all(f"| {row['name']} " in printed for row in rows)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_failing_measure_says_so_and_the_exit_status_stays_0(
    kernel_environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def fail(_arena: object) -> list[Row]:
        raise RuntimeError("the kernel went away")

    monkeypatch.setitem(MEASURES, "figure", fail)
    assert main(["--only", "figure"], TINY) == 0
    assert "figure: RuntimeError: the kernel went away" in capsys.readouterr().out


async def test_the_side_that_begins_alternates() -> None:
    turns: list[str] = []

    async def ours() -> list[float]:
        turns.append("ours")
        return [1.0]

    async def plain() -> list[float]:
        turns.append("plain")
        return [2.0, 3.0]

    assert await in_turns(2, ours, plain) == ([1.0, 1.0], [2.0, 3.0, 2.0, 3.0])
    assert turns == ["ours", "plain", "plain", "ours"]


def test_private_memory_is_what_no_other_process_shares() -> None:
    assert parse_rollup(ROLLUP) == Memory(resident=171000 * 1024, private=2048 * 1024)


def test_a_text_that_is_no_rollup_is_refused() -> None:
    with pytest.raises(ValueError, match="smaps_rollup"):
        parse_rollup("Rss: 1 kB\n")


@pytest.mark.parametrize(("ours", "reached"), [((0.1, 9.0, 0.05), True), ((0.11, 0.11), False)])
def test_a_target_is_compared_with_the_ratio_of_the_medians(ours: tuple[float, ...], reached: bool) -> None:
    assert Row("r", "ms", ours, (1.0, 1.0), target=0.1).reached is reached


def test_a_limit_holds_for_our_side_alone() -> None:
    assert Row("r", "ms", (0.5,), limit=1).reached is True
    assert Row("r", "ms", (1.5,), limit=1).reached is False
    assert Row("r", "ms", limit=1).reached is False
    assert "≤ 1000 ms" in table.render([Row("r", "ms", (0.5,), limit=1)])


def test_a_row_without_samples_reaches_no_target() -> None:
    assert Row("r", "ms", target=0.1, failure="it broke").reached is False
    assert Row("r", "ms", (1.0,)).reached is None


def test_the_table_is_markdown_with_ratios_as_their_targets_are_given() -> None:
    rows = [
        Row("figure", "ms", (0.1234,), (1.5,), target=1 / 10),
        Row("round trip", "ms", (0.0031,), (0.0029,), target=1.15),
        Row("zygote", "MB", (103_400_000.0,)),
    ]
    assert table.render(rows).splitlines() == [
        "| name       |    ours |   plain |  ratio |   target | reached |",
        "| ---------- | ------: | ------: | -----: | -------: | ------: |",
        "| figure     |  123 ms | 1500 ms | 1/12.2 |   ≤ 1/10 |     yes |",
        "| round trip | 3.10 ms | 2.90 ms | 1.07 × | ≤ 1.15 × |     yes |",
        "| zygote     |  103 MB |       – |        |          |         |",
    ]
