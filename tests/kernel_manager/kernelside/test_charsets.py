"""The older encodings, told by the words that their bytes make."""
# ruff: noqa: RUF001  (words of many scripts)

from __future__ import annotations

import pytest

from kernel_manager.kernelside.loaders.charsets import guess
from kernel_manager.kernelside.loaders.encoding import candidates, detect
from tests.kernel_manager.kernelside.loading import Kernel

TEXTS = {
    "cp1251": "Имя;Город;Возраст\nИван;Москва;30\nМария;Казань;25\n",
    "koi8_r": "Имя;Город\nИван;Москва\nМария;Казань\n",
    "cp866": "Имя;Город;Возраст\nИван;Москва;30\n",
    "cp1253": "Όνομα;Πόλη\nΓιώργος;Αθήνα\nΜαρία;Θεσσαλονίκη\n",
    "cp1255": "שם,עיר\nדוד,ירושלים\nשרה,חיפה\n",
    "cp1256": "الاسم,المدينة\nأحمد,القاهرة\n",
    "cp874": "ชื่อ,เมือง\nสมชาย,กรุงเทพ\n",
    "cp1250": "Imię;Miasto\nŁukasz;Gdańsk\nŻaneta;Łódź\n",
    "cp850": "Name;Stadt\nJürgen;München\nÄnne;Köln\n",
    "mac_roman": "Straße;Größe\nÄpfel;Möhren\n",
    "cp932": "名前,年齢,都市\n山田太郎,30,東京\nりんご,25,大阪\n",
    "gb18030": "姓名,年龄,城市\n张三,30,北京\n李四,25,上海\n",
    "big5": "姓名,年齡,城市\n張三,30,臺北\n李四,25,高雄\n",
    "cp949": "이름,나이,도시\n홍길동,30,서울\n김철수,25,부산\n",
    "euc_jp": "りんご,みかん\nひらがな,カタカナ\n",
}
WESTERN = [
    "Name;Preis €\nMüller;1.234,50\nWeiß;12,00\n",
    "Prénom;Ville\nFrançois;Orléans\nœuvre;9,50 €\n",
    "Año;Niño\n2020;José\n",
    "Ähnlich;Ärger\nÄnderung;x\n",
    "t °C;µg/m³\n1;2\n",
    "Preis €;x\n20;1\n",
    "He said “hello” – it’s £5 or €7… ™\n",
    "São Paulo;Ação;É\nJoão;Pêssego;à\n",
    "Þór;Reykjavík\nGuðrún;Ísafjörður\n",
    "café,100\n",
]


@pytest.mark.parametrize("encoding", TEXTS)
def test_the_encoding_is_told_by_its_words(encoding: str) -> None:
    assert guess(TEXTS[encoding].encode(encoding)) == encoding


@pytest.mark.parametrize("text", WESTERN)
def test_western_text_is_taken_for_what_it_is(text: str) -> None:
    assert guess(text.encode("cp1252")) == "cp1252"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x81\x8d\x8f", bytes(range(128, 256)), b"a,b\n" * 9 + b"\xe9"])
def test_whatever_bytes_there_are_something_reads_them(data: bytes) -> None:
    assert guess(data)
    data.decode(candidates(detect(data + b" plain text " * 99, whole=True) or "latin-1")[-1])


def test_a_sample_may_end_within_a_character() -> None:
    data = TEXTS["cp932"].encode("cp932") * 20

    assert detect(data[:-3], whole=False) == "cp932"


@pytest.mark.parametrize("encoding", ["cp1251", "cp932", "gb18030"])
def test_a_table_opens_in_its_encoding_and_says_so(kernel: Kernel, encoding: str) -> None:
    header = TEXTS[encoding].splitlines()[0].replace(";", ",").split(",")

    columns, _, notes = kernel.table("a.csv", TEXTS[encoding].encode(encoding))

    assert list(columns) == header
    assert f"it is not UTF-8, so it was read as {encoding}" in notes
