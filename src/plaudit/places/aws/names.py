"""What things are called on AWS, and the tags that they carry. Knows no service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from plaudit.errors import UsageError
from plaudit.version import __version__

PREFIX = "plaudit"
TAG = "plaudit:name"
OWNER = "plaudit:version"
QUEUE = "async/"
ACCOUNT_PLACEHOLDER = "000000000000"
"""Stands for the account in a plan, which asks nobody which one it is."""
LONGEST = 40
"""An IAM role's name has 64 characters at most: `plaudit-`, a name, and what CloudFormation adds."""


@dataclass(frozen=True)
class Name:
    """The name of a deployment or a job. Raises UsageError where AWS would refuse what is made of it."""

    own: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.own):
            raise UsageError(f"{self.own!r} is no name: small letters, digits and single hyphens, a letter first")
        if len(self.own) > LONGEST:
            raise UsageError(
                f"the name {self.own} has {len(self.own)} characters: AWS's names leave room for {LONGEST}"
            )

    @property
    def full(self) -> str:
        """The name of the stack, and of everything in it that has a name of its own."""
        return f"{PREFIX}-{self.own}"

    @property
    def prefix(self) -> str:
        """Where its objects are in the bucket."""
        return f"{self.own}/"

    @property
    def queue(self) -> str:
        """Where the requests to its asynchronous endpoint are, and the answers; the bucket keeps them for a day."""
        return f"{QUEUE}{self.own}/"

    @property
    def tags(self) -> dict[str, str]:
        """What every resource carries, so that `plaudit status` finds it."""
        return {TAG: self.own, OWNER: __version__}

    @property
    def tag_list(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


def bucket_name(account: str, region: str) -> str:
    """Plaudit's bucket in an account and region."""
    return f"{PREFIX}-{account}-{region}"
