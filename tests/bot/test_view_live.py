"""What people see of a turn, with the real bot, real kernels and a simulated Discord."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import discord
import pytest

from bot.client import ThreadbookBot
from tests.bot.conftest import OpenStage, Stage, all_text, labels, said, text_of, with_buttons
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
        thread = await stage.open(stage.member(), f"!run {code}")
        messages = await stage.ended(thread)
        assert names(messages) == ["plot.png", "plot.pdf"]
        more = "import PIL.Image, IPython.display\nPIL.Image.new('RGB', (9, 9)).save('i.png')\nIPython.display.Image('i.png')"
        await stage.member().send(thread, f"!run {PLOT}figure = plt.gcf()\nfigure.savefig('twice.png')\nfigure")
        await stage.ended(thread, turns=2)
        await stage.member().send(thread, f"!run {more}")
        assert names(await stage.ended(thread, turns=3))[2:] == ["twice.png", "i.png"]


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


async def test_code_is_edited_in_a_form_and_run(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "```py\nx = 20\n```\n```py\nprint(x)\n```")
        before = with_buttons(await stage.ended(thread))
        form = await ada.click(before, label="Edit & run")
        assert form.modal is not None
        field = form.modal["components"][0]["components"][0]
        assert field["value"] == "x = 20\n\n# %%\nprint(x)"
        await ada.submit_modal(form, {field["custom_id"]: "x = 40\n# %%\nprint(x + 2)"})
        messages = await stage.ended(thread, turns=2)
        assert "Cell 2 · done" in all_text(messages)
        assert "```\n42\n```" in all_text(messages)
        shown = await ada.click(messages[-1], label="Show code")
        assert said(shown).content == "```py\nx = 40\n```\n```py\nprint(x + 2)\n```"


async def test_code_that_is_too_long_for_a_form_goes_by_file(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        code = "\n".join(f"x{n} = {n}" for n in range(600)) + "\nprint(x599)"
        thread = await stage.open(ada, "!run", attachments=[("long.py", code.encode())])
        messages = await stage.ended(thread)
        assert "```\n599\n```" in all_text(messages)
        told = said(await ada.click(messages[-1], label="Edit & run"))
        assert "edit this file and send it with `!run`" in told.content
        (file,) = told.attachments
        assert await download(stage, file.url) == code.encode()
        await ada.send(thread, "!run", attachments=[("a.csv", b"1")])
        await until(lambda: "a.csv is no Python file" in all_text(thread.history()))


async def test_the_notebook_is_there_in_other_forms(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run print(6 * 7)")
        messages = await stage.ended(thread)
        offered = await ada.click(messages[-1], label="Notebook")
        answered = said(offered)
        assert answered.attachments[0].filename.endswith(".ipynb")
        page = said(await ada.click(answered, label="As a web page"))
        assert b"<!doctype html>" in (await download(stage, page.attachments[0].url)).lower()
        bundle = said(await ada.click(answered, label="With its data"))
        with zipfile.ZipFile(io.BytesIO(await download(stage, bundle.attachments[0].url))) as archive:
            assert "requirements.txt" in {name.rpartition("/")[2] for name in archive.namelist()}


async def test_reset_asks_where_something_would_be_lost(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run x = 1")
        asked = said(await ada.click(with_buttons(await stage.ended(thread)), label="Reset"))
        assert "forgets all variables" in asked.content
        await ada.click(asked, label="Begin anew")
        again = await ada.click(with_buttons(thread.history()), label="Run again")
        assert "before the last reset" in said(again).content
        await ada.send(thread, "!run print('x' in globals())")
        assert "False" in all_text(await stage.ended(thread, turns=2))


async def test_what_the_code_wrote_can_be_kept_also_after_a_restart(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run open('one file.txt', 'w').write('1');")
        one = next(message for message in await stage.ended(thread) if message.attachments)
        await ada.send(thread, "!run for n in 'ab': open(n + '.txt', 'w').write(n)")
        several = [message for message in await stage.ended(thread, turns=2) if message.attachments][-1]
        await stage.env.restart_bot(ThreadbookBot(stage.service))
        kept = said(await ada.click(one, label="Keep"))
        assert "one file.txt is yours" in kept.content
        asked = said(await ada.click(several, label="Keep"))
        told = said(await ada.select(asked, ["0", "1"]))
        assert "a.txt is yours" in told.content
        assert "b.txt is yours" in told.content
        assert {file.filename for file in await stage.interpreter.files.list(ada.id)} == {"one file.txt", "a.txt", "b.txt"}
        refused = said(await stage.member("bob").click(one, label="Keep"))
        assert "somebody else's" in refused.content


async def test_a_secret_is_neither_taken_from_a_message_nor_shown_nor_kept(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run from getpass import getpass\nn = len(getpass('Key? '))\nprint(n)")
        await until(lambda: "asks for a secret: Key?" in all_text(thread.history()))
        question = with_buttons(thread.history())
        await ada.send(thread, "hunter2", reply_to=question)
        await until(lambda: "press **Answer** and enter it there" in all_text(thread.history()))
        form = await ada.click(question, label="Answer")
        assert form.modal is not None
        await ada.submit_modal(form, {form.modal["components"][0]["components"][0]["custom_id"]: "correct horse"})
        messages = await stage.ended(thread)
        assert "```\n13\n```" in all_text(messages)
        assert "correct horse" not in all_text(messages)
        stored = [path for path in (stage.interpreter.settings.data_dir).rglob("*") if path.is_file()]
        assert not [path for path in stored if b"correct horse" in path.read_bytes() or b"hunter2" in path.read_bytes()]
