"""AWS's APIs in one region, through botocore's clients, with what would cost machines closed.

Every listing is followed to its last page, answers of an unknown shape are refused instead of read
as empty, errors are typed, credentials are renewed while it lives, and no call is repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spotdeploy.errors import ProviderError
from spotdeploy.labels import ANY
from spotdeploy_aws.actions import Action
from spotdeploy_aws.auth import Chain
from spotdeploy_aws.schemas import Parameters, Record
from spotdeploy_aws.transport import Transport, require_answer

PAGE: Final = 1000
MAX_PAGES: Final = 1000


class Api:
    """Calls actions by name."""

    def __init__(self, chain: Chain, region: str, ec2_endpoint: str | None = None) -> None:
        """Makes a client for each service when it is called first. `ec2_endpoint` is a URL to
        use instead of what the user's files and AWS's rules say."""
        self.region = region
        self._chain = chain
        self._endpoints = {"ec2": ec2_endpoint}
        self._clients: dict[str, tuple[Any, Transport]] = {}

    def call(
        self, action: Action, parameters: Parameters | None = None, *, repeatable: bool = True
    ) -> Record:
        """Call one action and return its answer. `repeatable` False is for calls that create.

        Raises ProviderError and its kinds, with AWS's own message.
        """
        client, transport = self._client(action.service)
        call = getattr(client, _method(action))
        with transport.call(self._what(action), repeatable=repeatable):
            answer: Record = call(**(parameters or {}))
        return answer

    def pages(self, action: Action, parameters: Parameters) -> list[Any]:
        """The items of all pages of a listing.

        Raises as `call`, and ProviderError when the listing does not end.
        """
        client, transport = self._client(action.service)
        paginator = client.get_paginator(_method(action))
        items = paginator.result_keys[0].expression
        found: list[Any] = []
        with transport.call(self._what(action), repeatable=True):
            for number, page in enumerate(paginator.paginate(**parameters)):
                if number == MAX_PAGES:
                    raise ProviderError(f"{self._what(action)}: more than {MAX_PAGES} pages")
                found += page.get(items, ())
        return found

    def regions(self) -> list[str]:
        """The regions that are enabled for the account."""
        answer = self.call(Action.DESCRIBE_REGIONS)
        return [region["RegionName"] for region in answer["Regions"]]

    def caller(self) -> tuple[str, str]:
        """The account's id and the identity's ARN. Needs no permission."""
        answer = self.call(Action.GET_CALLER_IDENTITY)
        return answer["Account"], answer["Arn"]

    def _what(self, action: Action) -> str:
        return f"{action.operation} in {self.region}"

    def _client(self, service: str) -> tuple[Any, Transport]:
        if service not in self._clients:
            client = self._chain.client(service, self.region, self._endpoints.get(service))
            client.meta.events.register("before-parse", require_answer)
            self._clients[service] = client, Transport(client.meta.endpoint_url)
        return self._clients[service]


def tag_filters(labels: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """The filters that select what carries all these labels."""
    keys = [key for key, value in labels.items() if value == ANY]
    exact = {f"tag:{key}": [value] for key, value in labels.items() if value != ANY}
    return {**exact, **({"tag-key": keys} if keys else {})}


def _method(action: Action) -> str:
    from botocore import xform_name

    return str(xform_name(action.operation))
