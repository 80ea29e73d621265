"""What is there before anything is made: regions, machine types, images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROOT = "https://www.googleapis.com/compute/v1"
"""How Google writes the URLs of its resources."""
PROJECT = "lab-project"
MADE = "2026-01-01T00:00:00.000-08:00"
ZONES = {
    "us-central1": (
        "us-central1-a",
        "us-central1-ai1a",
        "us-central1-b",
        "us-central1-c",
        "us-central1-f",
    ),
    "europe-west4": ("europe-west4-a", "europe-west4-b", "europe-west4-c"),
}
"""AI zones have names of another form: https://cloud.google.com/compute/docs/regions-zones/ai-zones"""
SIZES: dict[str, tuple[int, int, bool, str]] = {
    "e2-small": (2, 2048, True, "X86_64"),
    "e2-medium": (2, 4096, True, "X86_64"),
    "n2-standard-2": (2, 8192, False, "X86_64"),
    "t2a-standard-1": (1, 4096, False, "ARM64"),
    "c4-standard-2": (2, 7168, False, "X86_64"),
    "n4-standard-2": (2, 8192, False, "X86_64"),
    "g2-standard-4": (4, 16384, False, "X86_64"),
    "h4d-standard-192": (192, 737280, False, "X86_64"),
}
"""Name to CPUs, memory in MiB, whether the CPUs are shared, and architecture."""
ACCELERATORS = {"g2-standard-4": "nvidia-l4"}
FAR = frozenset({"us-central1-ai1a"})
"""AI zones: they sell accelerators alone."""
NOT_SOLD = {("us-central1-c", "t2a-standard-1"), ("europe-west4-c", "n2-standard-2")}
BIG = "big-v1"
"""An image of 40 GB; others have 10."""
IMAGES = {
    "ubuntu-os-cloud": (
        ("ubuntu-2204-jammy-v20260310", "ubuntu-2204-lts", "X86_64", ""),
        ("ubuntu-2404-noble-amd64-v20260101", "ubuntu-2404-lts-amd64", "X86_64", "DEPRECATED"),
        ("ubuntu-2404-noble-amd64-v20260315", "ubuntu-2404-lts-amd64", "X86_64", ""),
        ("ubuntu-2404-noble-arm64-v20260315", "ubuntu-2404-lts-arm64", "ARM64", ""),
        ("ubuntu-2510-questing-amd64-v20260320", "ubuntu-2510-amd64", "X86_64", ""),
        ("ubuntu-minimal-2604-amd64-v20260420", "ubuntu-minimal-2604-lts-amd64", "X86_64", ""),
    ),
    PROJECT: (
        ("mine-v1", "mine", "X86_64", ""),
        ("mine-v2", "mine", "X86_64", ""),
        (BIG, "big", "X86_64", ""),
    ),
}
"""Project to name, family, architecture and deprecation."""


def regions(project: str) -> dict[str, dict[str, Any]]:
    """Name to region."""
    return {name: _region(project, number, name) for number, name in enumerate(ZONES, 1)}


def machine_types(project: str) -> list[dict[str, Any]]:
    """All of all zones."""
    return [
        _machine_type(project, zone, number, size)
        for zones in ZONES.values()
        for zone in zones
        for number, size in enumerate(SIZES, 1)
        if (zone, size) not in NOT_SOLD and (zone not in FAR or size in ACCELERATORS)
    ]


def images(project: str) -> dict[str, dict[str, Any]]:
    """Name to image."""
    return {
        entry[0]: _image(project, number, *entry)
        for number, entry in enumerate(IMAGES.get(project, ()), 1)
    }


def project_resource(project: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The project itself."""
    items = [{"key": key, "value": value} for key, value in metadata.items()]
    return {
        "kind": "compute#project",
        "id": "4242424242",
        "name": project,
        "creationTimestamp": MADE,
        "commonInstanceMetadata": {
            "kind": "compute#metadata",
            "fingerprint": "AAAA",
            "items": items,
        },
        "quotas": [{"metric": "FIREWALLS", "limit": 100.0, "usage": 4.0}],
        "selfLink": f"{ROOT}/projects/{project}",
    }


def _region(project: str, number: int, name: str) -> dict[str, Any]:
    return {
        "kind": "compute#region",
        "id": str(1000 + number),
        "name": name,
        "creationTimestamp": MADE,
        "description": name,
        "status": "UP",
        "zones": [f"{ROOT}/projects/{project}/zones/{zone}" for zone in ZONES[name]],
        "quotas": [
            {"metric": "CPUS", "limit": 72.0, "usage": 0.0},
            {"metric": "IN_USE_ADDRESSES", "limit": 8.0, "usage": 0.0},
            {"metric": "INSTANCES", "limit": 720.0, "usage": 0.0},
        ],
        "selfLink": f"{ROOT}/projects/{project}/regions/{name}",
    }


def _machine_type(project: str, zone: str, number: int, size: str) -> dict[str, Any]:
    cpus, memory, shared, architecture = SIZES[size]
    accelerators = [
        {"guestAcceleratorType": one, "guestAcceleratorCount": 1}
        for one in (ACCELERATORS.get(size),)
        if one
    ]
    return {
        "kind": "compute#machineType",
        "id": str(2000 + number),
        "name": size,
        "creationTimestamp": MADE,
        "description": size,
        "guestCpus": cpus,
        "memoryMb": memory,
        "isSharedCpu": shared,
        "architecture": architecture,
        **({"accelerators": accelerators} if accelerators else {}),
        "zone": zone,
        "selfLink": f"{ROOT}/projects/{project}/zones/{zone}/machineTypes/{size}",
    }


def _image(
    project: str, number: int, name: str, family: str, architecture: str, deprecated: str
) -> dict[str, Any]:
    image: dict[str, Any] = {
        "kind": "compute#image",
        "id": str(3000 + number),
        "name": name,
        "family": family,
        "architecture": architecture,
        "creationTimestamp": f"2026-03-{number:02d}T00:00:00.000-08:00",
        "status": "READY",
        "diskSizeGb": "40" if name == BIG else "10",
        "selfLink": f"{ROOT}/projects/{project}/global/images/{name}",
    }
    if deprecated:
        image["deprecated"] = {"state": deprecated}
    return image
