"""Everything Plaudit can fail with. Knows no other module.

PlauditError                 the root; a message says what, where, and what to do next
├── UsageError               a wrong call: a setting out of range, a path that is not there
│   ├── ReviewsError         a reviews file that cannot be used, with file and line
│   └── MissingExtra         a part that is not installed
├── BundleError              a bundle that is damaged, incomplete or too new
├── PlaceError               a place, such as AWS, that refuses or fails
├── EndpointError            an endpoint that answers with a failure
│   └── EndpointAway         an endpoint that does not answer at all
└── RequestError             a request that gets an HTTP status and one sentence
    ├── BadRequest 400  ├── TooLarge 413  ├── UnsupportedMedia 415
    └── Unprocessable 422  ├── Busy 429  └── NotReady 503
"""

from __future__ import annotations

from pathlib import Path


class PlauditError(Exception):
    """The root of Plaudit's errors. The command line prints its message and nothing else."""

    exit_code = 1


class UsageError(PlauditError):
    """The caller asked for something that cannot be: the call has to change."""

    exit_code = 2


class ReviewsError(UsageError):
    """A reviews file that cannot be used. ``line`` counts from 1; 0 stands for the whole file."""

    def __init__(self, what: str, path: str | Path, line: int = 0) -> None:
        super().__init__(f"{path}:{line}: {what}" if line else f"{path}: {what}")
        self.path, self.line = str(path), line


class MissingExtra(UsageError):
    """A step needs a part that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the '{extra}' extra: pip install 'plaudit[{extra}]'")


class BundleError(PlauditError):
    """A bundle that is damaged, incomplete, or from a newer version."""

    exit_code = 2


class PlaceError(PlauditError):
    """A place that refused a call, or where something failed."""


class EndpointError(PlauditError):
    """An endpoint that answered with a failure, or with something that is not a verdict.

    ``status`` is its HTTP status; ``retry_after`` is in seconds.
    """

    def __init__(self, message: str, status: int = 503, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class EndpointAway(EndpointError):
    """An endpoint that does not answer. Its message names the place, and is for whoever runs Plaudit."""


class RequestError(PlauditError):
    """A request that cannot be answered with a verdict; ``status`` is the HTTP status it gets."""

    status = 400
    retry_after: int | None = None


class BadRequest(RequestError):
    status = 400


class TooLarge(RequestError):
    status = 413


class UnsupportedMedia(RequestError):
    status = 415


class Unprocessable(RequestError):
    status = 422


class Busy(RequestError):
    status = 429
    retry_after = 1


class NotReady(RequestError):
    status = 503
    retry_after = 1
