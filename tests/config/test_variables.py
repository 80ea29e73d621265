"""Environment variables that stand for keys of the config."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotdeploy.config.load import load
from spotdeploy.config.schema import Settings
from spotdeploy.config.variables import FACTS
from spotdeploy.errors import ConfigError
from spotdeploy.project import Project

PLAIN = 'deployment = "a"\n'
AXES = '[matrix]\npython = ["3.11"]\nnode-js = [20]\n'
CLUSTER = (
    PLAIN + AXES + '[groups.head]\n[groups.big-worker]\ncount = 2\n[provider.fake]\nsizes = ["s"]\n'
)


def read(folder: Path, text: str = PLAIN, **variables: str) -> Settings:
    path = folder / "spotdeploy.toml"
    path.write_text(text)
    return load(path, environment=variables)


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("NODES__COUNT", "3", "nodes.count", 3),
        ("NODES_COUNT", "3", "nodes.count", 3),
        ("NODES__MAX_PRICE", "0.05", "nodes.max_price", 0.05),
        ("NODES__USER", "7up", "nodes.user", None),
        ("MAX_COST", "2.5", "max_cost", 2.5),
        ("KEEP", "never", "keep", "never"),
        ("DEPLOYMENT", "b", "deployment", "b"),
        ("STATE", "/var/lib/ci", "state", "/var/lib/ci"),
        ("TIMEOUTS__BOOT", "90s", "timeouts.boot", "1m30s"),
        ("PAYLOAD__ENVIRONMENT__LOG__LEVEL", "3", "payload.environment.LOG__LEVEL", "3"),
        ("PAYLOAD__ENVIRONMENT", '{A = "b"}', "payload.environment.A", "b"),
        ("OUTPUTS__URL", "http://x", "outputs.url", "http://x"),
        ("MATRIX__PYTHON", '["3.12"]', "matrix.python", ["3.12"]),
        ("MATRIX__NODE_JS", "[22]", "matrix.node-js", [22]),
        ("MATRIX__MAX_CELLS", "3", "matrix.max_cells", 3),
        ("PROVIDER__FAKE__SIZES", '["l"]', "provider.fake.sizes", ["l"]),
        ("PROVIDER__FAKE__PRICES__LARGE", "1.5", "provider.fake.prices.large", 1.5),
        ("PROVIDER__GCP__PROJECT", "my-project", "provider.gcp.project", "my-project"),
        ("GROUPS__BIG_WORKER__COUNT", "4", "groups.big-worker.count", 4),
        ("GROUPS__HEAD__IMAGE", "12", "groups.head.image", "12"),
        (
            "GROUPS__HEAD__PAYLOAD__ENVIRONMENT__A",
            "1",
            "groups.head.payload.environment.A",
            "1",
        ),
        ("GROUPS__HEAD__PROVIDER__FAKE__SIZES", '["l"]', "groups.head.provider.fake.sizes", ["l"]),
        ("CHECKS", '[{type = "tcp", port = 1}]', "checks", [{"type": "tcp", "port": 1}]),
    ],
)
def test_a_variable_stands_for_a_key_and_is_named_as_its_source(
    tmp_path: Path, name: str, text: str, key: str, value: object
) -> None:
    if value is None:
        with pytest.raises(ConfigError, match=rf"^SPOTDEPLOY_{name}: {key}: "):
            read(tmp_path, CLUSTER, **{f"SPOTDEPLOY_{name}": text})
        return
    settings = read(tmp_path, CLUSTER, **{f"SPOTDEPLOY_{name}": text})
    found: object = settings.config
    for step in key.split("."):
        found = found[step] if isinstance(found, dict) else getattr(found, step)
    if isinstance(found, tuple):
        found = list(found)
    assert (str(found) if isinstance(value, str) else found) == value
    assert f"SPOTDEPLOY_{name}" in settings.sources.values()


def test_a_variable_stands_above_the_file_and_below_an_option(tmp_path: Path) -> None:
    path = tmp_path / "spotdeploy.toml"
    path.write_text('deployment = "a"\nkeep = "always"\n')
    environment = {"SPOTDEPLOY_KEEP": "never", "SPOTDEPLOY_DEPLOYMENT": "b"}
    settings = load(path, {"--deployment": ("deployment", "c")}, environment)
    assert (settings.config.keep, settings.config.deployment) == ("never", "c")
    assert settings.sources["deployment"] == "--deployment"


def test_a_name_that_the_file_lacks_may_come_from_a_variable(tmp_path: Path) -> None:
    assert read(tmp_path, "", SPOTDEPLOY_DEPLOYMENT="ci-7").config.deployment == "ci-7"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("NODES__CUONT", "SPOTDEPLOY_NODES__COUNT"),
        ("NODES_CONT", "SPOTDEPLOY_NODES_COUNT"),
        ("KEP", "SPOTDEPLOY_KEEP"),
        ("TIMEOUT__BOOT", "SPOTDEPLOY_TIMEOUTS__BOOT"),
        ("MATRIX__NOD_JS", "SPOTDEPLOY_MATRIX__NODE_JS"),
        ("GROUPS__BIG_WORKR__COUNT", "SPOTDEPLOY_GROUPS__BIG_WORKER__COUNT"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(
    tmp_path: Path, name: str, nearest: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, CLUSTER, **{f"SPOTDEPLOY_{name}": "1"})
    assert caught.value.message == f"SPOTDEPLOY_{name}: there is no such key"
    assert caught.value.hint == f"did you mean {nearest}?"


@pytest.mark.parametrize(
    "name",
    [
        "PROVIDER__AWS",
        "GROUPS__HEAD",
        "PROVIDER",
        "GROUPS",
        "MATRIX",
        "OUTPUTS",
        "NODES__",
        "__COUNT",
        "MATRIX__A__B",
    ],
)
def test_no_variable_stands_for_a_whole_table_of_others(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="there is no such key"):
        read(tmp_path, CLUSTER, **{f"SPOTDEPLOY_{name}": "{}"})


@pytest.mark.parametrize(
    "name", ["TOKEN", "NODES_0_ADDRESS", "BIG_WORKER_1_HOST_KEY", "OUTPUT_URL", "VERBOSE"]
)
def test_what_is_like_no_key_is_somebody_elses(tmp_path: Path, name: str) -> None:
    read(tmp_path, CLUSTER, **{f"SPOTDEPLOY_{name}": "x"})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("PROVIDER__FAKE__SIZES", "3", "provider.fake.sizes: should be a list"),
        ("PROVIDER__FAKE__SZIES", "3", "provider.fake.szies: unknown key"),
        ("PROVIDER__ASW__SIZES", '["s"]', "provider.asw: no provider of that name is installed"),
        ("GROUPS__HEAD__COUNT", "0", "groups.head.count: should be at least 1"),
        ("GROUPS__HEAD__CUONT", "1", "groups.head.cuont: unknown key"),
        ("NODES__COUNT", "many", "'many' is not a value as in TOML"),
        ("NODES__OPEN_PORTS", "[1, 70000]", "nodes.open_ports[1]: should be at most 65535"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    path = tmp_path / "spotdeploy.toml"
    path.write_text(CLUSTER)
    monkeypatch.setenv(f"SPOTDEPLOY_{name}", text)
    with pytest.raises(ConfigError) as caught:
        Project.open(path, providers=["fake"]).open_providers()
    assert caught.value.message.startswith(f"SPOTDEPLOY_{name}: {message}")


def test_what_an_entry_is_told_of_its_node_stands_for_no_key(tmp_path: Path) -> None:
    told = dict.fromkeys(FACTS, "outer")
    settings = read(tmp_path, **told, SPOTDEPLOY_NODES__COUNT="3")
    assert (settings.config.deployment, settings.config.nodes.count) == ("a", 3)
    del told["SPOTDEPLOY_NODE_ID"]
    with pytest.raises(ConfigError, match="SPOTDEPLOY_PROVIDER"):
        read(tmp_path, **told)


def test_two_variables_for_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"both stand for nodes\.count"):
        read(tmp_path, SPOTDEPLOY_NODES_COUNT="1", SPOTDEPLOY_NODES__COUNT="2")


def test_a_secret_in_the_clear_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, SPOTDEPLOY_PAYLOAD__SECRETS__TOKEN="hunter2")
    assert "a secret is named, not written" in caught.value.message
    assert "hunter2" not in caught.value.explained


def test_the_state_folder_has_its_own_name_wherever_it_is(tmp_path: Path) -> None:
    assert read(tmp_path).state == tmp_path / ".spotdeploy"
    elsewhere = read(tmp_path, 'deployment = "a"\nstate = "../kept"\n').state
    assert elsewhere == tmp_path / "../kept/.spotdeploy"
    assert read(tmp_path, SPOTDEPLOY_STATE="/srv/x").state == Path("/srv/x/.spotdeploy")
