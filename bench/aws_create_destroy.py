"""Create and destroy 100 EC2 nodes: our provider against the least that boto3 can do it in.

Both talk to the same moto behind the same proxy, in turns, after one unmeasured round each:

    python -m bench.aws_create_destroy [NODES] [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3

from spotdeploy import labels
from spotdeploy.model import Batch, Market, Offer
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab

REGION, ZONE, SIZE = "us-west-2", "us-west-2a", "t3.small"
USER_DATA = b"#cloud-boothook\n#!/bin/sh\ntrue\n"
LIMIT = 1.3


def with_boto3(count: int, run: str) -> None:
    """The minimum: group, launch, list, terminate, list, delete the group."""
    ec2 = boto3.Session().client("ec2", region_name=REGION)
    (subnet,) = ec2.describe_subnets(
        Filters=[{"Name": "availability-zone", "Values": [ZONE]}]
    )["Subnets"]  # fmt: skip
    (image, *_) = ec2.describe_images(
        Owners=["099720109477"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}]
    )["Images"]
    tags = [{"Key": key, "Value": value} for key, value in _labels(run).items()]
    kinds = ("instance", "volume", "network-interface", "spot-instances-request")
    group = ec2.create_security_group(
        GroupName=run, Description=run, VpcId=subnet["VpcId"],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]  # fmt: skip
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
                                       "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}],
    )  # fmt: skip
    made = ec2.run_instances(
        MinCount=1, MaxCount=count, ClientToken=run, ImageId=image["ImageId"], InstanceType=SIZE,
        UserData=USER_DATA.decode(), InstanceInitiatedShutdownBehavior="terminate",
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp3",
                              "VolumeSize": 16, "DeleteOnTermination": True}}],
        NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group],
                            "AssociatePublicIpAddress": True, "DeleteOnTermination": True}],
        InstanceMarketOptions={"MarketType": "spot"},
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in kinds],
    )["Instances"]  # fmt: skip
    assert len(made) == count
    mine = [
        {"Name": f"tag:{labels.RUN}", "Values": [run]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "shutting-down"]},
    ]
    pages = ec2.get_paginator("describe_instances")
    listed = list(
        pages.paginate(Filters=mine, MaxResults=1000).search("Reservations[].Instances[]")
    )
    assert len(listed) == count
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"] for instance in made])
    assert not list(pages.paginate(Filters=mine, MaxResults=1000).search("Reservations[]"))
    ec2.delete_security_group(GroupId=group)


def with_spotdeploy(count: int, run: str) -> None:
    """The same through the provider, leftovers of four kinds looked for."""
    provider = AwsProvider(AwsConfig(sizes=(SIZE,)), REGION)
    batch = Batch(
        token=run, count=count, labels=_labels(run), user_data=USER_DATA, user="bench",
        allow_from=("192.0.2.1/32",),
    )  # fmt: skip
    made = provider.create(Offer("aws", REGION, ZONE, SIZE, Market.SPOT), batch).nodes
    assert len(made) == count
    mine = {labels.RUN: run}
    assert len(provider.nodes(mine)) == count
    provider.destroy(made)
    assert not provider.nodes(mine)
    provider.release(provider.leftovers(mine))


def main(count: int, rounds: int) -> int:
    """Measure and print. Gives 1 when we are slower than the limit."""
    contenders: dict[str, Callable[[int, str], None]] = {
        "boto3": with_boto3, "spotdeploy": with_spotdeploy,
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_CACHE_HOME": folder}
        for number in range(rounds + 1):
            for name, work in contenders.items():
                with AwsLab(Path(folder)) as lab:
                    os.environ |= lab.environment
                    started = time.perf_counter()
                    work(count, f"{name}-{number}")
                    took = time.perf_counter() - started
                    calls = len(lab.calls)
                if number:
                    seconds[name].append(took)
                print(f"round {number}  {name:<11} {took:6.2f} s  {calls} calls", flush=True)
    medians = {name: statistics.median(all_) for name, all_ in seconds.items()}
    ratio = medians["spotdeploy"] / medians["boto3"]
    print(f"\n{count} nodes, {rounds} rounds, medians:")
    for name, median in medians.items():
        print(f"  {name:<11} {median:6.2f} s")
    print(f"  ratio       {ratio:6.2f}   (at most {LIMIT})")
    return ratio > LIMIT


def _labels(run: str) -> dict[str, str]:
    return labels.for_batch("bench", run, run, "0" * 64, time.time() + 3600)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(numbers + [100, 7][len(numbers) :])))
