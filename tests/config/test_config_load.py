"""Reading spotdeploy.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotdeploy.config.load import decode, load
from spotdeploy.errors import ConfigError
from spotdeploy.ports import ALL_PORTS
from spotdeploy.provider import ProviderConfig
from spotdeploy_aws.config import AwsConfig
from spotdeploy_azure.config import AzureConfig
from spotdeploy_gcp.config import GcpConfig


def write(folder: Path, text: str) -> Path:
    path = folder / "spotdeploy.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    assert caught.value.exit_code == 2
    return caught.value


def test_one_key_is_enough(tmp_path: Path) -> None:
    settings = load(write(tmp_path, 'deployment = "a"'))
    assert settings.config.nodes.count == 1
    assert settings.state == tmp_path / ".spotdeploy"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[nodes]\ncount = 3", "spotdeploy.toml: deployment: missing"),
        ('deployment = "a"\n[nodes]\ncount = "3"', "nodes.count: should be a whole number"),
        ('deployment = "a"\n[nodes]\nopen_ports = [1, 70000]', "nodes.open_ports[1]:"),
        ('deployment = "A b"', "(it is 'A b')"),
        ('deployment = "a"\n[timeouts]\nboot = "soon"', "timeouts.boot: 'soon' is not a duration"),
        ('deployment = "a"\n[timeouts]\nboot = 5', "timeouts.boot: should be text"),
        ('deployment = "a"\nproviders = ["local", "local"]', "providers: local is named twice"),
        ('deployment = "a"\n[nodes]\ncount = 2\nquorum = 3', "nodes.quorum: 3 is more than"),
        ('deployment = "a"\n[payload]\nentry = "../x"', "payload.entry: ../x escapes the payload"),
        ("deployment = ", "not valid TOML"),
        ('deployment = "a"\n\n  keep = passing', "TOML in line 3: Invalid value"),
        (f'deployment = "{"a" * 41}"', "beginning with a letter, at most 40 characters (it is"),
        (
            'deployment = "a"\n[payload.environment]\nA = "b"\nLOG_LEVEL = 3',
            "payload.environment.LOG_LEVEL: should be text, not a whole number",
        ),
        (
            'deployment = "a"\n[nodes]\nallow_from = ["10.0.0.300/24"]',
            """spotdeploy.toml: nodes.allow_from[0]: '10.0.0.300/24' is not a network; write it""",
        ),
        ('deployment = "a"\n[nodes]\nallow_from = ["::1", "office"]', "allow_from[1]: 'office' is"),
        ('deployment = "a"\n[nodes]\nallow_from = ["10.0.0.0/33"]', "'10.0.0.0/33' is not a"),
        ('deployment = "a"\n[nodes]\nallow_from = ["fe80::1%eth0"]', "'fe80::1%eth0' is not a"),
        (
            'deployment = "a"\n[nodes]\nopen_between = [22, "70000/udp"]',
            "spotdeploy.toml: nodes.open_between[1]: '70000/udp' is not a port from 1 to 65535, "
            'nor a range of them; write it like 7946, "53/udp" or "4222-4223/udp"',
        ),
        ('deployment = "a"\n[nodes]\nopen_between = 22', "should be text or a list, not a whole"),
        (
            f'deployment = "a"\n[nodes]\nopen_between = {list(range(1, 43, 2))}',
            "nodes.open_between: should have 20 entries at most",
        ),
    ],
)
def test_a_mistake_is_named_with_the_keys_path(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text).message


def test_an_unknown_key_is_an_error_with_its_path_and_the_nearest_known_key(tmp_path: Path) -> None:
    error = refusal(tmp_path, 'deployment = "a"\n[nodes]\ncuont = 3')
    assert error.message == "spotdeploy.toml: nodes.cuont: unknown key"
    assert error.hint == "did you mean nodes.count?"


@pytest.mark.parametrize("key", ["keep", "nodes.market", "evidence.collect"])
def test_a_wrong_choice_lists_the_right_ones(tmp_path: Path, key: str) -> None:
    table, _, name = key.rpartition(".")
    head = f"[{table}]\n" if table else ""
    error = refusal(tmp_path, f'deployment = "a"\n{head}{name} = "sopt"')
    assert key in error.message
    assert "'sopt'" in error.message
    assert error.hint is not None
    assert "one of" in error.hint


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "spotdeploy.toml")
    assert "spotdeploy init" in (caught.value.hint or "")


def test_networks_are_normalised_and_collapsed_once(tmp_path: Path) -> None:
    written = [
        "203.0.113.7/24",
        "203.0.113.9",
        "2001:DB8:0::/33",
        "2001:db8:8000::/33",
        "198.51.100.1",
        "198.51.100.0/32",
    ]
    config = load(write(tmp_path, f'deployment = "a"\n[nodes]\nallow_from = {written}')).config
    assert config.nodes.allow_from == ("198.51.100.0/31", "203.0.113.0/24", "2001:db8::/32")


def test_a_network_in_a_variable_is_named_by_the_variable(tmp_path: Path) -> None:
    variable = {"SPOTDEPLOY_NODES_ALLOW_FROM": '["10.1/16"]'}
    with pytest.raises(ConfigError, match=r"^SPOTDEPLOY_NODES_ALLOW_FROM: nodes\.allow_from\[0\]"):
        load(write(tmp_path, 'deployment = "a"'), environment=variable)


def test_ports_between_nodes_are_merged(tmp_path: Path) -> None:
    written = '[7946, "53/udp", "7940-7950", "7951/tcp", "54-60/udp", 22]'
    config = load(write(tmp_path, f'deployment = "a"\n[nodes]\nopen_between = {written}')).config
    assert config.nodes.between == ("22", "7940-7951", "53-60/udp")


@pytest.mark.parametrize(
    ("value", "ports"),
    [("all", ALL_PORTS), ('"all"', ALL_PORTS), ('["80", 81]', ("80-81",)), ("[]", ())],
)
def test_ports_between_nodes_in_a_variable_are_all_or_a_list(
    tmp_path: Path, value: str, ports: tuple[str, ...]
) -> None:
    variable = {"SPOTDEPLOY_NODES_OPEN_BETWEEN": value}
    settings = load(write(tmp_path, 'deployment = "a"'), environment=variable)
    assert settings.config.nodes.between == ports


def test_a_wrong_port_in_a_variable_is_named_by_the_variable(tmp_path: Path) -> None:
    variable = {"SPOTDEPLOY_NODES_OPEN_BETWEEN": "7946"}
    with pytest.raises(
        ConfigError, match=r"^SPOTDEPLOY_NODES_OPEN_BETWEEN: .*\(it is 7946\)"
    ) as got:
        load(write(tmp_path, 'deployment = "a"'), environment=variable)
    assert got.value.hint == 'such as [7946, "4222-4223/udp"] or "all"'


@pytest.mark.parametrize(
    ("config", "key", "written", "message", "hint"),
    [
        (AwsConfig, "regions", "us-west-2a", 'regions[0]: should be like "us-west-2"', "us-west-2"),
        (
            GcpConfig,
            "regions",
            "us-east4-b",
            'regions[0]: should be like "us-central1"',
            "us-east4",
        ),
        (AwsConfig, "sizes", "t3", "sizes[0]: should be like \"t3.small\" (it is 't3')", None),
        (AzureConfig, "locations", "East US", 'locations[0]: should be like "eastus"', None),
    ],
)
def test_a_place_in_the_wrong_form_is_answered_by_one_in_the_right_form(
    config: type[ProviderConfig], key: str, written: str, message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        decode({key: [written]}, config, "spotdeploy.toml", "provider.x")
    assert f"provider.x.{message}" in caught.value.message
    assert caught.value.hint == (f"did you mean {hint}?" if hint else None)


def test_an_account_is_never_guessed() -> None:
    with pytest.raises(ConfigError) as caught:
        decode({"account": "1234567890123"}, AwsConfig, "spotdeploy.toml", "provider.aws")
    assert 'provider.aws.account: should be like "123456789012"' in caught.value.message
    assert caught.value.hint is None


def test_a_number_among_variables_says_how_to_write_it(tmp_path: Path) -> None:
    error = refusal(tmp_path, 'deployment = "a"\n[payload.environment]\nLOG_LEVEL = 3')
    assert error.hint == "write it in quotes"


def test_a_value_that_is_no_toml_is_not_shown(tmp_path: Path) -> None:
    error = refusal(tmp_path, 'deployment = "a"\n[payload.environment]\nPASSWORD = hunter2')
    assert "3 | PASSWORD = ..." in error.message
    assert "hunter2" not in f"{error.message}{error.hint}"


@pytest.mark.parametrize(
    ("text", "number", "shown", "at", "hint"),
    [
        ("[nodes\ncount = 3\n", 1, "[nodes", 6, "write text as"),
        ("[nodes]\ncount = three\n", 2, "count = ...", 8, "write text as"),
        ("[nodes]\ncount = 3\ncount = 4\n", 3, "count = ...", 0, "leave one of them out"),
        ("[nodes]\n[payload]\n[nodes]\n", 3, "[nodes]", 0, "leave one of them out"),
        ('key = "\\q hunter2"\n', 1, "key = ...", 6, "write text as"),
        ("\tkey\t= [1, hunter2]\n", 1, " key = ...", 7, "write text as"),
    ],
)
def test_what_is_no_toml_is_pointed_at_without_its_value(
    tmp_path: Path, text: str, number: int, shown: str, at: int, hint: str
) -> None:
    path = tmp_path / "spotdeploy.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    first, line, caret = caught.value.message.split("\n")
    assert f"not valid TOML in line {number}: " in first
    assert line == f"   {number} | {shown}"
    assert caret == " " * (7 + at) + "^"
    assert hint in str(caught.value.hint)
    assert "hunter2" not in caught.value.message


def test_a_key_that_belongs_above_all_tables_is_told_where_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "spotdeploy.toml"
    path.write_text('deployment = "demo"\n[payload]\nplugins = ["x"]\n')
    with pytest.raises(ConfigError, match=r"payload\.plugins: unknown key") as caught:
        load(path)
    assert str(caught.value.hint).startswith("plugins belongs to no table")
