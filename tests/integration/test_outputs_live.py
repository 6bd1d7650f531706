"""What a real kernel publishes, and what is made of it: Jupyter to the letter."""

from __future__ import annotations

import json

import pytest

from kernel_manager import DisplayUpdated, OutputAdded, OutputReplaced, OutputsCleared, Session, StreamExtended
from tests.integration.following import Follower, colours, events_of, figures, kinds, shown, written
from tests.integration.support import value

PLOT = "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 1), dpi=50)\nplt.plot([1, 3, 2])\n"


# Streams.


async def test_consecutive_text_of_one_stream_is_one_output(session: Session) -> None:
    result = await session.execute("print('a', end='', flush=True)\nprint('b', flush=True)\nprint('c')")
    assert result.outputs == [{"output_type": "stream", "name": "stdout", "text": "ab\nc\n"}]


async def test_flushed_streams_keep_their_order(session: Session) -> None:
    code = "import sys\nprint('1', flush=True)\nprint('2', file=sys.stderr, flush=True)\nprint('3', flush=True)"
    result = await session.execute(code)
    assert [(output["name"], output["text"]) for output in result.outputs] == [
        ("stdout", "1\n"),
        ("stderr", "2\n"),
        ("stdout", "3\n"),
    ]


async def test_text_comes_before_the_display_that_follows_it(session: Session) -> None:
    result = await session.execute("for i in range(3):\n    print(i)\n    display(i)\n'last'")
    assert kinds(result) == ["stdout", "display_data"] * 3 + ["execute_result"]


async def test_text_after_many_flushes_still_comes_before_the_result(session: Session) -> None:
    result = await session.execute("for i in range(500):\n    print('.', end='', flush=True)\n'result'")
    assert kinds(result) == ["stdout", "execute_result"]
    assert written(result) == "." * 500


async def test_text_arrives_while_the_cell_runs(session: Session) -> None:
    follower = Follower(session, "print('early', flush=True)\nanswer = input()\nprint('late')")
    assert (await follower.event(OutputAdded)).output["text"] == "early\n"
    await session.interrupt()
    assert written(await follower.result()) == "early\n"


async def test_text_without_a_flush_arrives_soon_as_well(session: Session) -> None:
    follower = Follower(session, "print('early')\nimport time\ntime.sleep(1000)")
    assert (await follower.event(OutputAdded)).output["text"] == "early\n"
    await session.interrupt()
    await follower.result()


async def test_events_add_up_to_the_result(session: Session) -> None:
    events = await events_of(session, "for i in range(50):\n    print(i, flush=True)")
    added = [event for event in events if isinstance(event, OutputAdded)]
    extended = [event for event in events if isinstance(event, StreamExtended)]
    assert len(added) == 1
    text = added[0].output["text"] + "".join(event.text for event in extended)
    assert text == "".join(f"{i}\n" for i in range(50))


async def test_carriage_returns_of_a_progress_bar_are_kept(session: Session) -> None:
    result = await session.execute("import sys\nfor i in range(3):\n    print(f'\\r{i}/3', end='', file=sys.stderr, flush=True)")
    assert written(result, "stderr") == "\r0/3\r1/3\r2/3"


async def test_unicode_control_and_colour_characters_arrive_as_they_are(session: Session) -> None:
    text = "é 漢字 🐍 \x00 \x07 \x1b[31mred\x1b[0m \u202e \u2028"
    result = await session.execute(f"print({text!r})\n{text!r}")
    assert written(result) == f"{text}\n"
    assert json.loads(json.dumps(value(result))) == repr(text)


@pytest.mark.parametrize("lone", ["\\ud800", "\\udcff"])
async def test_characters_that_no_text_can_carry_are_replaced(session: Session, lone: str) -> None:
    result = await session.execute(f"print('a{lone}b')\ndisplay({{'text/html': '<{lone}>'}}, raw=True)\n1")
    assert result.status == "ok"
    assert written(result) == "a\ufffdb\n"
    assert shown(result, "text/html") == ["<\ufffd>"]
    assert value(result) == "1"


async def test_an_error_with_characters_that_no_text_can_carry_is_shown(session: Session) -> None:
    result = await session.execute("raise ValueError('a\\ud800b')")
    assert (result.status, result.cause) == ("error", "ValueError: a\ufffdb")
    assert kinds(result) == ["error"]


async def test_a_very_long_line_is_kept_whole_below_the_limit(session: Session) -> None:
    result = await session.execute("print('x' * 100_000)")
    assert written(result) == "x" * 100_000 + "\n"


async def test_warnings_and_logging_go_to_stderr(session: Session) -> None:
    result = await session.execute("import logging, warnings\nwarnings.warn('careful')\nlogging.warning('logged')")
    assert "UserWarning: careful" in written(result, "stderr")
    assert "WARNING:root:logged" in written(result, "stderr")


# What does not come through sys.stdout.


async def test_descriptors_and_children_are_caught_in_order(session: Session) -> None:
    result = await session.execute(
        "import os, subprocess, sys\n"
        "print('one')\n"
        "os.write(1, b'two\\n')\n"
        "print('three')\n"
        "subprocess.run(['sh', '-c', 'echo four; echo oops >&2'])\n"
        "print('five')\n"
        "os.system('echo six')\n"
        "print('seven')"
    )
    assert written(result).split() == ["one", "two", "three", "four", "five", "six", "seven"]
    assert written(result, "stderr") == "oops\n"


async def test_text_of_a_child_that_writes_at_once_comes_before_what_follows(session: Session) -> None:
    code = "import os\nfor i in range(20):\n    os.write(1, b'child\\n')\n    print('parent')"
    result = await session.execute(code)
    assert written(result).split() == ["child", "parent"] * 20


async def test_c_level_output_is_caught_even_without_a_newline(session: Session) -> None:
    result = await session.execute("import ctypes\nlibc = ctypes.CDLL(None)\nlibc.puts(b'put')\nlibc.printf(b'unfinished')\nNone")
    assert written(result) == "put\nunfinished"


async def test_c_level_output_belongs_to_the_cell_that_wrote_it(session: Session) -> None:
    first = await session.execute("import ctypes\nctypes.CDLL(None).printf(b'first')\nNone")
    second = await session.execute("print('second')")
    assert (written(first), written(second)) == ("first", "second\n")


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_processes_that_the_code_starts_can_print(session: Session, method: str) -> None:
    await session.execute("%%writefile worker.py\ndef work(name):\n    print('hello from', name, flush=True)\n")
    result = await session.execute(
        "import multiprocessing, sys, worker\n"
        f"child = multiprocessing.get_context({method!r}).Process(target=worker.work, args=('child',))\n"
        "child.start()\nchild.join()\nprint('status', child.exitcode)"
    )
    assert written(result) == "hello from child\nstatus 0\n"


async def test_a_pool_works(session: Session) -> None:
    await session.execute("%%writefile squares.py\ndef square(x):\n    return x * x\n")
    code = (
        "import multiprocessing, squares\nwith multiprocessing.Pool(2) as pool:\n    squared = pool.map(squares.square, range(4))"
    )
    result = await session.execute(f"{code}\nprint(squared)")
    assert written(result) == "[0, 1, 4, 9]\n"


async def test_a_forked_child_can_display(session: Session) -> None:
    code = (
        "import multiprocessing\nfrom IPython.display import HTML\n"
        "child = multiprocessing.get_context('fork').Process(target=lambda: display(HTML('<b>child</b>')))\n"
        "child.start()\nchild.join()"
    )
    assert shown(await session.execute(code), "text/html") == ["<b>child</b>"]


async def test_a_thread_that_prints_after_its_cell_is_heard_in_the_next(session: Session) -> None:
    await session.execute(
        "import threading\ngo = threading.Event()\n"
        "thread = threading.Thread(target=lambda: (go.wait(), print('late')))\nthread.start()"
    )
    result = await session.execute("go.set()\nthread.join()\nprint('next')")
    assert written(result).split() == ["late", "next"]


async def test_a_closed_descriptor_does_not_silence_python(session: Session) -> None:
    await session.execute("import os\nos.close(1)")
    assert written(await session.execute("print('still here')")) == "still here\n"


# Displays.


async def test_mime_bundles_are_kept_whole(session: Session) -> None:
    plotly = {"data": [{"type": "bar", "y": [1, 2.5, None]}], "layout": {"title": {"text": "é"}}}
    bundle = {"application/vnd.plotly.v1+json": plotly, "text/html": "<div></div>", "text/plain": "Figure()"}
    vega = {"application/vnd.vegalite.v5+json": {"mark": "bar"}, "text/plain": "<VegaLite>"}
    code = f"display({bundle!r}, raw=True)\ndisplay({vega!r}, metadata={{'vega': {{'embed': True}}}}, raw=True)"
    result = await session.execute(code)
    assert result.outputs == [
        {"output_type": "display_data", "data": bundle, "metadata": {}},
        {"output_type": "display_data", "data": vega, "metadata": {"vega": {"embed": True}}},
    ]


@pytest.mark.parametrize(
    ("expression", "mime", "content"),
    [
        ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')", "image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("HTML('<i>x</i>')", "text/html", "<i>x</i>"),
        ("Latex('$x$')", "text/latex", "$x$"),
        ("Markdown('# x')", "text/markdown", "# x"),
        ("JSON({'a': [1, None]})", "application/json", {"a": [1, None]}),
        ("Javascript('1')", "application/javascript", "1"),
    ],
)
async def test_rich_objects(session: Session, expression: str, mime: str, content: object) -> None:
    result = await session.execute(f"from IPython.display import *\n{expression}")
    assert kinds(result) == ["execute_result"]
    assert shown(result, mime) == [content]


async def test_a_data_frame_has_text_and_html(session: Session) -> None:
    result = await session.execute("import pandas as pd\npd.DataFrame({'a': [1, 2]})")
    assert kinds(result) == ["execute_result"]
    assert shown(result)[0].splitlines()[0].split() == ["a"]
    assert "<table" in shown(result, "text/html")[0]


async def test_a_pillow_image_is_a_png(session: Session) -> None:
    result = await session.execute("from PIL import Image\nImage.new('RGB', (3, 2), (255, 0, 0))")
    assert colours(figures(result)[0]) == {b"\xff\x00\x00"}


async def test_a_display_is_updated_in_its_own_cell(session: Session) -> None:
    code = "handle = display('old', display_id='d')\nprint('between')\nhandle.update('new')"
    events = await events_of(session, code)
    assert [type(event) for event in events if isinstance(event, (OutputReplaced, DisplayUpdated))] == [OutputReplaced]
    result = events[-1].result  # type: ignore[union-attr]
    assert kinds(result) == ["display_data", "stdout"]
    assert shown(result) == ["'new'"]


async def test_every_output_of_a_display_id_is_updated(session: Session) -> None:
    result = await session.execute("for i in range(3):\n    display(i, display_id='d')")
    assert shown(result) == ["2", "2", "2"]


async def test_a_display_of_an_earlier_cell_is_updated_there(session: Session) -> None:
    await session.execute("handle = display('old', display_id='d')")
    events = await events_of(session, "handle.update('new')\nprint('done')")
    (update,) = [event for event in events if isinstance(event, DisplayUpdated)]
    assert (update.display_id, update.data) == ("d", {"text/plain": "'new'"})
    first, second = session.read_history().cells
    assert first.outputs == [{"output_type": "display_data", "data": {"text/plain": "'new'"}, "metadata": {}}]
    assert [output["output_type"] for output in second.outputs] == ["stream"]


async def test_outputs_are_cleared_at_once_or_with_the_next(session: Session) -> None:
    code = "from IPython.display import clear_output\nprint('gone')\nclear_output({})\n{}"
    assert (await session.execute(code.format("", ""))).outputs == []
    assert written(await session.execute(code.format("wait=True", "print('new')"))) == "new\n"
    assert written(await session.execute(code.format("wait=True", ""))) == "gone\n"


async def test_clearing_is_an_event(session: Session) -> None:
    events = await events_of(session, "from IPython.display import clear_output\nprint('a')\nclear_output()\nprint('b')")
    assert [type(event) for event in events[1:-1]] == [OutputAdded, OutputsCleared, OutputAdded]


async def test_an_animation_leaves_its_last_frame(session: Session) -> None:
    code = "for i in range(5):\n    clear_output(wait=True)\n    print('frame', i)\n    display(i)"
    result = await session.execute(f"from IPython.display import clear_output\n{code}")
    assert (written(result), shown(result)) == ("frame 4\n", ["4"])


# Figures.


@pytest.mark.parametrize("end", ["plt.show()", ";", "%matplotlib inline"])
async def test_a_figure_is_a_png_whether_it_is_shown_or_left_open(session: Session, end: str) -> None:
    result = await session.execute(f"{PLOT}{end if end != ';' else 'None;'}")
    assert kinds(result) == ["display_data"]
    assert len(colours(figures(result)[0])) > 2


async def test_a_plot_as_last_line_gives_its_value_and_the_figure(session: Session) -> None:
    result = await session.execute(PLOT)
    assert kinds(result) == ["execute_result", "display_data"]
    assert len(figures(result)) == 1


async def test_several_figures_come_in_the_order_of_their_making(session: Session) -> None:
    code = "for colour in 'rg':\n    plt.figure(figsize=(1, 1), facecolor=colour)\n    plt.plot([1])"
    result = await session.execute(f"import matplotlib.pyplot as plt\n{code}")
    red, green = (colours(figure) for figure in figures(result))
    assert (b"\xff\x00\x00\xff" in red, b"\x00\x80\x00\xff" in green) == (True, True)


async def test_a_figure_that_was_open_when_the_cell_failed_is_shown(session: Session) -> None:
    result = await session.execute(f"{PLOT}1 / 0")
    assert (result.status, kinds(result)) == ("error", ["error", "display_data"])
    assert len(figures(result)) == 1


async def test_a_closed_figure_is_not_shown(session: Session) -> None:
    assert (await session.execute(f"{PLOT}plt.close()")).outputs == []


async def test_a_figure_is_shown_once_even_if_saved(session: Session) -> None:
    result = await session.execute(f"{PLOT}plt.savefig('saved.png')\nplt.show()")
    assert len(figures(result)) == 1
    assert [file.filename for file in result.files] == ["saved.png"]
    assert (await session.execute("None")).outputs == []


async def test_a_figure_object_as_result(session: Session) -> None:
    result = await session.execute(f"{PLOT}figure = plt.gcf()\nplt.close()\nfigure")
    assert kinds(result) == ["execute_result"]
    assert len(figures(result)) == 1


async def test_figures_as_svg(session: Session) -> None:
    result = await session.execute(f"%config InlineBackend.figure_formats = ['svg']\n{PLOT}plt.show()")
    assert "<svg" in shown(result, "image/svg+xml")[0]


async def test_a_data_frame_plots(session: Session) -> None:
    result = await session.execute("import pandas as pd\npd.DataFrame({'a': [1, 3, 2]}).plot(figsize=(2, 1));")
    assert len(figures(result)) == 1


async def test_a_result_with_a_figure_goes_through_json(session: Session) -> None:
    result = await session.execute(f"{PLOT}plt.show()")
    assert json.loads(json.dumps(result.to_dict()))["outputs"] == result.outputs
