"""Fixtures for tests of the command line."""

import pytest
from click.testing import CliRunner

from eie_cli.main import main


@pytest.fixture(scope="session")
def eie():
    """Run `eie` with arguments; return its exit code and the text of both outputs."""
    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    return run
