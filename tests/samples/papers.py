from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from registry import data, sample, text

WORDS = "Bericht größe " * 5


def pdf() -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        b"<< /Length 44 >>\nstream\nBT /F 24 Tf 50 150 Td (Hello report) Tj ET   \nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title (A title) >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 7\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer\n<< /Size 7 /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


data("pdf", pdf(), lambda d: "Hello report" in d.text and len(d.pages) == 1 and d.metadata["title"] == "A title")


def office_types(path: Path, plain: str, kind: str) -> None:
    """Declare the package as what its extension stands for."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["[Content_Types].xml"] = members["[Content_Types].xml"].replace(plain.encode(), kind.encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@sample(
    "docx docm dotx dotm",
    lambda d: WORDS in d.text and d.tables[0].values.tolist() == [["1", "2"]] and d.metadata["title"] == "T",
)
def word(path: Path) -> None:
    import docx

    document = docx.Document()
    document.core_properties.title = "T"
    document.add_paragraph(WORDS)
    table = document.add_table(2, 2)
    for row, column, value in ((0, 0, "a"), (0, 1, "b"), (1, 0, "1"), (1, 1, "2")):
        table.cell(row, column).text = value
    document.save(str(path))
    office = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    kinds = {
        ".docm": "application/vnd.ms-word.document.macroEnabled.main+xml",
        ".dotx": f"{office}.template.main+xml",
        ".dotm": "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
    }
    if path.suffix in kinds:
        office_types(path, f"{office}.document.main+xml", kinds[path.suffix])


@sample("pptx pptm potx ppsx ppsm potm", lambda d: d.pages[0].startswith("Title") and "Notes: say this" in d.text)
def powerpoint(path: Path) -> None:
    import pptx

    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[0])
    slide.shapes.title.text = "Title"
    slide.notes_slide.notes_text_frame.text = "say this"
    show.save(str(path))
    office, microsoft = "application/vnd.openxmlformats-officedocument.presentationml", "application/vnd.ms-powerpoint"
    kinds = {
        ".pptm": f"{microsoft}.presentation.macroEnabled.main+xml",
        ".potx": f"{office}.template.main+xml",
        ".ppsx": f"{office}.slideshow.main+xml",
        ".ppsm": f"{microsoft}.slideshow.macroEnabled.main+xml",
        ".potm": f"{microsoft}.template.macroEnabled.main+xml",
    }
    if path.suffix in kinds:
        office_types(path, f"{office}.presentation.main+xml", kinds[path.suffix])


NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table", "meta", "drawing")
)
BODY = (
    '<office:body><office:text><text:h>Titel</text:h><text:p>Bericht<text:s text:c="2"/>größe</text:p><table:table>'
    + "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in row)
        + "</table:table-row>"
        for row in ("ab", "12")
    )
    + "</table:table></office:text></office:body>"
)


def is_opendocument(document: Any) -> Any:
    return "Titel\nBericht  größe" in document.text and document.tables[0].values.tolist() == [["1", "2"]]


@sample("odt ott odp otp odg odf", is_opendocument)
def opendocument(path: Path) -> None:
    kind = {"d": "text", "p": "presentation", "g": "graphics"}.get(path.suffix[2], "text")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}", zipfile.ZIP_STORED)
        archive.writestr("content.xml", f"<office:document-content {NAMES}>{BODY}</office:document-content>")


text("fodt fods fodp", f'<?xml version="1.0"?><office:document {NAMES}>{BODY}</office:document>', is_opendocument)
text(
    "rtf",
    r"{\rtf1\ansi{\fonttbl\f0 Arial;}\f0 Hello \b bold\b0\par Second \u228?}",
    lambda d: "Hello bold" in d.text and "ä" in d.text,
)


@sample("epub", lambda d: d.pages == ["Kapitel\nText größe"] and d.metadata["title"] == "Buch")
def epub(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr(
            "META-INF/container.xml", '<container><rootfiles><rootfile full-path="o/p.opf"/></rootfiles></container>'
        )
        archive.writestr(
            "o/p.opf",
            '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Buch</dc:title></metadata>'
            '<manifest><item id="c" href="c%201.xhtml"/></manifest><spine><itemref idref="c"/></spine></package>',
        )
        archive.writestr(
            "o/c 1.xhtml",
            "<html><head><title>x</title></head><body><h1>Kapitel</h1><p>Text gr\u00f6\u00dfe</p></body></html>".encode(),
        )


text(
    "fb2",
    '<?xml version="1.0"?><FictionBook><description><title-info><book-title>Buch</book-title><author><last-name>Roe</last-name></author></title-info></description>'
    "<body><section><p>Eins</p><p>Zwei</p></section></body></FictionBook>",
    lambda d: d.text == "Eins\nZwei" and d.metadata == {"title": "Buch", "creator": "Roe"},
)


def message(number: int = 1) -> bytes:
    from email.message import EmailMessage

    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Date"] = (
        "a@b.c",
        "d@e.f",
        f"größe {number}",
        "Fri, 20 Nov 2026 10:00:00 +0000",
    )
    mail.set_content("Hallo größe\n")
    mail.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="t.csv")
    return mail.as_bytes()


def is_mail(mail: Any) -> Any:
    return (
        mail.text.strip() == "Hallo größe"
        and mail.headers["Subject"] == "größe 1"
        and mail.attachments == {"t.csv": b"a,b\n1,2\n"}
    )


sample("eml mht mhtml", is_mail)(lambda path: path.write_bytes(message()))
sample("emlx", is_mail)(lambda path: path.write_bytes(b"%d\n" % len(message()) + message() + b"<plist/>"))
sample("mbox mbx", lambda f: list(f["subject"]) == ["größe 1", "größe 2"] and f["attachments"][0] == ["t.csv"])(
    lambda path: path.write_bytes(
        b"".join(b"From a@b.c Fri Nov 20 10:00:00 2026\n" + message(number) + b"\n" for number in (1, 2))
    )
)


def compound(streams: dict[str, bytes]) -> bytes:
    """An OLE container with one folder of streams, each of 4,096 bytes or more (so that none goes into the small ones)."""
    free, end, sector = 0xFFFFFFFF, 0xFFFFFFFE, 512
    names = sorted(streams, key=lambda name: (len(name), name))
    table, body, starts = [0xFFFFFFFD], b"", {}
    folders = -(-(len(names) + 1) // 4)
    chains = [list(range(1, 1 + folders))]
    at = 1 + folders
    for name in names:
        count = -(-max(4096, len(streams[name])) // sector)
        starts[name] = at
        chains.append(list(range(at, at + count)))
        body += streams[name].ljust(count * sector, b"\0")
        at += count
    table += [free] * (at - 1)
    for chain in chains:
        for here, following in zip(chain, [*chain[1:], end], strict=True):
            table[here] = following
    table += [free] * (128 - len(table))
    assert len(table) == 128

    def entry(name: str, kind: int, child: int, right: int, start: int, size: int) -> bytes:
        raw = (name + "\0").encode("utf-16-le") if name else b""
        return (
            raw.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(raw), kind, 1, free, right, child)
            + bytes(16 + 4 + 16)
            + struct.pack("<IQ", start, size)
        )

    entries = entry("Root Entry", 5, 1, free, end, 0)
    for number, name in enumerate(names, 1):
        entries += entry(name, 2, free, number + 1 if number < len(names) else free, starts[name], max(4096, len(streams[name])))
    entries = entries.ljust(folders * sector, b"\0")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0) + struct.pack("<109I", 0, *([free] * 108))
    return header + struct.pack("<128I", *table) + entries + body


def outlook() -> bytes:
    return compound(
        {
            "__properties_version1.0": b"x",
            "__substg1.0_0037001F": "größe 1".encode("utf-16-le"),
            "__substg1.0_0C1A001F": "Ada".encode("utf-16-le"),
            "__substg1.0_1000001F": "Hallo".encode("utf-16-le"),
        }
    )


sample("msg oft", lambda m: m.text == "Hallo" and m.headers == {"Subject": "größe 1", "From": "Ada"})(
    lambda path: path.write_bytes(outlook())
)

# organizers
CALENDAR = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20261120T100000Z\r\nDTSTART:20261121T090000Z\r\n"
    "SUMMARY:Treffen größe\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
text("ics ical ifb icalendar", CALENDAR, lambda c: str(c.walk("VEVENT")[0]["SUMMARY"]) == "Treffen größe")
text(
    "vcard",
    "BEGIN:VCARD\nVERSION:3.0\nFN:Ada L\nEMAIL;TYPE=work:a@b.c\nEMAIL:d@e.f\nNOTE:a\\, b\nEND:VCARD\nBEGIN:VCARD\nVERSION:3.0\nFN:Bob\nEND:VCARD\n",
    lambda f: list(f["fn"]) == ["Ada L", "Bob"] and f["email"][0] == ["a@b.c", "d@e.f"] and f["note"][0] == "a, b",
)
text(
    "bib bibtex",
    "@article{k1,\n  title = {Ein {T}itel},\n  year = 2020,\n  author = {Roe, Jane}\n}\n@book{k2, title={Zwei}}\n",
    lambda f: list(f["key"]) == ["k1", "k2"] and f["type"][0] == "article" and f["year"][0] == "2020",
)
text(
    "ris",
    "TY  - JOUR\nAU  - Roe\nAU  - Doe\nTI  - Titel\nER  - \n",
    lambda f: f["AU"][0] == ["Roe", "Doe"] and f["TI"][0] == "Titel",
)
text(
    "nbib medline",
    "PMID- 123\nTI  - A title\n      goes on\nAU  - Roe J\nAU  - Doe J\n",
    lambda f: f["TI"][0] == "A title goes on" and f["AU"][0] == ["Roe J", "Doe J"],
)
text("enw", "%0 Journal Article\n%A Roe\n%A Doe\n%T Titel\n", lambda f: f["A"][0] == ["Roe", "Doe"] and f["T"][0] == "Titel")
NOTEBOOK: dict[str, Any] = {
    "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "größe"}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}
text("ipynb", json.dumps(NOTEBOOK), lambda n: n.cells[0].source == "größe")


def is_subtitles(frame: Any) -> Any:
    return frame.values.tolist() == [[1.0, 2.5, "Hallo"], [3.0, 4.0, "größe"]]


text("srt", "1\n00:00:01,000 --> 00:00:02,500\nHallo\n\n2\n00:00:03,000 --> 00:00:04,000\ngröße\n", is_subtitles)
text("vtt", "WEBVTT\n\n00:01.000 --> 00:02.500 align:start\nHallo\n\n00:03.000 --> 00:04.000\ngröße\n", is_subtitles)
text("sbv", "0:00:01.000,0:00:02.500\nHallo\n\n0:00:03.000,0:00:04.000\ngröße\n", is_subtitles)
text(
    "ass ssa",
    "[Script Info]\nTitle: x\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    "Dialogue: 0,0:00:01.00,0:00:02.50,D,{\\b1}Hallo\nDialogue: 0,0:00:03.00,0:00:04.00,D,größe\n",
    is_subtitles,
)
text(
    "lrc",
    "[ti:x]\n[00:01.00]Hallo\n[00:03.00]größe\n",
    lambda f: list(f["start"]) == [1.0, 3.0] and list(f["text"]) == ["Hallo", "größe"],
)

# archives
MEMBERS = {"a.csv": b"a,b\n1,2\n3,4\n", "folder/b.txt": "größe".encode() * 30}


def is_archive(archive: Any) -> Any:
    return (
        sorted(archive.names()) == sorted(MEMBERS)
        and archive.read("folder/b.txt") == MEMBERS["folder/b.txt"]
        and archive.load("a.csv")["b"].tolist() == [2, 4]
    )


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


data("zip jar war ear apk whl egg cbz ipa xpi nupkg aar vsix", zipped(MEMBERS), is_archive)


@sample("tar tgz tbz2 tbz txz tzst tlz gem", is_archive)
def tar(path: Path) -> None:
    import lzma

    import zstandard

    stream = io.BytesIO()
    forms = {".tgz": "w:gz", ".tbz2": "w:bz2", ".tbz": "w:bz2", ".txz": "w:xz"}
    with tarfile.open(fileobj=stream, mode=forms.get(path.suffix, "w")) as archive:  # type: ignore[call-overload]
        for name, content in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    pack = {".tzst": zstandard.compress, ".tlz": lambda raw: lzma.compress(raw, format=lzma.FORMAT_XZ)}.get(path.suffix, bytes)
    path.write_bytes(pack(stream.getvalue()))


@sample("7z cb7", is_archive)
def seven_zip(path: Path) -> None:
    import py7zr

    with py7zr.SevenZipFile(path, "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(content, name)


def rar() -> bytes:
    """A RAR 4 archive of one stored member."""
    import binascii

    def block(kind: int, flags: int, rest: bytes, content: bytes = b"") -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
        return struct.pack("<H", binascii.crc32(head) & 0xFFFF) + head + content

    name, content = b"a.csv", MEMBERS["a.csv"]
    moment = (2026 - 1980) << 25 | 11 << 21 | 20 << 16
    rest = (
        struct.pack("<IIBIIBBHI", len(content), len(content), 3, binascii.crc32(content), moment, 20, 0x30, len(name), 0o100644)
        + name
    )
    return b"Rar!\x1a\x07\0" + block(0x73, 0, bytes(6)) + block(0x74, 0x8000, rest, content) + block(0x7B, 0x4000, b"")


data(
    "rar cbr",
    rar(),
    lambda a: a.names() == ["a.csv"] and a.members["size"].tolist() == [len(MEMBERS["a.csv"])],
    note="listed only",
)


def ar() -> bytes:
    out = b"!<arch>\n//                                              14        `\nfolder/b.txt/\n"
    for name, content in ((b"a.csv/", MEMBERS["a.csv"]), (b"/0", MEMBERS["folder/b.txt"])):
        out += (
            name.ljust(16)
            + b"0           0     0     100644  "
            + str(len(content)).encode().ljust(10)
            + b"`\n"
            + content
            + b"\n" * (len(content) % 2)
        )
    return out


data("ar deb a lib", ar(), is_archive)


def cpio() -> bytes:
    out = b""
    for name, content in [*MEMBERS.items(), ("TRAILER!!!", b"")]:
        raw = name.encode() + b"\0"
        fields = (1, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08x" % value for value in fields) + raw
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return out


data("cpio", cpio(), is_archive)


@sample("html htm xhtml shtml", lambda page: page.startswith("<table") and "größe" in page)
def web_page(path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"name": ["größe"], "n": [1]}).to_html(path, index=False, encoding="utf-8")
