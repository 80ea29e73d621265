"""The three clouds' labs as testbeds, each in its own words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from tests.faults.lab_testbed import SETTLE, LabTestbed
from tests.labs.aws import AwsLab
from tests.labs.aws.call import AwsError
from tests.labs.azure import AzureLab
from tests.labs.azure.call import ArmError
from tests.labs.azure.handlers import GROUP
from tests.labs.azure.state import Group
from tests.labs.clouds import AWS, AZURE, GCP
from tests.labs.gcp import GcpLab
from tests.labs.gcp.call import GoogleError


class AwsTestbed(LabTestbed):
    """moto behind a proxy that makes it behave like EC2."""

    cloud = AWS
    end = "TerminateInstances"
    throttled = AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
    broken = AwsError("InternalError", "An internal error has occurred", 500)
    expired = AwsError("ExpiredToken", "The provided token has expired.", 400)
    constants: ClassVar[dict[str, float]] = {"spotdeploy_aws.nodes:VISIBLE_SECONDS": SETTLE}
    lab: AwsLab

    def protect(self, id_: str) -> None:
        self.lab.faults.protect(id_)

    def vanish(self, id_: str) -> None:
        self.lab.forget(id_)

    def lag(self, seconds: float) -> None:
        super().lag(seconds)
        self.lab.timing.group_delay = seconds

    def add_bystander(self) -> None:
        question = {
            "Action": "RunInstances",
            "ImageId": "ami-12345678",
            "MinCount": "1",
            "MaxCount": "1",
            "InstanceType": "t3.small",
        }
        self.lab.ask(AWS.location, question)
        self.bystanders |= set(self.lab.instances(AWS.location)) - set(self.machines())


class GcpTestbed(LabTestbed):
    """A Compute Engine that is held to Google's discovery document."""

    cloud = GCP
    end = "compute.instances.delete"
    throttled = GoogleError(403, "rateLimitExceeded", "Rate Limit Exceeded")
    broken = GoogleError(503, "backendError", "Backend Error")
    expired = GoogleError(401, "authError", "Invalid Credentials")
    constants: ClassVar[dict[str, float]] = {"spotdeploy_gcp.api:POLL_SECONDS": 0.1}
    lab: GcpLab

    def protect(self, id_: str) -> None:
        self.lab.faults.protected.add(id_)

    def vanish(self, id_: str) -> None:
        self.lab.delete(id_)

    def restore(self) -> None:
        self.lab.restore()

    def add_bystander(self) -> None:
        def copy(id_: str) -> None:
            one = self.lab.instance(id_)
            properties = {**one.properties, "labels": {"team": "others"}}
            other = replace(one, name="bystander", number=9, properties=properties)
            self.lab.cloud.instances[one.zone, other.name] = other
            self.bystanders.add(other.name)

        self.first_machine(copy)


class AzureTestbed(LabTestbed):
    """A Resource Manager that is held to the models Microsoft publishes."""

    cloud = AZURE
    end = f"DELETE {GROUP}"
    throttled = ArmError(429, "TooManyRequests", "Slow down.", headers={"Retry-After": "1"})
    broken = ArmError(500, "InternalServerError", "Encountered an internal server error.")
    expired = ArmError(401, "ExpiredAuthenticationToken", "The access token is expired.")
    constants: ClassVar[dict[str, float]] = {"spotdeploy_azure.create:POLL_SECONDS": 0.2}
    lab: AzureLab

    def __init__(self, folder: Path, lab: AzureLab) -> None:
        super().__init__(folder, lab)
        timing = lab.timing
        timing.deploying, timing.allocating, timing.booting = 0.1, 0.1, 0.1
        timing.going, timing.group_going = 0.2, 0.4

    def protect(self, id_: str) -> None:
        self.lab.faults.locked.add(id_)

    def vanish(self, id_: str) -> None:
        self.lab.delete(id_)

    def restore(self) -> None:
        self.lab.restore()

    def add_bystander(self) -> None:
        group = Group("bystander", "eastus", {"team": "others"}, self.lab.cloud.now)
        self.lab.cloud.groups["bystander"] = group
        self.bystanders.add("bystander")


def open_aws(folder: Path, request: pytest.FixtureRequest) -> AwsTestbed:
    """An empty AWS."""
    network, moto = request.getfixturevalue("nowhere"), request.getfixturevalue("moto")
    return AwsTestbed(folder, AwsLab(folder, moto, network))


def open_gcp(folder: Path, request: pytest.FixtureRequest) -> GcpTestbed:
    """An empty project."""
    network = request.getfixturevalue("nowhere")
    return GcpTestbed(folder, GcpLab(folder, network))


def open_azure(folder: Path, request: pytest.FixtureRequest) -> AzureTestbed:
    """An empty subscription."""
    network = request.getfixturevalue("nowhere")
    return AzureTestbed(folder, AzureLab(network=network))
