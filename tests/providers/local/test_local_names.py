"""What supervisors tell of the names of a network's machines, and to whom they say nothing."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy_local.network.names import addresses, answer

KNOWN = {"web-1": "10.77.0.2", "db": "10.77.3.9"}
A, PTR, AAAA, TXT = 1, 12, 28, 16
IN, CHAOS = 1, 3
NO_SUCH_NAME, REFUSED = 3, 5


def query(name: str, kind: int = A, group: int = IN, flags: int = 0x0100, count: int = 1) -> bytes:
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split(".") if one)
    return struct.pack("!6H", 77, flags, count, 0, 0, 0) + labels + struct.pack("!x2H", kind, group)


def told(asked: bytes) -> tuple[int, list[bytes]]:
    """The code of an answer, and the data of its records."""
    reply = answer(asked, lambda: KNOWN)
    number, flags, questions, records, *others = struct.unpack_from("!6H", reply)
    assert (number, flags & 0x8000, others) == (77, 0x8000, [0, 0])
    assert flags & 0x0100 == struct.unpack_from("!2H", asked)[1] & 0x0100
    rest = reply[12:]
    if questions:
        assert rest.startswith(asked[12:])
        rest = rest.removeprefix(asked[12:])
    data = []
    for _ in range(records):
        name, kind, group, seconds, length = struct.unpack_from("!3HIH", rest)
        assert (name, group) == (0xC00C, IN)
        assert kind in (A, PTR)
        assert 0 < seconds < 60
        data.append(rest[12 : 12 + length])
        rest = rest[12 + length :]
    assert rest == b""
    return flags & 15, data


@pytest.mark.parametrize("name", ["db", "DB", "db."])
def test_a_machine_s_name_is_its_address_in_any_case(name: str) -> None:
    assert told(query(name)) == (0, [bytes([10, 77, 3, 9])])


def test_an_address_is_the_machine_s_name() -> None:
    assert told(query("2.0.77.10.in-addr.arpa", PTR)) == (0, [b"\x05web-1\0"])


@pytest.mark.parametrize(
    "asked", [query("db", AAAA), query("db", TXT), query("db", A, CHAOS), query("db", PTR)]
)
def test_a_name_that_has_none_of_the_kind_is_a_name_all_the_same(asked: bytes) -> None:
    assert told(asked) == (0, [])


def test_a_name_without_a_dot_is_a_machine_s_or_nobody_s_and_others_are_not_known_here() -> None:
    assert told(query("web-2")) == (NO_SUCH_NAME, [])
    for name in ("example.com", "9.0.77.10.in-addr.arpa", "x.in-addr.arpa", ""):
        assert told(query(name)) == (REFUSED, [])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (query("db")[:-1], 1),
        (query("db")[:14], 1),
        (query("db", count=0), 1),
        (query("db", count=2), 1),
        (query("db")[:12] + b"\xc0\x0c\0\1\0\1", 1),
        (query("db")[:12] + b"\2\xff\xfe\0\0\1\0\1", 1),
        (query("db", flags=0x2800), 4),
    ],
)
def test_what_is_no_query_for_a_name_is_told_so(asked: bytes, code: int) -> None:
    assert told(asked) == (code, [])


def test_an_answer_and_half_a_header_are_not_answered() -> None:
    assert answer(answer(query("db"), lambda: KNOWN), lambda: KNOWN) == b""
    assert answer(query("db")[:11], lambda: KNOWN) == b""


@given(st.binary(max_size=512))
def test_whatever_a_payload_sends_there_is_an_answer_or_none(sent: bytes) -> None:
    reply = answer(sent, lambda: KNOWN)
    assert reply == b"" or reply[:2] == sent[:2]


def test_names_are_those_of_the_network_s_machines_as_their_folders_are_now(tmp_path: Path) -> None:
    def machine(folder: str, name: str, network: str = "shop") -> None:
        (tmp_path / folder).mkdir()
        spec = {"name": name, "network": network, "address": "10.77.0.2", "labels": {}}
        (tmp_path / folder / "spec.json").write_text(json.dumps(spec))

    machine("one", "web-1")
    machine("two", "web-2", network="other")
    machine(".part-12-three", "web-3")
    machine(".gone-four", "web-4")
    (tmp_path / "five").mkdir()
    (tmp_path / "six").mkdir()
    (tmp_path / "six" / "spec.json").write_text('{"name": "web-6", "netw')
    (tmp_path / "seven").write_text("a file")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert addresses(folder, "shop") == {"web-1": "10.77.0.2"}
        machine("eight", "web-8")
        assert addresses(folder, "shop").keys() == {"web-1", "web-8"}
    finally:
        os.close(folder)
