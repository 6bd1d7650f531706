"""A session on a table of 120,000 rows, as an analyst would have it: text, a table and a figure."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from kernel_manager import Session
from tests.integration.following import colours, figures, kinds, shown, written
from tests.integration.support import value

ROWS = 120_000
CATEGORIES = ("books", "garden", "toys", "tools")


@dataclass(frozen=True)
class Sales:
    """A file of sales, and what is true of it."""

    path: Path
    priced: dict[str, int]
    missing: int
    cents: int


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sales]:
    """Dates, categories and prices with gaps, the same at each run."""
    chance = random.Random(20260101)
    path = tmp_path_factory.mktemp("sales") / "sales.csv"
    priced = dict.fromkeys(CATEGORIES, 0)
    missing = total = 0
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["day", "category", "units", "price"])
        for row in range(ROWS):
            day = date(2024, 1, 1) + timedelta(days=row * 730 // ROWS)
            category = chance.choice(CATEGORIES)
            price = None if chance.random() < 0.05 else chance.randrange(100, 20_000)
            writer.writerow([day.isoformat(), category, chance.randrange(1, 9), "" if price is None else f"{price / 100:.2f}"])
            priced[category] += price is not None
            missing += price is None
            total += price or 0
    yield Sales(path, priced, missing, total)
    path.unlink()


async def test_a_table_of_120_000_rows_gives_text_a_table_and_a_figure(session: Session, sales: Sales) -> None:
    loaded = await session.execute("sales = load_file('sales.csv')\nprint(sales.shape)\nsales.head()", files=[sales.path])
    assert (loaded.status, written(loaded)) == ("ok", f"({ROWS}, 4)\n")
    assert "<table" in shown(loaded, "text/html")[0]
    assert value(loaded).splitlines()[0].split() == ["day", "category", "units", "price"]

    gaps = await session.execute("int(sales.price.isna().sum()), round(sales.price.sum() * 100)")
    assert value(gaps) == f"({sales.missing}, {sales.cents})"

    counts = await session.execute("sales.groupby('category').price.count().to_dict()")
    assert value(counts) == repr(dict(sorted(sales.priced.items())))

    plotted = await session.execute(
        "import matplotlib.pyplot as plt\nimport pandas as pd\n"
        "dated = sales.assign(day=pd.to_datetime(sales.day)).set_index('day')\n"
        "monthly = dated.groupby([pd.Grouper(freq='MS'), 'category']).price.mean()\n"
        "print(len(monthly))\nmonthly.unstack().plot(title='Mean price', figsize=(6, 3))\nplt.show()"
    )
    assert (plotted.status, written(plotted)) == ("ok", "96\n")
    assert kinds(plotted) == ["stdout", "display_data"]
    (figure,) = figures(plotted)
    assert len(colours(figure)) > 20

    saved = await session.execute("monthly.to_csv('monthly.csv')\nplt.plot([1])\nplt.savefig('trend.png')\nplt.close()")
    assert [(file.filename, file.mime) for file in saved.files] == [("monthly.csv", "text/csv"), ("trend.png", "image/png")]


async def test_a_figure_of_nothing_would_be_found_out(session: Session) -> None:
    blank = await session.execute(
        "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 1))\nplt.axes().set_axis_off()\nplt.show()"
    )
    assert len(colours(figures(blank)[0])) == 1


async def test_the_session_can_be_taken_away_as_a_notebook(session: Session, sales: Sales) -> None:
    await session.execute("sales = load_file('sales.csv')\nprint(len(sales))", files=[sales.path])
    await session.execute("sales.price.plot();")
    cells = session.read_history().cells
    assert [cell.execution_count for cell in cells] == [1, 2]
    assert "image/png" in cells[1].outputs[-1]["data"]
