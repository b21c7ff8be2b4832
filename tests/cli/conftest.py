"""The command line, for its tests."""

import pytest
from click.testing import CliRunner

from eie_cli.main import main


@pytest.fixture(scope="session")
def eie():
    """Run `eie` with arguments; gives exit code, and what was printed to both outputs."""
    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    return run
