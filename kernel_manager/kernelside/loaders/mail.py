"""E-mail: single messages, mailboxes, Outlook's own form."""

from __future__ import annotations

import email
import email.message
import email.policy
import mailbox
from typing import Any

from .document import Mail
from .source import Source, Unreadable
from .xml_text import html_text

_MAX_MESSAGES = 100_000


def load_mail(source: Source) -> Mail:
    """A :class:`Mail`."""
    data = source.read()
    if source.extension == ".emlx":
        size, _, rest = data.partition(b"\n")
        data = rest[: int(size)] if size.strip().isdigit() else data
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not message.keys():
        raise Unreadable("it has no headers")
    return _mail(source, message)


def load_mailbox(source: Source) -> Any:
    """A DataFrame, one row for each message: from, to, date, subject, text, attachments (names)."""
    import pandas as pd

    if not source.head.startswith(b"From "):
        raise Unreadable("it does not begin as a mailbox does")
    rows = []
    with source.file() as path:
        box = mailbox.mbox(path, factory=_message, create=False)
        for number, message in enumerate(box):
            if number == _MAX_MESSAGES:
                source.note(f"the first {_MAX_MESSAGES:,} messages were read")
                break
            mail = _mail(source, message)
            known = {name.lower(): mail.headers.get(name, "") for name in ("From", "To", "Date", "Subject")}
            rows.append({**known, "text": mail.text, "attachments": list(mail.attachments)})
    frame = pd.DataFrame(rows)
    frame["date"] = pd.to_datetime(frame["date"], errors="coerce", utc=True, format="mixed")
    return frame


def _message(file: Any) -> Any:
    return email.message_from_binary_file(file, policy=email.policy.default)


def _mail(source: Source, message: Any) -> Mail:
    texts: list[str] = []
    pages: list[str] = []
    attachments: dict[str, bytes] = {}
    for part in message.walk():
        if part.is_multipart():
            continue
        name = part.get_filename() or part.get("Content-Location")
        if (name and part.get_content_disposition() != "inline") or part.get_content_maintype() != "text":
            attachments[_free(attachments, str(name or part.get_content_type().replace("/", ".")))] = (
                part.get_payload(decode=True) or b""
            )
        else:
            (pages if part.get_content_subtype() == "html" else texts).append(_content(part))
    if message.defects:
        source.note(f"the message is not well-formed ({type(message.defects[0]).__name__})")
    html = "\n".join(pages)
    if not html:
        named = [data for name, data in attachments.items() if name.endswith((".html", ".htm"))]
        html = named[0].decode("utf-8", "replace") if named and not texts else ""
    headers = {str(name): str(value) for name, value in message.items()}
    return Mail(headers, "\n".join(texts) or (html_text(html.encode()) if html else ""), html, attachments)


def _content(part: Any) -> str:
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        return (part.get_payload(decode=True) or b"").decode("latin-1")


def _free(taken: dict[str, bytes], name: str) -> str:
    return name if name not in taken else f"{len(taken)}-{name}"


def load_outlook(source: Source) -> Mail:
    """A :class:`Mail` of an Outlook message."""
    import io

    import olefile

    with olefile.OleFileIO(io.BytesIO(source.read()), raise_defects=olefile.DEFECT_INCORRECT) as ole:
        headers = {
            name: value
            for name, tag in (("Subject", "0037"), ("From", "0C1A"), ("To", "0E04"), ("Cc", "0E03"), ("Message-ID", "1035"))
            if (value := _property(ole, [], tag))
        }
        html = _binary(ole, ["__substg1.0_10130102"]).decode("utf-8", "replace")
        text = _property(ole, [], "1000") or (html_text(html.encode()) if html else "")
        attachments: dict[str, bytes] = {}
        for entry in sorted({path[0] for path in ole.listdir() if path[0].startswith("__attach_version1.0_#")}):
            name = _property(ole, [entry], "3707") or _property(ole, [entry], "3704") or entry[-8:]
            attachments[_free(attachments, name)] = _binary(ole, [entry, "__substg1.0_37010102"])
    if not headers and not text:
        raise Unreadable("it holds no message")
    return Mail(headers, text, html, attachments)


def _property(ole: Any, folder: list[str], tag: str) -> str:
    if data := _binary(ole, [*folder, f"__substg1.0_{tag}001F"]):
        return data.decode("utf-16-le", "replace").rstrip("\0")
    return _binary(ole, [*folder, f"__substg1.0_{tag}001E"]).decode("cp1252", "replace").rstrip("\0")


def _binary(ole: Any, path: list[str]) -> bytes:
    if not ole.exists(path):
        return b""
    data: bytes = ole.openstream(path).read()
    if len(data) < ole.get_size(path):
        raise Unreadable(f"its part {path[-1]} is cut off")
    return data
