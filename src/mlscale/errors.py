"""Expected failures. Each carries one line for the user (what is wrong, where, what to do) and the contract's exit code."""

from __future__ import annotations

from typing import ClassVar


class MlscaleError(Exception):
    """Base of the failures that mlscale expects. `message` is printed as it is, without a traceback."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageProblem(MlscaleError):
    """The command line asks for something that cannot be done. Exit 2."""


class UnreadableInput(MlscaleError):
    """A file that was named cannot be read, or is not what it should be. Exit 2."""


class NothingToWatch(MlscaleError):
    """There is no training job to watch. Exit 3."""

    exit_code = 3


class NotPermitted(MlscaleError):
    """The kernel does not let this user watch the job. Exit 3."""

    exit_code = 3
