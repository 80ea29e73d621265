"""A secret goes, whole and in pieces, in whatever spelling a program prints it."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotdeploy.redact import PIECE, Redactor
from spotdeploy.text import plain
from tests.properties.effort import FEW, USUAL
from tests.spellings import LINE, SECRETS, SPELLINGS, WORDS, of_code, pieces


@pytest.mark.parametrize("name", SPELLINGS)
@given(secret=SECRETS, before=WORDS, after=WORDS)
@example(secret='pa&ss "word"/42', before="", after="")
@example(secret="it's $HOME\\n+%41", before="'", after="'")
@example(secret="k1x9", before="", after="")
@FEW
def test_no_piece_of_it_is_left(name: str, secret: str, before: str, after: str) -> None:
    spelled = SPELLINGS[name](secret)
    redacted = Redactor([secret]).text(f"{before} {spelled} {after}")
    for seen in (redacted, plain(redacted)):
        assert not [
            piece for piece in pieces(secret) if piece in seen and piece not in before + after
        ]
    if "base64" in name or "hex" in name.lower() or name.startswith("basic"):
        codes = of_code(spelled) if "JSON" not in name else set()
        known = of_code(SPELLINGS[name]("0" * 200)) | of_code(base64.b64encode(b"\nmore").decode())
        assert not [c for c in codes - known if c in redacted and "host" not in c][:3]


@pytest.mark.parametrize("name", SPELLINGS)
@given(secret=LINE.filter(lambda line: len(line) >= 16), data=st.data())
@FEW
def test_nor_where_the_text_was_cut_in_it(name: str, secret: str, data: st.DataObject) -> None:
    spelled = SPELLINGS[name](secret)
    cut = data.draw(st.integers(1, len(spelled) - 1))
    redactor = Redactor([secret])
    for piece in (f"it is {spelled}"[: 6 + cut], f"{spelled} it is"[cut:]):
        seen = redactor.excerpt(piece)
        assert not [part for part in pieces(secret, PIECE + 4) if part in seen]


@given(before=WORDS, after=WORDS, secret=LINE)
@USUAL
def test_what_is_around_it_stays(before: str, after: str, secret: str) -> None:
    if pieces(secret, 4) & pieces(f"{before} \n{after}", 4):
        return
    redacted = Redactor([secret]).text(f"{before}\n{secret}\n{after}")
    assert redacted == f"{before}\n[redacted]\n{after}"


@given(st.text(), st.lists(SECRETS, max_size=3))
@USUAL
def test_any_text_can_be_redacted(text: str, secrets: list[str]) -> None:
    redactor = Redactor(secrets)
    once = redactor.text(text)
    assert redactor.text(once) == once
    assert isinstance(redactor.excerpt(text), str)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://bob:s3cr3t-pw@host/x", "GET https://bob:[redacted]@host/x"),
        ("redis://:s3cr3t-pw@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("Authorization: Bearer eyJhbGciOi.J9.x_y", "Authorization: Bearer [redacted]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted]"),
        ("id AKIAIOSFODNN7EXAMPLE used", "id [redacted] used"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nAbC=\n-----END RSA PRIVATE KEY-----",
            "[redacted]",
        ),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("basic understanding of bearers", "basic understanding of bearers"),
    ],
)
def test_what_is_a_secret_by_its_form_goes_whoever_it_is_of(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


def test_ten_megabytes_and_twenty_secrets_take_seconds() -> None:
    secrets = [f"secret-{n}-{'x9Y' * n}" for n in range(20)]
    line = '2026-11-26T21:52:14 host app[12]: {"msg": "it is \\"well\\"", "at": 17}\n'
    text = line * (10_000_000 // len(line)) + secrets[7]
    started = time.process_time()
    redacted = Redactor(secrets).text(text)
    assert redacted.endswith("\n[redacted]")
    assert time.process_time() - started < 30
