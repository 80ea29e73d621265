"""The names of a network's machines, told as a name server does.

Each query is answered from the machines' folders: a name is known exactly as long as its machine
is. Standard library only, and little of it: every supervisor imports this.
https://www.rfc-editor.org/rfc/rfc1035
"""

# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable, Mapping

PORT = 53
QUERY_BYTES = 512
TTL_SECONDS = 5

_HEADER = struct.Struct("!6H")
_KIND = struct.Struct("!2H")
_RECORD = struct.Struct("!3HIH")
_IS_ANSWER, _OPERATION, _WISHED = 0x8000, 0x7800, 0x0100
"""Bits of a header. The last says that others may be asked, and is repeated."""
_ANSWERED = 0x8480
"""An answer, of somebody who knows, whom others need not be asked after."""
_DONE, _MALFORMED, _NO_SUCH_NAME, _NOT_IMPLEMENTED, _REFUSED = 0, 1, 3, 4, 5
_A, _PTR, _INTERNET = 1, 12, 1
_NAME_OF_THE_QUESTION = 0xC00C
_LABEL_BYTES = 63
_REVERSE = ".in-addr.arpa"


def addresses(machines: int, network: str) -> dict[str, str]:
    """The address of each machine of a network, by its name. `machines` is a descriptor of the
    folder that has the machines' folders. Raises OSError."""
    found = {}
    for folder in os.listdir(machines):
        if folder.startswith("."):  # half written, or half removed
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):  # it just went
            spec = _read_json(f"{folder}/spec.json", machines)
            if spec["network"] == network:
                found[spec["name"]] = spec["address"]
    return found


def answer(query: bytes, known: Callable[[], Mapping[str, str]]) -> bytes:
    """The answer to a query; empty for what is none. `known` gives addresses by name. A name
    without a dot is a machine's or nobody's; about other names there is nobody to ask here."""
    if len(query) < _HEADER.size:
        return b""
    number, flags, questions, *_ = _HEADER.unpack_from(query)
    if flags & _IS_ANSWER:
        return b""
    reply = _ANSWERED | flags & (_OPERATION | _WISHED)
    if flags & _OPERATION:
        return _HEADER.pack(number, reply | _NOT_IMPLEMENTED, 0, 0, 0, 0)
    try:
        name, end = _question(query)
        kind, group = _KIND.unpack_from(query, end)
    except (IndexError, ValueError, struct.error):
        questions = 0
    if questions != 1:
        return _HEADER.pack(number, reply | _MALFORMED, 0, 0, 0, 0)
    code, data = _find(name, kind if group == _INTERNET else 0, known())
    records = [_record(kind, data)] if data else []
    header = _HEADER.pack(number, reply | code, 1, len(records), 0, 0)
    return b"".join((header, query[_HEADER.size : end + _KIND.size], *records))


def _question(query: bytes) -> tuple[str, int]:
    """The name that is asked about, and where it ends. Raises IndexError or ValueError."""
    labels, at = [], _HEADER.size
    while length := query[at]:
        if length > _LABEL_BYTES:
            raise ValueError(length)
        labels.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


def _find(name: str, kind: int, known: Mapping[str, str]) -> tuple[int, bytes]:
    """What became of the search, and the data of the record that was found. A name that has none of
    this kind is a name all the same."""
    if name.endswith(_REVERSE):
        address = ".".join(reversed(name.removesuffix(_REVERSE).split(".")))
        target = next((one for one in known if known[one] == address), "")
        data = bytes([len(target)]) + target.encode() + b"\0"
        return (_DONE, data if kind == _PTR else b"") if target else (_REFUSED, b"")
    if "." in name or not name:
        return _REFUSED, b""
    if name not in known:
        return _NO_SUCH_NAME, b""
    return _DONE, bytes(map(int, known[name].split("."))) if kind == _A else b""


def _record(kind: int, data: bytes) -> bytes:
    return _RECORD.pack(_NAME_OF_THE_QUESTION, kind, _INTERNET, TTL_SECONDS, len(data)) + data


def _read_json(file: str, folder: int) -> dict[str, str]:
    with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb") as content:
        return dict(json.loads(content.read()))
