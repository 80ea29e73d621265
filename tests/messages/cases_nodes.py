"""What people get wrong about nodes: those that are there, and those that are not."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from spotdeploy.cycle.runner import allow_files
from tests.messages import worlds
from tests.messages.catalogue import BASE, Case
from tests.messages.worlds import handed, known_nodes, made_keys, nodes, plugin

TUNNEL = """\
from spotdeploy.hookspecs import hookimpl
from spotdeploy.provider import SupportsDial
from spotdeploy.testing import FakeProvider

class Tunnel(FakeProvider, SupportsDial):
    name = "tunnel"

    def dial(self, node, port, timeout):
        raise OSError

    def proxy_command(self, node, port):
        return ["nc", node.name, str(port)]

@hookimpl
def spotdeploy_register_provider():
    return Tunnel
"""
NODE = "demo-m-000002"
EXPORTED = (known_nodes, "access export access.json")
IMPORT = "access import access.json"
FREE = "[provider.fake.prices]\n"

CHOSEN = [
    Case("a group that no node is of", command="run --group web -- true", first=[nodes]),
    Case("a node that there is not", command=f"logs {NODE[:-1]}9", first=[nodes]),
    Case("a node, where there are none", command="logs demo-1"),
    Case("a command for no nodes", command="run -- true"),
    Case("a node of a group that is gone", command=f"debug {NODE}", first=[partial(nodes, "web")]),
    Case("create where nodes are", command="create", first=[nodes]),
    Case("more nodes than this computer can watch", command=lambda: allow_files(1 << 30)),
    Case(
        "nodes that another account has",
        command="destroy",
        first=[worlds.nodes_of_another_account],
    ),
    Case("a run on another computer", command="destroy", first=[worlds.a_claim]),
]

PRICES = [
    Case("a limit, and no prices", FREE, "cycle", top=f"{BASE}max_cost = 1.0\n"),
    Case(
        "a limit below what it will cost",
        command="cycle",
        top=f"{BASE}max_cost = 0.001\n",
        first=[worlds.a_past_cycle],
    ),
]

SSH = [
    Case(
        "ssh without OpenSSH",
        command=f"ssh {NODE}",
        variables={"PATH": "/nowhere"},
        first=[known_nodes],
    ),
    Case("a node of another computer", command=f"debug {NODE}", first=[nodes]),
    Case("verify without keys", command="verify", first=[nodes]),
    Case(
        "a key that is none",
        command=f"debug {NODE}",
        first=[known_nodes, lambda: Path(".spotdeploy/demo/id_ed25519").write_text("none\n")],
    ),
    Case(
        "a key that is a folder",
        command="verify",
        files={".spotdeploy/demo/id_ed25519/": ""},
        first=[nodes],
    ),
    Case("keys where a file is", command="cycle", files={".spotdeploy/demo": ""}),
]

EXPORT = [
    Case("an export of a group that there is not", command="export --group web"),
    Case("an export to a folder", command="export -o instance", first=[nodes]),
    Case("an export without keys", command="export --format ansible", first=[nodes]),
    Case(
        "an export of paths that others would change",
        command="export --format ansible",
        top=f'{BASE}state = "${{x}}"\n',
        first=[nodes, made_keys],
    ),
    Case("an export of a node with a bad name", command="export", first=[worlds.badly_named_nodes]),
    Case(
        "an export where the list of host keys is a folder",
        command="export",
        files={".spotdeploy/demo/known_hosts/": ""},
        first=[known_nodes],
    ),
]

ACCESS = [
    Case("access to no nodes", command="access export access.json", first=[made_keys]),
    Case(
        "access to nodes inside this computer",
        command="access export access.json",
        top=BASE.replace("fake", "tunnel"),
        files=plugin("tunnel", TUNNEL),
        first=[worlds.installed, nodes, made_keys],
    ),
    Case("access into a file that is there", command=EXPORTED[1], first=EXPORTED),
    Case(
        "access into no folder",
        command="access export nowhere/access.json",
        first=[known_nodes],
    ),
    Case("access from no file", command="access import nowhere"),
    Case("access from a folder", command="access import instance"),
    Case(
        "access from a file that others can read",
        command=IMPORT,
        files={"access.json": "{}"},
        modes={"access.json": 0o644},
    ),
    Case(
        "access from something else",
        command=IMPORT,
        files={"access.json": "{}"},
        modes={"access.json": 0o600},
    ),
    Case("access from a huge file", command=IMPORT, first=[worlds.huge_file]),
    Case("access to another deployment", command=f"{IMPORT} --deployment shop", first=EXPORTED),
    Case("access that is known already", command=IMPORT, first=EXPORTED),
    Case("access in another form", command=IMPORT, first=[*EXPORTED, partial(handed, format=9)]),
    Case(
        "access to what has ended", command=IMPORT, first=[*EXPORTED, partial(handed, expires_at=1)]
    ),
    Case(
        "access to nodes of another provider",
        command=IMPORT,
        first=[*EXPORTED, partial(handed, nodes__0__provider="aws")],
    ),
    Case(
        "access to a node that is named twice", command=IMPORT, first=[*EXPORTED, worlds.node_twice]
    ),
    Case(
        "access by a key that is none",
        command=IMPORT,
        first=[*EXPORTED, partial(handed, login__private="none")],
    ),
    Case(
        "access to a node whose host key is none",
        command=IMPORT,
        first=[*EXPORTED, partial(handed, nodes__0__host_key="none")],
    ),
]

CASES = [*CHOSEN, *PRICES, *SSH, *EXPORT, *ACCESS]
