"""AWS's limits, each with its name, so that what would be refused is refused here first. Knows no service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from plaudit.errors import UsageError

MIB = 1024 * 1024
GIB = 1024 * MIB
INSTANCE = re.compile(r"ml\.[a-z][a-z0-9-]*\.(medium|large|[0-9]{0,3}xlarge|metal)")
JOB_NAME_CHARACTERS = 63
HYPERPARAMETERS = 100
"""The most that a training job takes."""
HYPERPARAMETER_CHARACTERS = 2_500
"""Of one hyperparameter's value."""
TRAINING_SECONDS = (60, 28 * 86_400)
"""The shortest and the longest that a training job may run."""


@dataclass(frozen=True)
class Limit:
    """The most bytes that a service takes, counted by AWS in powers of 1024; ``instead`` is what to do above it."""

    name: str
    most: int
    instead: str

    def __str__(self) -> str:
        """The limit in the unit that everything is shown in, with AWS's own word for it."""
        own = f"{self.most // GIB} GB" if self.most >= GIB else f"{self.most // MIB} MB"
        return f"{shown(self.most)}, which AWS calls {own}"

    def refusal(self, size: int) -> str | None:
        """The sentence for a size that AWS would refuse."""
        if size <= self.most:
            return None
        return f"{shown(size)} is more than {self.name} takes ({self}): {self.instead}"

    def check(self, size: int) -> None:
        """Raises UsageError that names the limit."""
        if sentence := self.refusal(size):
            raise UsageError(sentence)


def shown(size: int) -> str:
    """Bytes as people read them: 1 MB is 1,000,000 of them, as every download counts."""
    if size < 1_000:
        return "1 byte" if size == 1 else f"{size} bytes"
    if size < 999_500:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.1f} MB" if size < 999_950_000 else f"{size / 1e9:.1f} GB"


def instance(name: str, flag: str = "--instance") -> None:
    """Raises UsageError where ``name``, given with ``flag``, is no instance type of SageMaker's."""
    if not INSTANCE.fullmatch(name):
        raise UsageError(f"{flag} {name} is no instance type: SageMaker's are called like ml.c5.large")


def machines(count: int, flag: str = "--count") -> None:
    """Raises UsageError for a job on no machine."""
    if count < 1:
        raise UsageError(f"{flag} {count}: a job has at least 1 machine")


SERVERLESS_DISK = Limit("the disk of a serverless endpoint", 5 * GIB, "deploy it with --instance")
REAL_TIME_VOLUME = Limit("VolumeSizeInGB of a real-time endpoint", 512 * GIB, "train a smaller model")
FUNCTION_UNZIPPED = Limit("a Lambda function's code, unzipped,", 250 * MIB, "deploy it --to sagemaker")
