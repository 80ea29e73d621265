"""The images that moto offers in this lab, named as Canonical names them."""

from __future__ import annotations

import json
from pathlib import Path

CANONICAL = "099720109477"
ELSEWHERE = {"us-gov-west-1": "513442679011", "cn-north-1": "837727238323"}
"""Canonical's accounts in other partitions."""
LTS_ELSEWHERE = {"us-gov-west-1": "ami-0000000000002604c", "cn-north-1": "ami-0000000000002604d"}
STRANGER = "210987654321"
NEWEST_LTS = {"x86_64": "ami-0000000000002604a", "arm64": "ami-0000000000002604b"}
OWN_IMAGE = "ami-00000000000000e0e"


def write_amis(path: Path) -> None:
    """Write them in the form that MOTO_AMIS_PATH takes."""
    path.write_text(json.dumps(_amis()), encoding="utf-8")


def _amis() -> list[dict[str, object]]:
    return [
        _ubuntu("ami-0000000000002204a", "hvm-ssd", "jammy-22.04", "x86_64", "20261101"),
        _ubuntu("ami-0000000000002404a", "hvm-ssd-gp3", "noble-24.04", "x86_64", "20261110"),
        _ubuntu("ami-0000000000002604f", "hvm-ssd-gp3", "resolute-26.04", "x86_64", "20260901"),
        _ubuntu(NEWEST_LTS["x86_64"], "hvm-ssd-gp3", "resolute-26.04", "x86_64", "20261105"),
        _ubuntu(NEWEST_LTS["arm64"], "hvm-ssd-gp3", "resolute-26.04", "arm64", "20261105"),
        *(
            _ubuntu(id_, "hvm-ssd-gp3", "resolute-26.04", "x86_64", "20261104", ELSEWHERE[region])
            for region, id_ in LTS_ELSEWHERE.items()
        ),
        _ubuntu("ami-0000000000002704a", "hvm-ssd-gp3", "interim-27.04", "x86_64", "20261120"),
        _ubuntu(
            "ami-000000000000badbad",
            "hvm-ssd-gp3",
            "resolute-26.04",
            "x86_64",
            "20261123",
            STRANGER,
        ),
        _ami(OWN_IMAGE, "golden-1", "x86_64", "20261001", "123456789012", "/dev/xvda"),
        _ami(
            "ami-00000000000000e0d", "golden-0", "x86_64", "20260901", "123456789012", "/dev/xvda"
        ),
    ]


def _ubuntu(
    id_: str, disk: str, release: str, architecture: str, day: str, owner: str = CANONICAL
) -> dict[str, object]:
    cpu = "arm64" if architecture == "arm64" else "amd64"
    name = f"ubuntu/images/{disk}/ubuntu-{release}-{cpu}-server-{day}"
    return _ami(id_, name, architecture, day, owner, "/dev/sda1")


def _ami(
    id_: str, name: str, architecture: str, day: str, owner: str, root: str
) -> dict[str, object]:
    return {
        "ami_id": id_,
        "name": name,
        "owner_id": owner,
        "architecture": architecture,
        "creation_date": f"{day[:4]}-{day[4:6]}-{day[6:]}T00:00:00.000Z",
        "public": True,
        "state": "available",
        "image_type": "machine",
        "image_location": f"{owner}/{name}",
        "description": name,
        "platform": None,
        "root_device_type": "ebs",
        "root_device_name": root,
        "sriov": "simple",
        "virtualization_type": "hvm",
        "hypervisor": "xen",
    }
