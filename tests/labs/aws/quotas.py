"""The quotas of EC2 that count vCPUs, and the Service Quotas API that tells them.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#on-demand-instance-limits:
each counts the vCPUs of some families together, one for spot and one for on-demand. The codes are
what `aws service-quotas list-service-quotas --service-code ec2` prints. What an account has beyond
AWS's defaults nobody can know; this one has plenty, until a test sets `applied`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.labs.aws.call import ACCOUNT, AwsError, Call, Reply, document

PLENTY: Final = 10_000.0


@dataclass(frozen=True)
class Quota:
    """One quota."""

    code: str
    name: str
    market: str
    families: tuple[str, ...]
    """The letters that its families' names begin with; with a digit where only a generation is."""
    default: float
    """AWS's, in vCPUs."""


STANDARD: Final = ("a", "c", "d", "h", "i", "im", "is", "m", "mac", "r", "t", "z")
QUOTAS: Final = (
    Quota(
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        "spot",
        STANDARD,
        5.0,
    ),
    Quota("L-3819A6DF", "All G and VT Spot Instance Requests", "spot", ("g", "gr", "vt"), 0.0),
    Quota(
        "L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", "spot", ("p2", "p3", "p4"), 0.0
    ),
    Quota("L-C4BD4855", "All P5 Spot Instance Requests", "spot", ("p",), 0.0),
    Quota("L-88CF9481", "All F Spot Instance Requests", "spot", ("f",), 0.0),
    Quota("L-B5D1601B", "All Inf Spot Instance Requests", "spot", ("inf",), 0.0),
    Quota("L-85EED4F7", "All DL Spot Instance Requests", "spot", ("dl",), 0.0),
    Quota("L-6B0D517C", "All Trn Spot Instance Requests", "spot", ("trn",), 0.0),
    Quota("L-E3A00192", "All X Spot Instance Requests", "spot", ("x",), 0.0),
    Quota(
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        "on-demand",
        STANDARD,
        5.0,
    ),
    Quota(
        "L-DB2E81BA", "Running On-Demand G and VT instances", "on-demand", ("g", "gr", "vt"), 0.0
    ),
    Quota("L-417A185B", "Running On-Demand P instances", "on-demand", ("p",), 0.0),
    Quota("L-74FC7D96", "Running On-Demand F instances", "on-demand", ("f",), 0.0),
    Quota("L-1945791B", "Running On-Demand Inf instances", "on-demand", ("inf",), 0.0),
    Quota("L-7295265B", "Running On-Demand X instances", "on-demand", ("x",), 0.0),
    Quota("L-6E869C2A", "Running On-Demand DL instances", "on-demand", ("dl",), 0.0),
    Quota("L-F7808C92", "Running On-Demand HPC instances", "on-demand", ("hpc",), 0.0),
    Quota("L-2C3B7624", "Running On-Demand Trn instances", "on-demand", ("trn",), 0.0),
    Quota("L-43DA4232", "Running On-Demand High Memory instances", "on-demand", ("u",), 0.0),
)
"""All that the two pages above list, with the codes that they link."""


def quota_of(size: str, market: str) -> Quota | None:
    """The quota that counts a size; None for a family whose quota the lab does not have."""
    match = re.match(r"([a-z]+)(\d*)", size)
    names = (match[0], match[1]) if match else ()
    mine = [quota for quota in QUOTAS if quota.market == market]
    return next((one for name in names for one in mine if name in one.families), None)


@dataclass
class Quotas:
    """What one account may run."""

    applied: dict[str, float] = field(default_factory=dict)
    """Code to vCPUs, in every region; PLENTY for what is not here."""
    untold: set[str] = field(default_factory=set)
    """Codes of which only the default is told: "If the applied quota value is not available for a
    quota, the quota is not retrieved", says API_GetServiceQuota."""

    def limit(self, size: str, market: str) -> float:
        """How many vCPUs of the size's families may run."""
        quota = quota_of(size, market)
        return self.applied.get(quota.code, PLENTY) if quota else PLENTY

    def get(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html"""
        quota = self._asked(call)
        if quota.code in self.untold:
            raise _unknown()
        return document({"Quota": self._told(quota, call.region)})

    def get_default(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetAWSDefaultServiceQuota.html"""
        quota = self._asked(call)
        return document({"Quota": _described(quota, call.region, quota.default)})

    def list(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html"""
        asked = call.document
        if asked["ServiceCode"] != "ec2":
            raise _unknown()
        told = [
            self._told(quota, call.region)
            for quota in QUOTAS
            if quota.code not in self.untold and asked.get("QuotaCode") in (None, quota.code)
        ]
        start, size = int(asked.get("NextToken", 0)), int(asked.get("MaxResults", 100))
        page: dict[str, Any] = {"Quotas": told[start : start + size]}
        if start + size < len(told):
            page["NextToken"] = str(start + size)
        return document(page)

    def _asked(self, call: Call) -> Quota:
        asked: Mapping[str, Any] = call.document
        for quota in QUOTAS:
            if asked["ServiceCode"] == "ec2" and asked["QuotaCode"] == quota.code:
                return quota
        raise _unknown()

    def _told(self, quota: Quota, region: str) -> dict[str, Any]:
        return _described(quota, region, self.applied.get(quota.code, PLENTY))


def _described(quota: Quota, region: str, value: float) -> dict[str, Any]:
    dimensions = {
        "Class": f"{quota.families[0].upper()}/{quota.market.title()}",
        "Resource": "vCPU",
        "Service": "EC2",
        "Type": "Resource",
    }
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:ec2/{quota.code}",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
        "UsageMetric": {
            "MetricNamespace": "AWS/Usage",
            "MetricName": "ResourceCount",
            "MetricDimensions": dimensions,
            "MetricStatisticRecommendation": "Maximum",
        },
    }


def _unknown() -> AwsError:
    words = "The request failed because the specified service quota does not exist."
    return AwsError("NoSuchResourceException", words)
