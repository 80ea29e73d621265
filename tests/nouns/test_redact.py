"""Secrets are taken out of whatever is shown or kept."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from spotdeploy.config.secret import Secret, named_secret, secret_values
from spotdeploy.events import Bus, Event, NodeEnded, Note
from spotdeploy.model import Verdict
from spotdeploy.redact import Redactor
from spotdeploy.run.verdict import Outcome, Refusal

VALUE = 'pa&ss "word"/42'


class Table(msgspec.Struct, frozen=True):
    token: Secret | None = None
    headers: dict[str, str] = {}
    nested: tuple[dict[str, str], ...] = ()


@pytest.mark.parametrize(
    "name",
    [
        "API_TOKEN",
        "db_password",
        "PASSWD",
        "Authorization",
        "AWS_SECRET",
        "SSH_KEY",
        "keys",
        "key-id",
        "DB_PASS",
        "MYSQL_PWD",
        "PGPASSWORD",
        "dbPass",
        "SENTRY_DSN",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AWS_ACCESS_KEY_ID",
        "REGISTRY_AUTH",
    ],
)
def test_names_that_speak_of_secrets_are_known(name: str) -> None:
    assert named_secret(name)


@pytest.mark.parametrize(
    "name", ["KEYBOARD", "LOG_LEVEL", "PATH", "COMPASS", "HOME", "PWD", "AUTHOR", "SPINNER"]
)
def test_other_names_are_not(name: str) -> None:
    assert not named_secret(name)


def test_values_are_found_in_secrets_and_under_telling_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_ONE", "from-the-environment")
    file = tmp_path / "password"
    file.write_text("from-a-file\n")
    found = secret_values(
        {"API_TOKEN": "plainly", "LOG_LEVEL": "debug"},
        Table(Secret("env:THE_ONE"), {"Authorization": "Bearer x"}, ({"my_key": "deep"},)),
        (Secret(f"file:{file}"), Secret("env:NOT_THERE"), Secret(f"file:{tmp_path / 'none'}")),
    )
    assert set(found) == {
        *("plainly", "from-the-environment", "Bearer x", "x", "deep", "from-a-file")
    }


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("postgres://app:s3cr3t%21pw@db/app", "s3cr3t!pw"),
        ("postgres://app:s3cr3t%21pw@db/app", "s3cr3t%21pw"),
        ("redis://:s3cr3t-pw@cache:6379/0", "s3cr3t-pw"),
        ("Bearer abc.def-ghi", "abc.def-ghi"),
        ("Basic bWU6czNjcjN0LXB3", "s3cr3t-pw"),
    ],
)
def test_a_value_that_is_a_secret_by_its_form_is_one_under_any_name(
    value: str, secret: str
) -> None:
    assert secret in set(secret_values({"ANYTHING": value}))


@pytest.mark.parametrize(
    "spelling",
    [
        VALUE,
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(VALUE.encode() + b"\n").decode(),
        quote(VALUE, safe=""),
        json.dumps(VALUE)[1:-1],
    ],
)
def test_a_secret_goes_in_each_spelling_that_programs_print(spelling: str) -> None:
    text = Redactor([VALUE]).text(f"before {spelling} after")
    assert text == "before [redacted] after"


def test_each_line_of_a_long_secret_goes() -> None:
    key = "-----BEGIN KEY-----\nabcdefgh\nijklmnop\n-----END KEY-----"
    assert Redactor([key]).text("it has ijklmnop in it") == "it has [redacted] in it"


def test_the_longer_of_two_secrets_goes_whole() -> None:
    assert Redactor(["hunter", "hunter2000"]).text("hunter2000") == "[redacted]"


def test_very_short_values_are_left_so_that_evidence_stays_readable() -> None:
    assert Redactor(["1", "yes"]).text("yes, 11 of 11") == "yes, 11 of 11"


def test_a_secret_cut_in_two_by_a_limit_goes_too() -> None:
    redactor = Redactor(["correct-horse-battery"])
    assert redactor.excerpt("orse-battery and then correct-ho") == "[redacted] and then [redacted]"
    assert redactor.excerpt("nothing here") == "nothing here"


def test_every_text_of_an_outcome_is_walked_and_verdicts_stay_verdicts() -> None:
    refusals = (Refusal("aws a", 1, 0, "no: hunter2000"),)
    outcome = Outcome("r", "d", Verdict.PAYLOAD_FAILED, "said hunter2000", refusals=refusals)
    clean = Redactor(["hunter2000"]).anything(outcome)
    assert clean.message == "said [redacted]"
    assert clean.refusals[0].message == "no: [redacted]"
    assert clean.verdict is Verdict.PAYLOAD_FAILED


def test_the_bus_hands_out_no_event_with_a_secret_in_it() -> None:
    received: list[Event] = []

    class Ears:
        def on(self, event: Event) -> None:
            received.append(event)

    bus = Bus(Ears(), now=lambda: 5.0, redact=Redactor(["hunter2000"]).anything)
    bus.emit(Note(text="it is hunter2000", warning=True))
    bus.emit(NodeEnded(node="n", verdict=Verdict.PASSED))
    assert received[0] == Note(at=5.0, text="it is [redacted]", warning=True)
    assert received[1] == NodeEnded(at=5.0, node="n", verdict=Verdict.PASSED)
