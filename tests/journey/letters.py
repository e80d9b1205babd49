# SPDX-License-Identifier: ISC
"""Letters for comparing bytes: our own set, the public sets, and the closed list of edits told a second time."""

import json
import re
from pathlib import Path

from conftest import CORPORA, HOUSE

OWN = HOUSE / "tests/mail"
PUBLIC_SETS = ("ham", "mime-mixed", "mime-parser", "mime-torture", "mime-evasion", "phi-mail", "dkim-canon",
               "dkim-eml", "dkim-mail-dkim", "dkim-real", "dkim-rfc", "header-fields")
ABOUT_A_SET = ("SOURCE", "LICENSE", "NOTICE", "COPYING", "README")
LINE_MAX, HEADER_MAX, FIELDS_MAX, HOPS_MAX = 65535, 262144, 2000, 50
HEAD = b"From: okello@clinic.example\r\nTo: marquez@partner.example\r\nSubject: odd\r\n"
FIELD = re.compile(rb"[!-9;-~]+[ \t]*:[^\r]*(?:\r(?!\n)[^\r]*)*(?:\r\n[ \t][^\r]*(?:\r(?!\n)[^\r]*)*)*(?:\r\n|\Z)")
RECEIVED = re.compile(rb"Received: from (?P<client>[^;]+?)[ \r\n]+by (?P<host>[^ \r\n]+)[ \r\n]+with (?P<with>ESMTPS?)"
                      rb"[^;]*?[ \r\n]+id (?P<id>[0-9a-z]{26})(?:[ \r\n]+for <(?P<for>[^>]+)>)?;"
                      rb"(?:\r\n)?[ \t]+[^\r\n]+\r\n")


def own_letters():
    """(name, bytes) of the files, and of those that would be unwieldy as files."""
    letters = [(path.stem, path.read_bytes()) for path in sorted(OWN.glob("*.eml"))]
    for size in (998, 999, 2000, 40000, LINE_MAX):
        line = (b"0123456789abcdef " * (size // 17 + 1))[:size]
        letters += [(f"body line of {size}", HEAD + b"\r\n" + line + b"\r\nshort\r\n"),
                    (f"header line of {size}", HEAD + b"X-Long: " + line[8:] + b"\r\n\r\nshort\r\n"),
                    (f"line of {size} dots", HEAD + b"\r\n" + b"." * size + b"\r\n")]
    return letters + [
        ("as many fields as may be", b"X-Many: n\r\n" * FIELDS_MAX + b"\r\nbody\r\n"),
        ("one field of many lines", HEAD + b"X-Folded: a\r\n" + b" b\r\n" * 20000 + b"\r\nbody\r\n"),
        ("every byte but NUL, CR, LF", HEAD + b"\r\n" + bytes(set(range(1, 256)) - {10, 13}) + b"\r\n"),
        ("a megabyte of short lines", HEAD + b"\r\n" + b".\r\n..\r\nline\r\n" * 80000),
        ("no line end at the end", HEAD + b"\r\nthe end"),
        ("no line end behind a field", HEAD + b"X-Last: field"),
        ("a dot and no line end", HEAD + b"\r\n."),
    ]


def unsound_letters():
    """(name, bytes): none of these may be taken, nor made good."""
    body = HEAD + b"\r\n"
    return [
        ("a bare LF in the body", body + b"one\ntwo\r\n"), ("a bare CR in the body", body + b"one\rtwo\r\n"),
        ("CR CR LF", body + b"one\r\r\ntwo\r\n"), ("LF CR", body + b"one\n\rtwo\r\n"),
        ("a bare LF in the header", HEAD + b"X-A: b\nX-C: d\r\n\r\nbody\r\n"),
        ("a header that ends in LF LF", HEAD[:-2] + b"\n\nbody\r\n"),
        ("a bare CR first", b"\r" + body), ("a bare LF first", b"\n" + body),
        ("a dot between bare LFs", body + b"one\n.\ntwo\r\n"),
        ("a dot between LF and CR LF", body + b"one\n.\r\ntwo\r\n"),
        ("a NUL in the body", body + b"ab\0cd\r\nNEXT\r\n"), ("a NUL in the header", HEAD + b"X-A: \0\r\n\r\nbody\r\n"),
        ("a body line over the limit", body + b"x" * (LINE_MAX + 1) + b"\r\n"),
        ("a header line over the limit", HEAD + b"X: " + b"x" * LINE_MAX + b"\r\n\r\nbody\r\n"),
        ("too many fields", b"X-Many: n\r\n" * (FIELDS_MAX + 1) + b"\r\nbody\r\n"),
        ("too large a header", HEAD + (b"X-Large: " + b"x" * 1000 + b"\r\n") * 270 + b"\r\nbody\r\n"),
        ("too many hops", b"Received: by a.example; Mon, 2 Nov 2026 08:15:00 +0100\r\n" * (HOPS_MAX + 1) + body),
    ]


def public_letters(name, step=1):
    """(name, bytes) of every `step`-th file of a public set, whatever it holds: also what is no letter."""
    if name == "header-fields":
        return header_field_letters()[::step]
    files = sorted(path for path in (Path(CORPORA) / name).rglob("*")
                   if path.is_file() and not path.name.startswith(ABOUT_A_SET))
    return [(str(path.relative_to(CORPORA)), as_sent(path.read_bytes())) for path in files[::step]]


def header_field_letters():
    """One letter for each field's value."""
    names = {"address": "To", "content_type": "Content-Type", "date": "Date", "id": "Message-ID",
             "received": "Received"}
    lines = (Path(CORPORA) / "header-fields/vectors.jsonl").read_text().splitlines()
    cases = [(case["kind"], case["case"]["header"]) for case in map(json.loads, lines)]
    texts = [f"{names.get(kind, 'X-Value')}: {value}\n\nbody\n".replace("\r\n", "\n") for kind, value in cases]
    return [(f"header-fields, line {number}", as_sent(text.encode())) for number, text in enumerate(texts, 1)]


def as_sent(data):
    """A file whose lines end in LF alone is sent with CRLF; all others as they are."""
    return data if b"\r\n" in data else data.replace(b"\n", b"\r\n")


def fields_of(data):
    """The header fields, whole, in order; a line that is no field ends them."""
    at, fields = 0, []
    while field := FIELD.match(data, at):
        fields.append(field.group())
        at = field.end()
    return fields


def name_of(field):
    return field.split(b":", 1)[0].rstrip().lower()


def header_end(data):
    return sum(map(len, fields_of(data)))


def flaw(data):
    """The status with which a letter must be refused that SMTP cannot carry or that is over a limit; None for a
    sound one."""
    if re.search(rb"\r(?!\n)|(?<!\r)\n", data) or max(map(len, data.split(b"\r\n"))) > LINE_MAX or b"\0" in data:
        return "5.6.0"
    end, names = header_end(data), [name_of(field) for field in fields_of(data)]
    if end + 2 * data.startswith(b"\r\n", end) > HEADER_MAX or len(names) > FIELDS_MAX:
        return "5.3.4"
    return "5.4.6" if names.count(b"received") > HOPS_MAX else None


def below_received(data):
    """What stands below our Received field on top: every byte as it was, but for an empty line where the
    header section ends without one."""
    end = header_end(data)
    if not data or (end < len(data) and not data.startswith(b"\r\n", end)):
        return data[:end] + b"\r\n" + data[end:]
    return data


def take_received(data):
    """(the match of our Received field on top, what follows it)."""
    field = RECEIVED.match(data)
    assert field, f"no Received field of ours on top: {data[:300]!r}"
    assert field["host"] == b"mx.clinic.example"
    return field, data[field.end():]
