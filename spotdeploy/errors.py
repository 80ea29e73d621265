"""Every error spotdeploy raises on purpose, split by what the caller does next."""

from __future__ import annotations

from enum import StrEnum
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

    @property
    def explained(self) -> str:
        """The message, and what to do next, in one line."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(SpotdeployError):
    """What the user wrote is wrong: nothing was created. Exit code 2."""

    exit_code = 2


class RefusedError(SpotdeployError):
    """A rule of the product forbids this now, and nothing was changed. Exit code 2."""

    exit_code = 2


class HostError(SpotdeployError):
    """This computer lacks something the run needs (root, a tool, disk space). Exit code 2."""

    exit_code = 2


SPACE = "free disk space or make the folder writable"
"""What to do when a file of ours cannot be written."""


def cannot(do: str, error: OSError, *, then: str = "") -> HostError:
    """A file or folder of ours that cannot be used: `do` is what was tried, such as "write PATH",
    and `then` what follows from it."""
    hint = f"{SPACE}; {then}" if then else SPACE
    return HostError(f"cannot {do}: {error.strerror}", hint=hint)


class BeforeError(SpotdeployError):
    """What must pass on this computer before a run does not: nothing was changed. Exit code 1."""

    exit_code = 1


class Reach(StrEnum):
    """How far a refused create reaches: which other offers would be refused for the same reason."""

    OFFER = "offer"
    """Just this one."""
    SIZE = "size"
    """This size, in every zone and market of the location."""
    FAMILY = "family"
    """The sizes that one quota counts together, in this market of the location."""
    ZONE = "zone"
    """Everything in the zone."""
    MARKET = "market"
    """Everything of this market in the location."""
    IMAGE = "image"
    """Whatever would boot the same image: the sizes of one architecture in the location."""
    LOCATION = "location"
    """Everything in the location."""
    ACCOUNT = "account"
    """Everything in the account."""
    PROVIDER = "provider"
    """Everything of the provider."""


class ProviderError(SpotdeployError):
    """The cloud said no, or said something we don't understand; its own words are in `message`.

    `code` is the cloud's own error code where it gave one. `reach` says, of a refused create, how
    far the refusal reaches; what is not said is as far as errors of this class usually do.
    """

    usual_reach: ClassVar[Reach] = Reach.OFFER

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        reach: Reach | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.reach = reach or self.usual_reach


class CapacityError(ProviderError):
    """This place has no such machine at this price now: try the next candidate."""


class QuotaError(ProviderError):
    """The account may not have so many: ask for fewer, then elsewhere, or raise the quota."""

    usual_reach = Reach.LOCATION


class CredentialsError(ProviderError):
    """Missing, expired or insufficient credentials: no other place of the account will do."""

    usual_reach = Reach.ACCOUNT


class ThrottledError(ProviderError):
    """The cloud asks us to slow down: the same call may be repeated after a pause.

    `retry_after` is for how many seconds the cloud itself asks to be left alone, where it says so.
    """

    usual_reach = Reach.LOCATION

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        reach: Reach | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, reach=reach)
        self.retry_after = retry_after


class LostReplyError(ProviderError):
    """The call may or may not have taken effect: only a listing can tell."""

    usual_reach = Reach.PROVIDER


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


class ShutOutError(UnreachableError):
    """The node answers, and its ssh lets us in no more (or not yet): it has another host key, or
    refuses our user, key or commands.

    `unknown` says that it is not known to be the node that answers: its host key is another.
    """

    def __init__(self, message: str, *, phase: str, unknown: bool = False) -> None:
        super().__init__(message, phase=phase)
        self.unknown = unknown
