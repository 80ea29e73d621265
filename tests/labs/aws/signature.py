"""Checking that a request is signed, the way AWS checks it: by signing it again."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<access>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/"
    r"(?P<service>[^/]+)/aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


class Signed:
    """The parts of an Authorization header. Raises ValueError for one that is not version 4."""

    def __init__(self, header: str) -> None:
        match = _AUTHORIZATION.fullmatch(header)
        if match is None:
            raise ValueError(f"not a version 4 signature: {header[:60]!r}")
        self.access, self.region, self.service = match["access"], match["region"], match["service"]
        self.headers = match["headers"].split(";")
        self.signature = match["signature"]


def is_genuine(
    signed: Signed, secret: str, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """True when `secret` gives the same signature over the headers that were signed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    moment = lower.get("x-amz-date", "")
    canonical = "\n".join(
        [
            method,
            path,
            "",
            *(f"{name}:{lower.get(name, '')}" for name in signed.headers),
            "",
            ";".join(signed.headers),
            sha256(body).hexdigest(),
        ]
    )
    scope = f"{moment[:8]}/{signed.region}/{signed.service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), sha256).digest()
    return hmac.compare_digest(
        hmac.new(key, to_sign.encode(), sha256).hexdigest(), signed.signature
    )
