"""Every error spotdeploy raises on purpose, split by what the caller does next."""

from __future__ import annotations

from typing import ClassVar


class SpotdeployError(Exception):
    """The base of all errors that end a run with one line on the screen.

    `message` starts in lower case and names the thing and the value.
    `hint` is what to do next, a command where there is one.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(SpotdeployError):
    """What the user wrote is wrong: nothing was created. Exit code 2."""

    exit_code = 2


class RefusedError(SpotdeployError):
    """A rule of the product forbids this now, and nothing was changed. Exit code 2."""

    exit_code = 2


class HostError(SpotdeployError):
    """This computer lacks something the run needs (root, a tool, disk space). Exit code 2."""

    exit_code = 2


class ProviderError(SpotdeployError):
    """The cloud said no, or said something we don't understand; its own words are in `message`.

    `code` is the cloud's own error code where it gave one.
    """

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class CapacityError(ProviderError):
    """This place has no such machine at this price now: try the next candidate."""


class QuotaError(ProviderError):
    """The account may not have more of this here: try another location or ask for more."""


class CredentialsError(ProviderError):
    """Missing, expired or insufficient credentials: stop."""


class ThrottledError(ProviderError):
    """The cloud asks us to slow down: the same call may be repeated after a pause."""

    retry_after: float | None = None
    """Seconds for which the cloud itself asks to be left alone, where it says so."""


class LostReplyError(ProviderError):
    """The call may or may not have taken effect: only a listing can tell."""


class NodeError(SpotdeployError):
    """One node could not be brought through a phase. `phase` names it."""

    def __init__(self, message: str, *, phase: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.phase = phase


class PayloadError(NodeError):
    """The payload is to blame: its entry failed or timed out. Exit code 1."""

    exit_code = 1


class UnreachableError(NodeError):
    """The node could not be reached, or the connection was lost. Exit code 3."""
