from __future__ import annotations

import pytest

from kernel_manager.packages.import_errors import Lack, last_error, read_lack


@pytest.mark.parametrize(
    ("ename", "evalue", "lack"),
    [
        ("ModuleNotFoundError", "No module named 'seaborn'", Lack(modules=("seaborn",))),
        ("ModuleNotFoundError", "No module named 'google.cloud'", Lack(modules=("google.cloud",))),
        ("ImportError", "Missing optional dependency 'xlrd'. Install xlrd >= 2.0.1 for xls support", Lack(names=("xlrd",))),
        (
            "ImportError",
            "Missing optional dependency 'pytables'.  Use pip …",
            Lack(names=("pytables",)),
        ),
        (
            "ImportError",
            "`Import lxml` failed.  Use pip, conda, or …",
            Lack(names=("lxml",)),
        ),
        (
            "ImportError",
            "cannot import name 'basemap' from 'mpl_toolkits' (unknown location)",
            Lack(("mpl_toolkits.basemap", "mpl_toolkits")),
        ),
        ("ImportError", "This needs Kaleido. Run: pip install -U kaleido", Lack(names=("kaleido",))),
        ("MissingLibraryError", "load_file needs the package h5py for it", Lack(names=("h5py",))),
        ("ValueError", "No module named 'seaborn'", None),
        ("ImportError", "something else", None),
        ("KeyError", "'pip install x'", None),
    ],
)
def test_errors_tell_what_is_missing(ename: str, evalue: str, lack: Lack | None) -> None:
    assert read_lack(ename, evalue) == lack


def test_what_no_package_is_called_is_not_read() -> None:
    assert read_lack("ImportError", "Missing optional dependency '--index-url=x'") is None
    assert read_lack("ModuleNotFoundError", "No module named '../x'") is None


def test_the_last_error_of_the_outputs_counts() -> None:
    first, last = {"output_type": "error", "ename": "A"}, {"output_type": "error", "ename": "B"}
    assert last_error([first, last, {"output_type": "stream"}]) is last
    assert last_error([]) is None
