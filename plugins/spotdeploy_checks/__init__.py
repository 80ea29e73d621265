"""The checks that come with spotdeploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spotdeploy.hookspecs import hookimpl

if TYPE_CHECKING:
    from spotdeploy.check import Check


@hookimpl
def spotdeploy_register_checks() -> list[type[Check[Any]]]:
    """Hand over every check."""
    from spotdeploy_checks.command import CommandCheck
    from spotdeploy_checks.file import FileCheck
    from spotdeploy_checks.goss import GossCheck
    from spotdeploy_checks.http import HttpCheck
    from spotdeploy_checks.log import LogCheck
    from spotdeploy_checks.payload import PayloadCheck
    from spotdeploy_checks.rebooted import RebootedCheck
    from spotdeploy_checks.systemd import SystemdCheck
    from spotdeploy_checks.tcp import TcpCheck
    from spotdeploy_checks.testinfra import InfraTestCheck

    return [
        CommandCheck,
        FileCheck,
        GossCheck,
        HttpCheck,
        InfraTestCheck,
        LogCheck,
        PayloadCheck,
        RebootedCheck,
        SystemdCheck,
        TcpCheck,
    ]
