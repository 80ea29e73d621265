"""The services of the AWS lab that tell what an account may do and what it costs, as botocore's own
clients meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.labs.aws import AwsLab

STANDARD_SPOT = "L-34B43A08"
LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
Client = Callable[..., Any]


def filters(**fields: str) -> list[dict[str, str]]:
    return [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]


def code(refused: Any) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_an_applied_quota_and_aws_default_are_told_apart(client: Client, lab: AwsLab) -> None:
    lab.cloud.quotas.applied[STANDARD_SPOT] = 64.0
    quotas, asked = client("service-quotas"), {"ServiceCode": "ec2", "QuotaCode": STANDARD_SPOT}
    quota = quotas.get_service_quota(**asked)["Quota"]
    assert (quota["Value"], quota["QuotaCode"]) == (64.0, STANDARD_SPOT)
    assert "Spot" in quota["QuotaName"]
    assert quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"] == 5.0


def test_all_quotas_are_listed_page_by_page(client: Client) -> None:
    pages = client("service-quotas").get_paginator("list_service_quotas")
    asked = {"ServiceCode": "ec2", "PaginationConfig": {"PageSize": 4}}
    listed = [quota["QuotaCode"] for page in pages.paginate(**asked) for quota in page["Quotas"]]
    assert len(set(listed)) == len(listed) > 4
    assert STANDARD_SPOT in listed


def test_a_quota_of_which_only_the_default_is_known_is_not_retrieved(
    client: Client, lab: AwsLab
) -> None:
    lab.cloud.quotas.untold.add(STANDARD_SPOT)
    quotas, asked = client("service-quotas"), {"ServiceCode": "ec2", "QuotaCode": STANDARD_SPOT}
    with pytest.raises(Exception, match="does not exist") as refused:
        quotas.get_service_quota(**asked)
    assert code(refused) == "NoSuchResourceException"
    assert quotas.get_aws_default_service_quota(**asked)["Quota"]["QuotaCode"] == STANDARD_SPOT


def test_a_question_that_names_all_gets_one_price(client: Client) -> None:
    asked = filters(instanceType="t3.small", regionCode="us-west-2", **LINUX)
    answer = client("pricing", "us-east-1").get_products(ServiceCode="AmazonEC2", Filters=asked)
    (product,) = map(json.loads, answer["PriceList"])
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert (dimension["unit"], dimension["pricePerUnit"]) == ("Hrs", {"USD": "0.0208000000"})
    assert product["product"]["attributes"]["regionCode"] == "us-west-2"


def test_a_question_that_names_less_gets_prices_that_are_none_of_ours(client: Client) -> None:
    asked = filters(instanceType="t3.small", regionCode="us-west-2", operatingSystem="Linux")
    answer = client("pricing", "us-east-1").get_products(ServiceCode="AmazonEC2", Filters=asked)
    prices = {
        dimension["pricePerUnit"]["USD"]
        for product in map(json.loads, answer["PriceList"])
        for term in product["terms"]["OnDemand"].values()
        for dimension in term["priceDimensions"].values()
    }
    assert "0.0000000000" in prices
    assert len(prices) > 2


def test_a_size_that_is_not_sold_has_no_product(client: Client) -> None:
    asked = filters(instanceType="t3.giant", regionCode="us-west-2", **LINUX)
    pricing = client("pricing", "us-east-1")
    assert pricing.get_products(ServiceCode="AmazonEC2", Filters=asked)["PriceList"] == []


def test_prices_come_page_by_page(client: Client) -> None:
    pages = client("pricing", "us-east-1").get_paginator("get_products")
    found = [one for page in pages.paginate(ServiceCode="AmazonEC2") for one in page["PriceList"]]
    assert len(set(found)) == len(found) > 100


def test_the_price_list_answers_in_few_regions(client: Client, lab: AwsLab) -> None:
    with pytest.raises(Exception, match=r"[Cc]onnection"):
        client("pricing", "us-west-2").get_products(ServiceCode="AmazonEC2")
    assert [one for one in lab.wrong if "us-west-2" in one]
    lab.wrong.clear()


def test_the_spot_role_is_there_or_not(client: Client, lab: AwsLab) -> None:
    asked = {"RoleName": "AWSServiceRoleForEC2Spot"}
    role = client("iam").get_role(**asked)["Role"]
    assert role["Arn"].endswith("/spot.amazonaws.com/AWSServiceRoleForEC2Spot")
    lab.cloud.roles.spot = False
    with pytest.raises(Exception, match="cannot be found") as refused:
        client("iam").get_role(**asked)
    assert code(refused) == "NoSuchEntity"


@pytest.mark.parametrize(
    ("service", "action", "ask", "expected"),
    [
        (
            "servicequotas",
            "GetServiceQuota",
            lambda client: client("service-quotas").get_service_quota(
                ServiceCode="ec2", QuotaCode=STANDARD_SPOT
            ),
            "AccessDeniedException",
        ),
        (
            "pricing",
            "GetProducts",
            lambda client: client("pricing", "us-east-1").get_products(ServiceCode="AmazonEC2"),
            "AccessDeniedException",
        ),
        (
            "iam",
            "GetRole",
            lambda client: client("iam").get_role(RoleName="AWSServiceRoleForEC2Spot"),
            "AccessDenied",
        ),
        (
            "ec2",
            "DescribeInstances",
            lambda client: client("ec2").describe_instances(),
            "UnauthorizedOperation",
        ),
    ],
)
def test_each_service_can_be_denied_in_its_own_words(
    client: Client,
    lab: AwsLab,
    service: str,
    action: str,
    ask: Callable[[Client], object],
    expected: str,
) -> None:
    lab.faults.deny(service, action)
    with pytest.raises(
        Exception, match=f"not authorized to perform: {service}:{action}"
    ) as refused:
        ask(client)
    assert code(refused) == expected


def test_what_a_service_does_not_know_is_told(client: Client, lab: AwsLab) -> None:
    from botocore.config import Config

    quotas = client("service-quotas", config=Config(parameter_validation=False))
    with pytest.raises(Exception, match="QuotaCode"):
        quotas.get_service_quota(ServiceCode="ec2")
    assert [one for one in lab.wrong if "QuotaCode" in one]
    lab.wrong.clear()
