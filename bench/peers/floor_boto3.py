"""The least that boto3 can create and destroy nodes in: a thread for each region.

python floor_boto3.py RUN COUNT REGION...

In each region: a security group, one RunInstances, a listing until all of them run, one
TerminateInstances, a listing until none is left, and the group deleted.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3

SIZE = "t3.small"
IMAGE = "ami-0000000000002604a"
USER_DATA = "#cloud-boothook\n#!/bin/sh\ntrue\n"
ALIVE = ["pending", "running", "stopping", "shutting-down"]


def region(ec2, run, count):
    """Everything in one region."""
    tags = [{"Key": "run", "Value": run}]
    group = ec2.create_security_group(GroupName=run, Description=run)["GroupId"]
    port = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    port["IpRanges"] = [{"CidrIp": "192.0.2.1/32"}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[port])
    made = ec2.run_instances(
        MinCount=count,
        MaxCount=count,
        ClientToken=run,
        InstanceType=SIZE,
        ImageId=IMAGE,
        UserData=USER_DATA,
        SecurityGroupIds=[group],
        MetadataOptions={"HttpTokens": "required"},
        InstanceInitiatedShutdownBehavior="terminate",
        BlockDeviceMappings=[
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {"VolumeType": "gp3", "VolumeSize": 16, "DeleteOnTermination": True},
            }
        ],
        InstanceMarketOptions={"MarketType": "spot"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"]
    while states(ec2, run) != ["running"] * count:
        time.sleep(1)
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"] for instance in made])
    while states(ec2, run):
        time.sleep(1)
    ec2.delete_security_group(GroupId=group)


def states(ec2, run):
    """Of every instance of the run that is not gone."""
    mine = [
        {"Name": "tag:run", "Values": [run]},
        {"Name": "instance-state-name", "Values": ALIVE},
    ]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=mine, MaxResults=1000)
    return list(pages.search("Reservations[].Instances[].State.Name"))


def main(run, count, *regions):
    """All regions at once, each its share."""
    session = boto3.Session()
    clients = [session.client("ec2", region_name=name) for name in regions]
    share = int(count) // len(regions)
    with ThreadPoolExecutor(len(regions)) as pool:
        list(pool.map(lambda ec2: region(ec2, run, share), clients))


if __name__ == "__main__":
    main(*sys.argv[1:])
