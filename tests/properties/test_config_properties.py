"""What holds for every config, right or wrong."""

from __future__ import annotations

import copy
import string
import tomllib
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from spotdeploy.config.load import load
from spotdeploy.config.schema import Config
from spotdeploy.duration import Duration
from spotdeploy.errors import ConfigError
from tests.properties.effort import USUAL

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
USERS = st.from_regex(r"[a-z_][a-z0-9_-]{0,30}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
TIMES = st.builds(
    "{}{}".format, st.integers(0, 719), st.sampled_from(["ms", "s", "m", "h"])
) | st.sampled_from(["1h30m", "1.5h", "2m3s", "30d"])
NETWORKS = st.ip_addresses().map(ip_network).map(str)
PORT_RANGES = st.sampled_from(["7946", "53/udp", "4222-4223/udp", "1-65535"])
MONEY = st.floats(0.001, 1e6, allow_nan=False)
SCALARS = st.integers(-5, 5) | st.booleans() | TEXTS | st.floats(allow_nan=False)
TABLES = st.dictionaries(TEXTS, SCALARS | st.lists(TEXTS, max_size=2), max_size=3)
SECTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "nodes": {
        "quorum": st.integers(1, 50),
        "market": st.sampled_from(["spot", "on-demand", "spot-then-on-demand"]),
        "max_price": MONEY,
        "user": USERS,
        "time_to_live": TIMES,
        "open_ports": st.lists(st.integers(1, 65535), max_size=4),
        "allow_from": st.lists(NETWORKS, max_size=1),
        "open_between": st.lists(PORT_RANGES, max_size=20) | st.just("all"),
        "on_interruption": st.sampled_from(["replace", "fail"]),
        "replacements": st.integers(0, 100),
    },
    "payload": {
        "path": TEXTS,
        "entry": st.just("a/b.py"),
        "upload": st.lists(TEXTS, max_size=2),
        "environment": st.dictionaries(TEXTS, TEXTS, max_size=3),
        "reboot": st.booleans(),
    },
    "timeouts": dict.fromkeys(("boot", "ship", "deploy", "reboot", "destroy"), TIMES),
    "evidence": {
        "collect": st.sampled_from(["failing", "always"]),
        "files": st.lists(TEXTS, max_size=2),
    },
}
CONFIGS = st.fixed_dictionaries(
    {
        "deployment": NAMES,
        "nodes": st.fixed_dictionaries(
            {"count": st.integers(50, 10_000)}, optional=SECTIONS["nodes"]
        ),
    },
    optional={
        "providers": st.lists(TEXTS, min_size=1, max_size=3, unique=True),
        "plugins": st.lists(TEXTS, max_size=2),
        "max_cost": MONEY,
        "keep": st.sampled_from(["always", "passing", "never"]),
        "checks": st.lists(TABLES, max_size=2),
        "provider": st.dictionaries(TEXTS, TABLES, max_size=2),
        **{
            name: st.fixed_dictionaries({}, optional=keys)
            for name, keys in SECTIONS.items()
            if name != "nodes"
        },
    },
)
KEYS = {
    "": [field.encode_name for field in msgspec.structs.fields(Config)],
    **{name: list(keys) for name, keys in SECTIONS.items()},
}
KEYS["nodes"].append("count")
PLACES = [(table, key) for table, keys in KEYS.items() for key in keys]


def read(folder: Path, data: dict[str, Any]) -> Config:
    return read_bytes(folder, tomli_w.dumps(data).encode())


def read_bytes(folder: Path, data: bytes) -> Config:
    path = folder / "spotdeploy.toml"
    path.write_bytes(data)
    return load(path).config


def refusal(folder: Path, data: bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_bytes(folder, data)
    return caught.value


def answered(folder: Path, data: bytes) -> Config | ConfigError:
    try:
        return read_bytes(folder, data)
    except ConfigError as error:
        return error


def is_one_line(error: ConfigError) -> bool:
    """What is no TOML has its line below it, and a caret below that."""
    output = f"{error.message}{error.hint or ''}"
    lines = output.splitlines()
    few = len(lines) == (3 if "not valid TOML in line" in output else 1)
    return (
        few and "\n".join(lines) == output and "".join(lines).isprintable() and len(output) < 1000
    )


def leaves(data: dict[str, Any], config: Any) -> Iterator[tuple[Any, Any]]:
    """What was written, beside what was read."""
    for key, written in data.items():
        found = config[key] if isinstance(config, dict) else getattr(config, key)
        if isinstance(found, msgspec.Struct):
            yield from leaves(written, found)
        else:
            yield written, list(found) if isinstance(found, tuple) else found


@USUAL
@given(data=CONFIGS)
def test_every_config_of_the_right_shape_is_read_as_it_was_written(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    for written, found in leaves(data, read(tmp_path, data)):
        assert (Duration(written) if isinstance(found, Duration) else written) == found


def _written(value: object) -> str:
    """One of our own types as it is written in TOML."""
    return f"{float(value)!r}s" if isinstance(value, Duration) else str(value)


@USUAL
@given(data=CONFIGS)
def test_settings_written_out_again_are_the_same_settings(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    config = read(tmp_path, data)
    written = msgspec.to_builtins(config, enc_hook=_written)
    for table in (written, *(t for t in written.values() if isinstance(t, dict))):
        for key in [key for key, value in table.items() if value is None]:
            del table[key]
    for table, key in (("nodes", "time_to_live"), *(("timeouts", k) for k in SECTIONS["timeouts"])):
        seconds = getattr(getattr(config, table), key)
        written[table][key] = f"{float(seconds)!r}s"
    assert read(tmp_path, written) == config


@USUAL
@given(data=CONFIGS, place=st.sampled_from(list(KEYS)), key=TEXTS)
@example(data={"deployment": "a"}, place="", key="two\nlines")
@example(data={"deployment": "a"}, place="nodes", key="a`b")
@example(data={"deployment": "a"}, place="payload", key="x - at `$.nodes")
@example(data={"deployment": "a"}, place="", key="\x1b[31m")
@example(data={"deployment": "a"}, place="", key="k" * 5000)
def test_an_unknown_key_at_any_depth_is_refused_with_its_path(
    tmp_path: Path, data: dict[str, Any], place: str, key: str
) -> None:
    if key in KEYS[place]:
        return
    data = copy.deepcopy(data)
    (data.setdefault(place, {}) if place else data)[key] = 1
    error = refusal(tmp_path, tomli_w.dumps(data).encode())
    assert is_one_line(error)
    assert "unknown key" in error.message
    if 0 < len(key) < 100 and set(key) <= {*string.ascii_letters, *string.digits}:
        assert error.message.startswith(
            f"spotdeploy.toml: {place}.{key}:" if place else f"spotdeploy.toml: {key}:"
        )
    assert error.hint


@USUAL
@given(place=st.sampled_from(PLACES), slip=st.data())
def test_a_slip_of_the_finger_is_answered_with_the_key_that_was_meant(
    tmp_path: Path, place: tuple[str, str], slip: st.DataObject
) -> None:
    table, key = place
    at = slip.draw(st.integers(1, len(key) - 1))
    wrong = slip.draw(st.sampled_from([key[:at] + key[at + 1 :], key[:at] + "x" + key[at:]]))
    if wrong in KEYS[table]:
        return
    data: dict[str, Any] = {"deployment": "a"}
    (data.setdefault(table, {}) if table else data)[wrong] = 1
    error = refusal(tmp_path, tomli_w.dumps(data).encode())
    meant = f"{table}.{key}" if table else key
    assert error.hint == f"did you mean {meant}?"


@USUAL
@given(data=CONFIGS, place=st.sampled_from(PLACES), value=SCALARS | TABLES | st.dates())
@example(data={"deployment": "a"}, place=("nodes", "max_price"), value=float("nan"))
@example(data={"deployment": "a"}, place=("", "max_cost"), value=float("nan"))
@example(data={"deployment": "a"}, place=("nodes", "count"), value=10**30)
@example(data={"deployment": "a"}, place=("nodes", "market"), value="x" * 100_000)
def test_a_value_of_any_kind_is_taken_or_refused_in_one_line(
    tmp_path: Path, data: dict[str, Any], place: tuple[str, str], value: Any
) -> None:
    table, key = place
    data = copy.deepcopy(data)
    (data.setdefault(table, {}) if table else data)[key] = value
    answer = answered(tmp_path, tomli_w.dumps(data).encode())
    if isinstance(answer, ConfigError):
        assert is_one_line(answer)
        assert answer.message.startswith(f"spotdeploy.toml: {table}.{key}" if table else "spotd")
    else:
        assert value == value, "a number that is none is never a limit"


@USUAL
@given(data=st.binary(max_size=200) | TEXTS.map(str.encode))
@example(data=b"deployment = " + b"[" * 100_000)
@example(data=b"deployment = " + b"{a=" * 100_000)
@example(data=b"a." * 5000 + b"b = 1")
@example(data=b"\xff\xfe")
@example(data=b'deployment = "a"\ndeployment = "b"')
@example(data=b"x = 0x" + b"f" * 10_000)
@example(data=b"x = " + b"9" * 10_000)
def test_garbage_is_refused_in_one_line_and_never_a_traceback(tmp_path: Path, data: bytes) -> None:
    assert is_one_line(refusal(tmp_path, data))


@USUAL
@given(garbage=st.text("abcdeploymentnodescount=[]{}.\"'\n#1 ", max_size=60))
def test_text_that_looks_like_a_config_is_read_or_refused_in_one_line(
    tmp_path: Path, garbage: str
) -> None:
    text = f'deployment = "a"\n{garbage}\n'
    answer = answered(tmp_path, text.encode())
    if isinstance(answer, ConfigError):
        assert is_one_line(answer)
    else:
        assert tomllib.loads(text)["deployment"] == answer.deployment
