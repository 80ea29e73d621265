"""Answers of a token service that are no tokens."""

from __future__ import annotations

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError


def no_token(service: str, body: bytes) -> ProviderError:
    """The error for an answer that should have been a token and cannot be read as one.

    A web page comes from something in between that wants a person to sign in: CredentialsError.
    Anything else was damaged on its way, and may be asked for again: ThrottledError. Neither shows
    the answer, since part of a token may be in it.
    """
    if body.lstrip()[:1] == b"<":
        return CredentialsError(
            f"{service} answered a web page instead of a token",
            hint="look for a proxy or a sign-in page between this computer and the internet",
        )
    return ThrottledError(f"{service} answered {len(body)} bytes that are no token")
