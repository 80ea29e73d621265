"""The instance metadata service, version 2, as seen from inside a machine.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable

from tests.labs.aws.cloud import Instance
from tests.labs.metadata import MetadataRequest, MetadataResponse

TOKEN = "/latest/api/token"
LIFE = "x-aws-ec2-metadata-token-ttl-seconds"
WhoIs = Callable[[str], Instance | None]
"""The instance at an address."""


class Metadata:
    """Answers each machine about itself, and only to those who bring a token."""

    def __init__(self, who_is: WhoIs, notice_seconds: float) -> None:
        """`notice_seconds` is how long before an interruption the notice says it comes."""
        self._who_is, self._notice_seconds = who_is, notice_seconds
        self._tokens: set[str] = set()

    def answer(self, request: MetadataRequest) -> MetadataResponse | None:
        """HttpTokens=required: without a token there is no answer."""
        instance = self._who_is(request.address)
        if instance is None:
            return None
        if request.verb == "PUT":
            return self._token(request)
        if request.headers.get("x-aws-ec2-metadata-token") not in self._tokens:
            return MetadataResponse(401)
        path = re.sub(r"^/(latest|\d{4}-\d\d-\d\d)/", "", request.path)
        known = facts(instance, self._notice_seconds)
        content = known.get(path) if path in known else _folder(known, path)
        return MetadataResponse(404) if content is None else MetadataResponse(200, content)

    def _token(self, request: MetadataRequest) -> MetadataResponse:
        if request.path != TOKEN or not request.headers.get(LIFE):
            return MetadataResponse(400)
        token = secrets.token_urlsafe()
        self._tokens.add(token)
        return MetadataResponse(200, token.encode())


def facts(instance: Instance, notice_seconds: float) -> dict[str, bytes]:
    """Path to content, for one instance."""
    text = {
        "meta-data/ami-launch-index": "0",
        "meta-data/instance-id": instance.id,
        "meta-data/instance-life-cycle": instance.market,
        "meta-data/instance-type": instance.size,
        "meta-data/local-hostname": f"{instance.id}.lab.internal",
        "meta-data/local-ipv4": instance.private_address,
        "meta-data/placement/availability-zone": instance.zone,
        "meta-data/placement/region": instance.region,
        "meta-data/public-ipv4": instance.address,
        "dynamic/instance-identity/document": json.dumps(
            {"instanceId": instance.id, "region": instance.region, "version": "2017-09-30"}
        ),
    }
    if instance.noticed_at is not None:
        at = time.gmtime(time.time() + notice_seconds)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", at)
        text["meta-data/spot/instance-action"] = json.dumps({"action": "terminate", "time": when})
        text["meta-data/spot/termination-time"] = when
    found = {path: value.encode() for path, value in text.items()}
    if instance.user_data:
        found["user-data"] = base64.b64decode(instance.user_data)
    return found


def _folder(known: dict[str, bytes], path: str) -> bytes | None:
    """A listing: names, those of folders with a slash behind."""
    prefix = path.rstrip("/") + "/"
    inside = [name.removeprefix(prefix) for name in known if name.startswith(prefix)]
    names = sorted(
        {part + "/" * bool(slash) for part, slash, _ in (n.partition("/") for n in inside)}
    )
    return "\n".join(names).encode() if names else None
