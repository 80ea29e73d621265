"""Create and destroy 3, 30 and 300 EC2 nodes over three regions, beside other tools.

All talk to the same moto, behind the lab's proxy, which counts their calls; each round gives every
tool its turn, as a process of its own, on an empty cloud. `boto3` is the floor: the least calls
that create nodes, see them run, end them and see them gone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import tomli_w
from rows import Row, show, spread, users_environment

from tests.labs.aws import AwsLab
from tests.labs.aws.amis import NEWEST_LTS
from tests.labs.aws.moto_server import MotoServer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS, VENVS = HERE / "peers", ROOT / ".bench"
REGIONS = ("us-west-2", "us-east-1", "eu-west-1")
SIZES = (3, 30, 300)
LIMITED, WITHIN = 300, 1.15
SIZE = "t3.small"
ENOUGH_ROUNDS = {"amauo": {300: 1}, "ansible": {300: 2}}
"""A tool that is far behind is not asked as often at a size that takes it long."""
LINES = {
    "boto3": [sys.executable, PEERS / "floor_boto3.py"],
    "spotdeploy": [sys.executable, HERE / "aws_core.py"],
    "ansible": [VENVS / "ansible/bin/ansible-playbook"],
    "amauo": [VENVS / "amauo/bin/python", PEERS / "amauo_nodes.py"],
}


@dataclass
class Taken:
    """What one tool took for one size, round by round."""

    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)


def arguments(tool: str, count: int, folder: Path, lab: AwsLab) -> list[str]:
    """What the tool is given; its project is laid down in an empty folder."""
    share = count // len(REGIONS)
    if tool == "boto3":
        return ["bench", str(count), *REGIONS]
    if tool == "spotdeploy":
        shutil.copytree(ROOT / "instance", folder / "instance")
        config = {
            "deployment": "bench",
            "nodes": {"count": count, "allow_from": ["192.0.2.1/32"]},
            "provider": {"aws": {"regions": REGIONS, "sizes": [SIZE], **lab.table}},
        }
        (folder / "spotdeploy.toml").write_text(tomli_w.dumps(config))
        return []
    if tool == "ansible":
        (folder / "regions").write_text("\n".join(REGIONS) + "\n")
        given = {"run": "bench", "share": share, "image": NEWEST_LTS["x86_64"]}
        return ["-i", "regions", "-e", json.dumps(given), str(PEERS / "ec2.yml")]
    image = {"machine_type": SIZE, "image": NEWEST_LTS["x86_64"]}
    key = str(folder / "key")
    config = {
        "aws": {
            "total_instances": count,
            "username": "ubuntu",
            "public_ssh_key_path": key,
            "private_ssh_key_path": key,
        },
        "regions": [{region: image} for region in REGIONS],
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "key").write_text("ssh-ed25519 AAAA bench\n")
    shutil.copytree(ROOT / "instance/scripts", folder / "deployment")
    (folder / "deployment/setup.sh").write_text("true\n")
    return []


def turn(tool: str, count: int, moto: MotoServer, home: Path) -> tuple[float, int]:
    """Seconds and calls of one tool. Raises unless it made that many, and all are gone."""
    with (
        tempfile.TemporaryDirectory() as name,
        AwsLab(Path(name), moto) as lab,
        (Path(name) / "said").open("w") as said,
    ):
        folder = Path(name) / "project"
        folder.mkdir()
        line = [*map(str, LINES[tool]), *arguments(tool, count, folder, lab)]
        environment = users_environment() | lab.environment | _environment(home)
        began = time.monotonic()
        done = subprocess.run(
            line, cwd=folder, env=environment, stdout=said, stderr=said, check=False
        )
        seconds = time.monotonic() - began
        left = [id_ for region in REGIONS for id_ in lab.instances(region)]
        if done.returncode or left or len(lab.cloud.known) != count:
            words = f"{tool}: exit {done.returncode}, {len(lab.cloud.known)} made, {len(left)} left"
            raise RuntimeError(f"{words}\n{(Path(name) / 'said').read_text()[-3000:]}")
        return seconds, len(lab.calls)


def _environment(home: Path) -> dict[str, str]:
    """What a tool keeps at home it finds there the next time, as its user does."""
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "TERM": "dumb",
        "AWS_DEFAULT_REGION": REGIONS[0],
        "ANSIBLE_LOCAL_TEMP": str(home),
        "ANSIBLE_FORKS": str(len(REGIONS)),
        "ANSIBLE_NOCOLOR": "1",
    }


def measure(rounds: int, sizes: Sequence[int]) -> dict[int, dict[str, Taken]]:
    """Every tool's turns for every size."""
    taken = {count: {tool: Taken() for tool in LINES} for count in sizes}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        moto = MotoServer(Path(name))
        moto.start()
        try:
            for tool in ("boto3", "spotdeploy"):  # moto's own first time, and what is kept at home
                turn(tool, len(REGIONS), moto, home)
            for number in range(rounds):
                for count, tools in taken.items():
                    for tool, found in tools.items():
                        if number < ENOUGH_ROUNDS.get(tool, {}).get(count, rounds):
                            seconds, calls = turn(tool, count, moto, home)
                            found.seconds.append(seconds)
                            found.calls.append(calls)
                            print(
                                f"  {count:3} nodes  {tool:10} {seconds:6.2f} s {calls:5} calls",
                                flush=True,
                            )
        finally:
            moto.stop()
    return taken


def size_rows(count: int, tools: dict[str, Taken]) -> list[Row]:
    """The table of one size."""
    rows = []
    for tool, taken in tools.items():
        rows.append(
            Row(
                f"{count} nodes, {tool}",
                median(taken.seconds),
                "s",
                "",
                None,
                spread(taken.seconds),
            )
        )
        rows.append(
            Row(f"{count} nodes, {tool}: API calls", median(taken.calls), "calls", "", None)
        )
    floor, ours = (median(tools[tool].seconds) for tool in ("boto3", "spotdeploy"))
    others = {tool: median(tools[tool].seconds) for tool in tools.keys() - {"boto3", "spotdeploy"}}
    fastest = min(others, key=lambda tool: others[tool])
    lead, over = others[fastest] / ours, ours / floor
    limit = (f"at most {WITHIN}", over <= WITHIN) if count == LIMITED else ("", None)
    return [
        *rows,
        Row(f"{count} nodes, spotdeploy / boto3", over, "times", *limit),
        Row(f"{count} nodes, {fastest} / spotdeploy", lead, "times", "over 1", lead > 1),
    ]


def rows(rounds: int = 1, sizes: Sequence[int] = SIZES) -> list[Row]:
    """Everything measured here."""
    taken = measure(rounds, sizes)
    return [row for count, tools in taken.items() for row in size_rows(count, tools)]


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:2]), sizes=tuple(map(int, sys.argv[2:])) or SIZES))
