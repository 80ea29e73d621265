"""What `spotdeploy export` writes, read by the programs that it is for."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from spotdeploy.errors import RefusedError
from spotdeploy.report.export import Form, render
from spotdeploy.run.inventory import Inventory, InventoryNode, inventory_schema_text

PROXY = ("/usr/bin/python3", "-I", "/a b/dial.py", "100%d", "10.77.0.2", "22")


def entry(name: str, index: int, **more: Any) -> InventoryNode:
    usual: dict[str, Any] = {
        "id": f"i-{name}",
        "provider": "aws",
        "location": "us-west-2",
        "zone": "us-west-2a",
        "size": "t3.small",
        "market": "spot",
        "state": "running",
        "address": f"192.0.2.{index + 1}",
        "private_address": None,
        "port": 22,
        "user": "spotdeploy",
        "host_key": "ssh-ed25519 AAAA",
        "proxy_command": (),
        "expires_at": 1.8e9,
    }
    return InventoryNode(name=name, index=index, **{**usual, **more})


def inventory(folder: str = "/home/me/my 50% shop/.spotdeploy/shop", **more: Any) -> Inventory:
    usual: dict[str, Any] = {
        "deployment": "shop",
        "groups": {
            "head": (entry("shop-1", 0),),
            "big-worker": (
                entry("shop-2", 0, proxy_command=PROXY, private_address="10.77.0.2"),
                entry("shop-3", 1, user="root"),
            ),
        },
        "outputs": {"url": "http://192.0.2.1:1234/?a=b&c='d' $(touch x)", "later": None},
        "identity_file": f"{folder}/id_ed25519",
        "known_hosts_file": f"{folder}/known_hosts",
    }
    return Inventory(**{**usual, **more})


def openssh(config: str, node: str, folder: Path) -> dict[str, str]:
    """What OpenSSH itself makes of a config."""
    path = folder / "config"
    path.write_text(config)
    done = subprocess.run(
        ["ssh", "-G", "-F", str(path), node], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_openssh_reads_each_node_with_its_key_and_its_pin(tmp_path: Path) -> None:
    text = render(inventory(), Form.SSH_CONFIG)
    options = openssh(text, "shop-3", tmp_path)
    assert (options["hostname"], options["port"], options["user"]) == ("192.0.2.2", "22", "root")
    assert options["hostkeyalias"] == "i-shop-3"
    assert options["stricthostkeychecking"] in ("true", "yes")
    assert options["identitiesonly"] == "yes"
    assert options["identityfile"].replace("%%", "%").strip('"') == inventory().identity_file
    assert options["userknownhostsfile"].replace("%%", "%") == inventory().known_hosts_file
    assert "proxycommand" not in options
    others = openssh(text, "elsewhere.example", tmp_path)
    assert "hostkeyalias" not in others, "it says something of hosts that are none of ours"
    assert "shop" not in others["userknownhostsfile"]
    proxied = openssh(text, "shop-2", tmp_path)["proxycommand"]
    assert shlex.split(proxied.replace("%%", "%")) == list(PROXY)


def test_ansibles_inventory_is_yaml_with_groups_and_arguments_that_ssh_takes() -> None:
    text = render(inventory(), Form.ANSIBLE)
    assert "is touched" in text.splitlines()[1]
    groups = yaml.safe_load(text)["all"]["children"]
    assert list(groups) == ["head", "big_worker"]
    host = groups["big_worker"]["hosts"]["shop-2"]
    assert host["ansible_host"] == "192.0.2.1"
    assert (host["ansible_port"], host["ansible_user"]) == (22, "spotdeploy")
    assert host["ansible_ssh_private_key_file"] == inventory().identity_file
    assert (host["spotdeploy_group"], host["spotdeploy_index"]) == ("big-worker", 0)
    line = ["ssh", "-G", "-F", "/dev/null", *shlex.split(host["ansible_ssh_common_args"]), "x"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = dict(one.split(" ", 1) for one in done.stdout.splitlines() if " " in one)
    assert options["hostkeyalias"] == "i-shop-2"
    assert options["userknownhostsfile"].replace("%%", "%") == inventory().known_hosts_file
    assert shlex.split(options["proxycommand"].replace("%%", "%")) == list(PROXY)


def test_groups_of_ansibles_own_are_called_something_else() -> None:
    some = inventory(groups={"all": (entry("shop-1", 0),)})
    assert list(yaml.safe_load(render(some, Form.ANSIBLE))["all"]["children"]) == ["all_nodes"]


def test_a_shell_takes_every_value_as_it_is(tmp_path: Path) -> None:
    script = (
        render(inventory(), Form.ENV)
        + 'printf "%s\\n" "$SPOTDEPLOY_HEAD_0_ADDRESS" "$SPOTDEPLOY_BIG_WORKER_1_NAME" '
        '"$SPOTDEPLOY_BIG_WORKER_ADDRESSES" "$SPOTDEPLOY_OUTPUT_URL" "$SPOTDEPLOY_OUTPUT_LATER"'
    )
    done = subprocess.run(
        ["sh", "-eu"], input=script, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    url = inventory().outputs["url"]
    assert done.stdout.split("\n") == [
        *("192.0.2.1", "shop-3", "192.0.2.1 192.0.2.2", url, "", ""),
    ]
    assert not list(tmp_path.iterdir())


def test_json_is_what_its_schema_says_and_terraform_gets_the_same_as_one_variable() -> None:
    data = json.loads(render(inventory(), Form.JSON))
    schema = json.loads(inventory_schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "groups": {"head": [{"name": 3}]}}, schema)
    assert data["groups"]["head"][0]["address"] == "192.0.2.1"
    assert json.loads(render(inventory(), Form.TERRAFORM)) == {"spotdeploy": data}


def test_nodes_of_one_name_are_called_by_their_ids(tmp_path: Path) -> None:
    twins = (entry("shop-1", 0, id="i-a"), entry("shop-1", 1, id="i-b"))
    text = render(inventory(groups={"nodes": twins}), Form.SSH_CONFIG)
    assert openssh(text, "i-b", tmp_path)["hostname"] == "192.0.2.2"
    hosts = yaml.safe_load(render(inventory(groups={"nodes": twins}), Form.ANSIBLE))
    assert list(hosts["all"]["children"]["nodes"]["hosts"]) == ["i-a", "i-b"]


@pytest.mark.parametrize("form", [Form.SSH_CONFIG, Form.ANSIBLE])
def test_without_keys_there_is_nothing_for_ssh(form: Form) -> None:
    away = inventory(identity_file=None, known_hosts_file=None)
    with pytest.raises(RefusedError, match="keys of shop are not on this computer") as caught:
        render(away, form)
    assert "access export" in (caught.value.hint or "")
    assert json.loads(render(away, Form.JSON))["identity_file"] is None


@pytest.mark.parametrize("folder", ['/a "b"', "/a\\b", "/${HOME}", "/{{ x }}", "/a\nb"])
def test_a_path_that_a_program_would_read_as_something_else_is_refused(folder: str) -> None:
    for form in (Form.SSH_CONFIG, Form.ANSIBLE):
        with pytest.raises(RefusedError, match="no other program's file can name the path"):
            render(inventory(folder), form)


def test_no_form_holds_a_key(tmp_path: Path) -> None:
    for form in Form:
        text = render(inventory(str(tmp_path)), form)
        assert "PRIVATE KEY" not in text
    assert msgspec.json.decode(render(inventory(), Form.JSON), type=Inventory) == inventory()


def test_what_a_cloud_says_of_a_place_is_no_line_of_its_own(tmp_path: Path) -> None:
    place = entry("shop-1", 0, zone="a\nHost *\n    ProxyCommand touch ran\n'$(touch ran)'")
    some = inventory(groups={"nodes": (place,)})
    assert "proxycommand" not in openssh(render(some, Form.SSH_CONFIG), "shop-1", tmp_path)
    done = subprocess.run(["sh", "-eu"], input=render(some, Form.ENV), cwd=tmp_path, text=True)
    assert done.returncode == 0
    assert not (tmp_path / "ran").exists()
