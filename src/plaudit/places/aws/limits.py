"""AWS's limits, each with its name, so that what would be refused is refused here first. Knows no service."""

from __future__ import annotations

from dataclasses import dataclass

from plaudit.errors import UsageError

MB = 1024 * 1024
GB = 1024 * MB


@dataclass(frozen=True)
class Limit:
    """The most bytes that a service takes; ``instead`` is what to do above it."""

    name: str
    most: int
    instead: str

    def refusal(self, size: int) -> str | None:
        """The sentence for a size that AWS would refuse."""
        if size <= self.most:
            return None
        return f"{shown(size)} is more than {self.name} takes ({shown(self.most)}): {self.instead}"

    def check(self, size: int) -> None:
        """Raises UsageError that names the limit."""
        if sentence := self.refusal(size):
            raise UsageError(sentence)


def shown(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / MB:.1f} MB"


SERVERLESS_DISK = Limit("the disk of a serverless endpoint", 5 * GB, "deploy it with --instance")
REAL_TIME_VOLUME = Limit("VolumeSizeInGB of a real-time endpoint", 512 * GB, "train a smaller model")
FUNCTION_UNZIPPED = Limit("a Lambda function's code, unzipped,", 250 * MB, "deploy it --to sagemaker")
