"""`spotdeploy export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from spotdeploy.cli import completion
from spotdeploy.cli.cells import one_cell
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Only, Providers
from spotdeploy.errors import HostError
from spotdeploy.project import Project
from spotdeploy.report.export import Form, render
from spotdeploy.run.inventory import InventoryNode, read_inventory
from spotdeploy.state.folder import write_private

Format = Annotated[Form, typer.Option("--format", "-f", help="What it is for.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write it there, for you alone to read."),
]


Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        "-g",
        metavar="NAME",
        help="Only the nodes of this group. Repeatable.",
        autocompletion=completion.groups,
    ),
]


def command(
    form: Format = Form.JSON,
    group: Groups = None,
    output: Output = None,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
) -> None:
    """Print the nodes for ssh, Ansible, a shell or Terraform.

    ssh-config is for 'ssh -F FILE NODE', ansible an inventory for 'ansible -i FILE', env for
    'eval', terraform a variable named spotdeploy for a file NAME.auto.tfvars.json, and json has
    the schema that 'spotdeploy schema --export' prints. None holds a secret; those for ssh name
    the files of the key and of the host keys.
    """
    project = one_cell(Project.open(config, deployment=deployment, providers=provider), only)
    inventory = read_inventory(project, group)
    if form in (Form.SSH_CONFIG, Form.ANSIBLE):
        warn_of_unknown_keys(inventory.nodes)
    _write(render(inventory, form), output)


def warn_of_unknown_keys(nodes: list[InventoryNode]) -> None:
    """Say of which nodes no host key is known, so that ssh will refuse them."""
    for node in nodes:
        if node.host_key is None:
            sys.stderr.write(
                f"warning: the host key of {node.name} is not known here: ssh will refuse it\n"
            )


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write_private(output, text.encode())
        output.chmod(0o600)
    except OSError as error:
        raise HostError(
            f"cannot write {output}: {error.strerror}", hint="name another file"
        ) from error
