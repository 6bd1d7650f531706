"""A real notebook gives, cell by cell in a session, what nbclient gets from a plain ipykernel of the same environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbclient
import pytest

from kernel_manager import Session
from tests.integration.notebooks import comparable, notebook_of
from tests.integration.support import PATIENCE

CELLS = r"""
import asyncio, json, logging, os, sys, warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
# %%
from IPython.display import HTML, JSON, Latex, Markdown, SVG, Image, clear_output, display, update_display
# %%
rng = np.random.default_rng(7)
frame = pd.DataFrame({'day': pd.date_range('2026-01-01', periods=60), 'x': rng.normal(size=60)})
frame['group'] = np.where(frame.x > 0, 'up', 'down')
frame.head()
# %%
frame.groupby('group').x.agg(['count', 'mean']).round(3)
# %%
frame.describe()
# %%
pd.DataFrame(np.arange(60).reshape(2, 30), columns=[f'column {i}' for i in range(30)])
# %%
print('shape', frame.shape)
print('to stderr', file=sys.stderr)
frame.x.sum().round(6)
# %%
fig, ax = plt.subplots(figsize=(4, 2))
ax.plot(frame.day, frame.x)
ax.set_title('Series')
plt.show()
# %%
plt.hist(frame.x, bins=10)
# %%
frame.plot(x='day', y='x', kind='line', figsize=(3, 2));
# %%
# fails
def ratio(a, b):
    return a / b

ratio(1, 0)
# %%
# fails
for i in range(3):
    print(i)
int('no number')
# %%
# fails
def broken(:
    pass
# %%
# fails
%no_such_magic
# %%
# fails
raise KeyError('chained') from ValueError('first')
# %%
# fails
sys.exit(1)
# %%
# fails
plt.plot([1, 2])
assert False, 'with a figure open'
# %%
handle = display('loading…', display_id='progress')
for i in range(5):
    handle.update(f'{i}/5')
# %%
update_display('done', display_id='progress')
print('updated')
# %%
for i in range(4):
    clear_output(wait=True)
    print('step', i)
# %%
print('gone')
clear_output()
print('kept')
# %%
display(HTML('<b>x</b>'), Latex('$x^2$'), Markdown('*x*'), JSON({'a': [1, None]}))
display(SVG('<svg xmlns="http://www.w3.org/2000/svg"/>'))
# %%
display({'application/vnd.plotly.v1+json': {'data': [], 'layout': {}}, 'text/plain': 'Figure'}, raw=True)
# %%
%%time
total = sum(range(1000))
total
# %%
%timeit -n 1 -r 1 pass
# %%
%%capture captured
print('captured')
display(1)
# %%
captured.stdout, len(captured.outputs)
# %%
!echo from the shell
# %%
%%bash
echo out
echo err >&2
# %%
listed = !printf 'a\nb\n'
listed
# %%
warnings.warn('careful')
logging.warning('logged')
# %%
await asyncio.sleep(0.01)
'awaited'
# %%
class Shy:
    def __repr__(self):
        return '<shy>'
    def _repr_html_(self):
        return '<i>shy</i>'
Shy()
# %%
class Plain: pass
Plain()
# %%
# fails
class Wrong:
    def __repr__(self):
        raise RuntimeError('no repr')
Wrong()
# %%
x = 5;
# %%
x;
# %%
None
# %%
len(Out), In[-2]
# %%
%whos Plain
# %%
%pwd
%config InlineBackend.figure_formats
# %%
%matplotlib inline
plt.figure(figsize=(1, 1)); plt.plot([1]); plt.savefig('saved.png')
# %%
Image('saved.png', width=20)
# %%
import multiprocessing
worker = multiprocessing.get_context('fork').Process(target=print, args=('forked',))
worker.start(); worker.join()
# %%
print('\r10%', end='')
print('\r20%')
print('\x1b[31mred\x1b[0m', 'é', '🐍')
# %%
%%writefile module.py
def f():
    return 'from a module'
# %%
import module
module.f()
# %%
%run module.py
f()
# %%
%%html
<u>magic</u>
# %%
help(len)
# %%
%xmode Plain
# %%
# fails
1 / 0
# %%
raise_later = [1, 2, 3]
[value * 2 for value in raise_later]
# %%
%reset -f
# %%
# fails
frame
""".strip("\n").split("\n# %%\n")


@pytest.fixture
def plain_kernel(tmp_path: Path, kernel_python: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a stock ipykernel in the kernel environment."""
    folder = tmp_path / "jupyter" / "kernels" / "plain"
    folder.mkdir(parents=True)
    argv = [str(kernel_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "plain", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return "plain"


async def run_with_nbclient(kernel: str, folder: Path) -> list[Any]:
    """Execute the notebook; return its cells."""
    folder.mkdir()
    notebook = notebook_of(CELLS)
    client = nbclient.NotebookClient(
        notebook, kernel_name=kernel, timeout=PATIENCE, resources={"metadata": {"path": str(folder)}}
    )
    executed = await client.async_execute()
    return list(executed.cells)


async def test_a_session_gives_what_nbclient_gives(session: Session, plain_kernel: str, tmp_path: Path) -> None:
    expected = await run_with_nbclient(plain_kernel, tmp_path / "plain")
    for code in CELLS:
        await session.execute(code)
    cells = session.read_history().cells
    assert len(cells) == len(expected)
    assert [cell.execution_count for cell in cells] == [cell.execution_count for cell in expected]
    assert [
        (ours.code, told, wanted)
        for ours, theirs in zip(cells, expected, strict=True)
        if (told := _told(ours.outputs, session.workspace)) != (wanted := _told(theirs.outputs, tmp_path / "plain"))
    ] == []


def _told(outputs: Any, folder: Path) -> Any:
    """Outputs as they are compared: as JSON, without the name of the working folder."""
    return json.loads(json.dumps(comparable(outputs)).replace(str(folder), "…"))
