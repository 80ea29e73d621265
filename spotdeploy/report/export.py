"""An inventory in the forms of other programs: OpenSSH, Ansible, shells, Terraform."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from spotdeploy.errors import RefusedError
from spotdeploy.run.inventory import Inventory, InventoryNode
from spotdeploy.text import plain

ADVICE: Final = (
    "These are for looking. A node that somebody logged in to by ssh is touched: it can no longer",
    "pass 'spotdeploy verify'. What should be otherwise belongs in the payload, and fresh nodes.",
)
FACTS: Final = (
    *("name", "id", "provider", "location", "zone", "size", "market"),
    *("address", "private_address"),
)
_RESERVED: Final = ("all", "ungrouped")
"""Groups of Ansible's own."""
_PATH: Final = re.compile(r"[^\"\\\x00-\x1f\x7f]+")
_EXPANDED: Final = ("${", "{{", "{%", "{#")
"""What OpenSSH or Ansible would put something else in the place of."""


class Form(StrEnum):
    """The values of `--format`."""

    SSH_CONFIG = "ssh-config"
    ANSIBLE = "ansible"
    JSON = "json"
    ENV = "env"
    TERRAFORM = "terraform"


def render(inventory: Inventory, form: Form) -> str:
    """The text of a file in one of the forms.

    Raises RefusedError where ssh is needed and its keys are not on this computer, or lie where the
    other program cannot find them.
    """
    forms: dict[Form, Callable[[Inventory], str]] = {
        Form.SSH_CONFIG: ssh_config,
        Form.ANSIBLE: ansible,
        Form.JSON: as_json,
        Form.ENV: env,
        Form.TERRAFORM: terraform,
    }
    return forms[form](inventory)


def ssh_config(inventory: Inventory) -> str:
    """For `ssh -F FILE NODE`: https://man.openbsd.org/ssh_config."""
    identity, known_hosts = _files(inventory)
    lines = [f"# Nodes of {inventory.deployment}.", *(f"# {line}" for line in ADVICE)]
    handles = _handles(inventory)
    for group, nodes in inventory.groups.items():
        for node in nodes:
            place = plain(node.zone or node.location, limit=100).replace("\n", " ")
            lines += ["", f"# {group}[{node.index}], {node.provider} {place}"]
            lines.append(f"Host {handles[node.id]}")
            options = {
                **dict(_options(node)),
                "IdentityFile": _quoted(identity),
                "UserKnownHostsFile": _quoted(known_hosts),
                **_STRICT,
            }
            lines += [f"    {name} {value}" for name, value in options.items()]
    return "\n".join(lines) + "\n"


def ansible(inventory: Inventory) -> str:
    """An inventory in YAML:
    https://docs.ansible.com/ansible/latest/collections/ansible/builtin/yaml_inventory.html."""
    identity, known_hosts = _files(inventory)
    handles = _handles(inventory)
    lines = [f"# Nodes of {inventory.deployment}.", *(f"# {line}" for line in ADVICE), "all:"]
    lines.append("  children:")
    for group, nodes in inventory.groups.items():
        lines += [f"    {_ansible_group(group)}:", "      hosts:"]
        for node in nodes:
            lines.append(f"        {_yaml(handles[node.id])}:")
            options = {
                "UserKnownHostsFile": _quoted(known_hosts),
                **_STRICT,
                **{name: value for name, value in _options(node) if name in _BESIDE},
            }
            arguments = shlex.join(
                word for name, value in options.items() for word in ("-o", f"{name}={value}")
            )
            values: dict[str, str | int | None] = {
                "ansible_host": node.address or node.name,
                "ansible_port": node.port,
                "ansible_user": node.user,
                "ansible_ssh_private_key_file": identity,
                "ansible_ssh_common_args": arguments,
                "spotdeploy_group": group,
                "spotdeploy_index": node.index,
                "spotdeploy_private_address": node.private_address,
            }
            lines += [f"          {key}: {_yaml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def as_json(inventory: Inventory) -> str:
    """As `spotdeploy schema --export` says."""
    return msgspec.json.format(msgspec.json.encode(inventory)).decode() + "\n"


def env(inventory: Inventory) -> str:
    """Variables for `eval` or `.` in a POSIX shell."""
    lines = [f"# Nodes of {inventory.deployment}, for eval or '.'"]
    for group, nodes in inventory.groups.items():
        prefix = f"SPOTDEPLOY_{group.upper().replace('-', '_')}"
        for node in nodes:
            lines += [
                _export(f"{prefix}_{node.index}_{fact.upper()}", getattr(node, fact))
                for fact in FACTS
            ]
        lines.append(_export(f"{prefix}_ADDRESSES", " ".join(n.address or "" for n in nodes)))
    lines += [
        _export(f"SPOTDEPLOY_OUTPUT_{name.upper()}", value)
        for name, value in inventory.outputs.items()
    ]
    return "\n".join(lines) + "\n"


def terraform(inventory: Inventory) -> str:
    """One variable, `spotdeploy`, as a file `NAME.auto.tfvars.json`:
    https://developer.hashicorp.com/terraform/language/values/variables#variable-definitions-tfvars-files.
    """
    return msgspec.json.format(msgspec.json.encode({"spotdeploy": inventory})).decode() + "\n"


_STRICT: Final = {
    "IdentitiesOnly": "yes",
    "GlobalKnownHostsFile": "/dev/null",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
}
_BESIDE: Final = ("HostKeyAlias", "ProxyCommand")


def _options(node: InventoryNode) -> Iterator[tuple[str, str]]:
    yield "HostName", node.address or node.name
    yield "Port", str(node.port)
    yield "User", node.user
    yield "HostKeyAlias", node.id
    if node.proxy_command:
        yield "ProxyCommand", shlex.join(node.proxy_command).replace("%", "%%")


def _files(inventory: Inventory) -> tuple[str, str]:
    """The paths of the private key and of the host keys."""
    identity, known_hosts = inventory.identity_file, inventory.known_hosts_file
    if not identity or not known_hosts:
        raise RefusedError(
            f"the ssh keys of {inventory.deployment} are not on this computer: its nodes were "
            "created elsewhere",
            hint="run it there, or 'spotdeploy access export' there and 'access import' here",
        )
    for path in (identity, known_hosts):
        if not _PATH.fullmatch(path) or any(mark in path for mark in _EXPANDED):
            raise RefusedError(
                f"no other program's file can name the path {path!r}",
                hint='say state = "FOLDER" in the config, without quotes and braces in it',
            )
    return identity, known_hosts


def _handles(inventory: Inventory) -> dict[str, str]:
    """The id of each node to the name by which other programs call it: its id where two nodes have
    one name."""
    names = Counter(node.name for node in inventory.nodes)
    return {n.id: n.name if names[n.name] == 1 else n.id for n in inventory.nodes}


def _quoted(path: str) -> str:
    """A path for ssh_config, of whose tokens none is meant."""
    return '"' + path.replace("%", "%%") + '"'


def _ansible_group(group: str) -> str:
    """Names of Ansible's groups are those of variables, which have no `-`."""
    name = group.replace("-", "_")
    return f"{name}_nodes" if name in _RESERVED else name


def _yaml(value: str | int | None) -> str:
    """A value of YAML, whose plain and double-quoted ones are those of JSON."""
    return json.dumps(value)


def _export(name: str, value: str | None) -> str:
    return f"export {name}={shlex.quote(value or '')}"
