"""The command's entry: run the app, show our own errors in one place, end with the exit code."""

from __future__ import annotations

import sys


def main() -> None:
    """Run spotdeploy with the arguments of this process."""
    from spotdeploy.cli import build_app
    from spotdeploy.errors import SpotdeployError

    try:
        build_app()()
    except SpotdeployError as error:
        from spotdeploy.cli.trouble import show

        show(error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
