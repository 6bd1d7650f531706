"""Ids keep their last digits, whatever the file and however many are missing."""

from __future__ import annotations

import pytest

from tests.kernel_manager.kernelside.loading import Kernel

ID = 123456789012345679


def test_ids_with_gaps_in_a_csv_are_exact_and_it_is_said(kernel: Kernel) -> None:
    columns, types, notes = kernel.table("a.csv", f"user_id,n,x\n{ID},a,1\n,b,\n5,c,2\n")

    assert columns["user_id"] == [ID, None, 5]
    assert types == {"user_id": "Int64", "n": "str", "x": "float64"}
    assert "user_id: integers with gaps, read as Int64" in notes


def test_large_floats_with_gaps_stay_floats(kernel: Kernel) -> None:
    columns, types, notes = kernel.table("a.csv", "x,y\n1e300,1.5e17\n,\n2.5,2.5\n")

    assert types == {"x": "float64", "y": "float64"}
    assert columns["x"][0] == 1e300
    assert notes == ""


def test_a_given_type_is_left_alone(kernel: Kernel) -> None:
    assert kernel.table("a.csv", f"id,n\n{ID},a\n,b\n", ", dtype={'id': 'float64'}")[1]["id"] == "float64"


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.orc", "a.avro", "a.sqlite", "a.jsonl", "a.json"])
def test_ids_with_gaps_are_exact_in_other_tables(kernel: Kernel, name: str) -> None:
    setup = f"""
import contextlib, fastavro, json, pathlib, pyarrow as pa, pyarrow.feather, pyarrow.orc, pyarrow.parquet, sqlite3
rows = [{{"id": {ID}, "n": 1}}, {{"id": None, "n": None}}]
table = pa.Table.from_pylist(rows)
pa.parquet.write_table(table, "a.parquet")
pa.feather.write_feather(table, "a.feather")
pa.orc.write_table(table, "a.orc")
fields = [{{"name": name, "type": ["null", "long"]}} for name in ("id", "n")]
with open("a.avro", "wb") as file:
    fastavro.writer(file, {{"type": "record", "name": "r", "fields": fields}}, rows)
with contextlib.closing(sqlite3.connect("a.sqlite")) as database, database:
    database.execute("drop table if exists t")
    database.execute("create table t (id, n)")
    database.executemany("insert into t values (:id, :n)", rows)
for other in ("a.jsonl", "a.json"):
    pathlib.Path(other).write_text("\\n".join(map(json.dumps, rows)))
frame = load_file({name!r})
"""
    assert kernel.value("[int(frame['id'][0]), str(frame['id'][1]), str(frame.dtypes['n'])]", setup) == [ID, "<NA>", "float64"]


def test_a_parquet_file_that_is_small_only_on_disk_is_refused(kernel: Kernel) -> None:
    setup = """
import numpy as np, pyarrow as pa, pyarrow.parquet, kernelside.loaders.columnar as columnar
pa.parquet.write_table(pa.table({"a": np.zeros(1_000_000, "int64")}), "a.parquet")
told, columnar.memory_left = columnar.memory_left, lambda: 4 << 20
try:
    load_file("a.parquet")
except ValueError as exc:
    message = str(exc)
finally:
    columnar.memory_left = told
"""
    message = kernel.value("message", setup)

    assert (
        "its 1,000,000 rows of 1 columns take about 7 MB, the kernel has 4 MB; columns=[…] or filters=… reads a part" in message
    )
    assert kernel.value("len(load_file('a.parquet', columns=['a']))") == 1_000_000
