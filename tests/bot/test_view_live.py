"""What people see of a turn, with the real bot, real kernels and a simulated Discord."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import discord
import pytest

from tests.bot.conftest import OpenStage, Stage, all_text, labels, text_of, with_buttons
from tests.integration.support import until

pytestmark = pytest.mark.slow

PLOT = "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 1), dpi=50)\nplt.plot([1, 3, 2])\n"


def names(messages: Sequence[discord.Message]) -> list[str]:
    return [attachment.filename for message in messages for attachment in message.attachments]


async def test_a_figure_is_there_while_its_cell_runs_on(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        code = f"{PLOT}print('before')\nplt.show()\nprint('after', flush=True)\ninput('go on? ')\nplt.plot([2, 1])\nplt.show()"
        thread = await stage.open(ada, f"!run {code}")
        await until(lambda: names(thread.history()) == ["figure-1.png"])
        await until(lambda: "asks: go on?" in text_of(thread.history()[-1]))
        assert "after" in text_of(thread.history()[-1])
        figure = next(message for message in thread.history() if message.attachments)
        await ada.send(thread, "yes", reply_to=with_buttons(thread.history()))
        messages = await stage.ended(thread)
        assert names(messages) == ["figure-1.png", "figure-2.png"]
        assert figure.id in [message.id for message in messages]
        assert all_text(messages).count("before") == 1
        assert [message for message in messages if labels(message)] == [messages[-1]]


async def test_a_figure_that_is_shown_and_saved_is_posted_once(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        code = f"{PLOT}plt.savefig('plot.png', dpi=120)\nplt.savefig('plot.pdf')\nplt.show()"
        messages = await stage.ended(await stage.open(stage.member(), f"!run {code}"))
        assert names(messages) == ["plot.png", "plot.pdf"]


async def download(stage: Stage, url: str) -> bytes:
    return await stage.env.bot.http.get_from_cdn(url)


async def test_a_file_over_the_limit_is_compressed_if_that_helps_and_else_named(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        code = "import os\nopen('a.csv', 'wb').write(b'1,2\\n' * 2**22)\nopen('b.bin', 'wb').write(os.urandom(11 * 2**20));"
        messages = await stage.ended(await stage.open(stage.member(), f"!run {code}"))
        (attached,) = [attachment for message in messages for attachment in message.attachments]
        assert attached.filename == "a.csv.zip"
        with zipfile.ZipFile(io.BytesIO(await download(stage, attached.url))) as archive:
            assert archive.getinfo("a.csv").file_size == 2**24
        assert "even compressed, b.bin has 11.0 MiB and Discord takes 10 MiB here" in all_text(messages)


async def test_tables_formulas_and_charts_are_shown(open_stage: OpenStage) -> None:
    code = (
        "import pandas as pd, matplotlib\n"
        "display(pd.DataFrame({'a': [1], 'b': [2]}))\n"
        "display(pd.DataFrame({f'column {n}': [n] for n in range(9)}))\n"
        "from IPython.display import HTML, SVG, Math\n"
        "display(Math(r'\\frac{x}{2}'))\n"
        'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="30"/>\'))\n'
        "display(HTML('<div id=1></div><script>draw()</script>'))\n"
    )
    async with open_stage(None) as stage:
        messages = await stage.ended(await stage.open(stage.member(), f"!run {code}"))
        assert "```\n  a b\n0 1 2\n```" in all_text(messages)
        assert sorted(names(messages)) == ["figure-1.png", "figure-2.png", "page-1.html", "table-1.csv", "table-1.png"]
