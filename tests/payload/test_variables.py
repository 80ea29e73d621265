"""The variables of the entry: what is refused before anything is made, and how secrets are read."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.config.load import decode
from spotdeploy.config.schema import Payload
from spotdeploy.errors import ConfigError
from spotdeploy.payload import variables
from spotdeploy.payload.variables import SECRET_LIMIT, read_secrets, require_variables
from tests.cycles.project import eventually
from tests.properties.effort import USUAL

GOOD = "it is long enough"


def payload(**tables: Any) -> Payload:
    return decode(tables, Payload, "c.toml", "payload")


def read(folder: Path, **references: str) -> dict[str, str]:
    return read_secrets("c.toml", folder, payload(secrets=references).secrets)


def refused(folder: Path, reference: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(folder, NAME=reference)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"c.toml: payload.secrets.NAME: {reference[:20]}")
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("table", ["environment", "secrets"])
@pytest.mark.parametrize(
    "name", ["my.name", "MY-DASH", "1ST", "", "A=B", " A", "A B", "GRÜN", "A\n", "SPOTDEPLOY_RUN"]
)
def test_a_name_that_would_be_dropped_is_refused_with_key_and_rule(table: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"c\.toml: payload\.{table}\..*(name|itself)") as caught:
        require_variables("c.toml", payload(**{table: {name: "env:A"}}))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("value", ["env:DB_PASSWORD", "file:~/x", "command:pass show x"])
def test_a_reference_where_none_is_read_is_refused_with_where_it_goes(value: str) -> None:
    with pytest.raises(ConfigError, match=r"payload\.environment\.DB") as caught:
        require_variables("c.toml", payload(environment={"DB": value}))
    assert "payload.secrets.DB" in (caught.value.hint or "")


def test_a_url_is_no_reference() -> None:
    require_variables(
        "c.toml", payload(environment={"DB": "file:///srv/db", "B": "envy:", "C": ""})
    )


@pytest.mark.parametrize("value", ["a\0b", "a\uffff", "\ufdd0", "\U0010ffff"])
def test_a_character_that_no_variable_holds_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"U\+[0-9A-F]{4}"):
        require_variables("c.toml", payload(environment={"A": value}))
    (tmp_path / "s").write_text(value + GOOD)
    assert "U+" in refused(tmp_path, "file:s").message


def test_what_no_program_can_be_started_with_is_refused() -> None:
    with pytest.raises(ConfigError, match="131071 bytes"):
        require_variables("c.toml", payload(environment={"A": "x" * (128 << 10)}))
    many = {f"A{n}": "x" * 100_000 for n in range(11)}
    with pytest.raises(ConfigError, match="bytes in all"):
        require_variables("c.toml", payload(environment=many))


def test_one_name_in_both_tables_is_refused() -> None:
    both = payload(environment={"A": "b"}, secrets={"A": "env:A"})
    with pytest.raises(ConfigError, match=r"payload\.secrets has it too"):
        require_variables("c.toml", both)


@pytest.mark.parametrize("value", ["hunter2000", "vault:x", "env:", "env", "command: "])
def test_a_secret_in_the_clear_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigError, match=r"payload\.secrets\.B: a secret is named") as caught:
        payload(secrets={"A": "env:A", "B": value})
    assert "hunter2000" not in caught.value.explained


def test_each_kind_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", " blanks stay\n")
    (tmp_path / "one").write_text("one line\n")
    (tmp_path / "key").write_text("-----BEGIN-----\nabc\n-----END-----\n")
    command = "command:printf '%s|' \"two words\" $HOME *"
    found = read(tmp_path, A="env:HERE", B="file:one", C="file:key", D=command)
    assert found == {
        "A": " blanks stay\n",
        "B": "one line",
        "C": "-----BEGIN-----\nabc\n-----END-----\n",
        "D": "two words|$HOME|*|",
    }
    assert read(tmp_path, A="command:sh -c 'cat one; echo more'")["A"] == "one line\nmore\n"
    assert read(tmp_path, A=f"file:{tmp_path}/one")["A"] == "one line"


@USUAL
@given(value=st.text(st.characters(codec="utf-8"), min_size=4, max_size=300))
def test_a_value_arrives_as_it_is_or_is_refused(value: str) -> None:
    os.environ.pop("HERE", None)
    try:
        os.environ["HERE"] = value
        found = read(Path(), A="env:HERE")["A"]
    except (ConfigError, ValueError):
        return
    assert found == value


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("env:NOT_THERE", "is not set"),
        ("file:none", "cannot be read: No such file"),
        ("file:.", "cannot be read: Is a directory"),
        ("command:no-such-command x", "cannot be run: No such file"),
        ("command:sh -c 'echo locked >&2; echo hunter2000; exit 3'", "exited with 3: locked"),
        ("command:sh -c 'kill -9 $$'", "was ended by signal 9"),
        ("command:echo 'open", "is no command"),
        ("command:true", "is empty"),
        ("command:printf abc", "fewer than 4"),
        ("command:printf '\\377\\376abc'", "is not UTF-8"),
        ("command:head -c 1000000 /dev/zero", "printed more than"),
        ("file:/dev/zero", "has more than"),
    ],
)
def test_what_cannot_be_read_is_refused_with_key_reference_and_cure(
    reference: str, says: str, tmp_path: Path
) -> None:
    if reference == "file:/dev/zero":
        (tmp_path / "long").write_text("x" * (SECRET_LIMIT + 1))
        reference = "file:long"
    error = refused(tmp_path, reference)
    assert says in error.message
    assert "hunter2000" not in error.message.replace(reference, "")


def test_a_command_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variables, "COMMAND_SECONDS", 0.5)
    began = time.monotonic()
    line = "command:sh -c 'sleep 77 & echo $! > pid; sleep 77'"
    assert "did not end within" in refused(tmp_path, line).message
    assert time.monotonic() - began < 10
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not _runs(pid), "the end of what the command started")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_secrets_are_bounded_all_together(tmp_path: Path) -> None:
    (tmp_path / "big").write_text("x" * SECRET_LIMIT)
    with pytest.raises(ConfigError, match="bytes in all"):
        read(tmp_path, **{f"A{n}": "file:big" for n in range(5)})
