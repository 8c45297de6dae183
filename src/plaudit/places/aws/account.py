"""An account in one region: clients of AWS's services, and every failure of theirs as one sentence.

Credentials are boto3's own business: they are not read, stored, printed or logged here.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from plaudit.errors import MissingExtra, PlaceError, UsageError

try:
    import boto3
    from botocore import exceptions as failures
    from botocore.config import Config
    from botocore.parsers import ResponseParserError
except ModuleNotFoundError as missing:
    if missing.name not in ("boto3", "botocore"):
        raise
    raise MissingExtra("AWS", "aws") from None

CREDENTIALS = "AWS takes no credentials from here: aws configure, aws sso login, or set AWS_PROFILE"
REJECTED = frozenset(
    "ExpiredToken ExpiredTokenException InvalidAccessKeyId InvalidClientTokenId SignatureDoesNotMatch"
    " UnrecognizedClientException InvalidSignatureException AuthFailure TokenRefreshRequired".split()
)
DENIED = frozenset("AccessDenied AccessDeniedException UnauthorizedOperation AuthorizationError Forbidden 403".split())
QUOTA = frozenset("ResourceLimitExceeded LimitExceededException LimitExceeded ServiceQuotaExceededException".split())
SLOW_DOWN = frozenset("Throttling ThrottlingException TooManyRequestsException RequestLimitExceeded SlowDown".split())


class Account:
    """One AWS account in one region, as boto3 finds them: ``region`` and ``profile`` override its own search."""

    def __init__(self, region: str | None = None, profile: str | None = None) -> None:
        wanted = region or os.environ.get("AWS_REGION")
        with told("looking for credentials"):
            self._session = boto3.Session(region_name=wanted, profile_name=profile)
        if not self._session.region_name:
            raise NoRegion
        self.region: str = self._session.region_name
        self._clients: dict[str, Any] = {}

    def client(self, service: str, **settings: Any) -> Any:
        """boto3's client of a service; made once where it has no ``settings`` of its own."""
        if settings:
            with told(f"reaching {service}"):
                return self._session.client(service, config=Config(**settings))
        if service not in self._clients:
            config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
            with told(f"reaching {service}"):
                self._clients[service] = self._session.client(service, config=config)
        return self._clients[service]

    @cached_property
    def id(self) -> str:
        """The account's twelve digits."""
        with told("asking which account this is"):
            return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def partition(self) -> str:
        return str(self._session.get_partition_for_region(self.region))

    def check_region(self) -> None:
        """Raises UsageError where boto3's own list has no such region: calls to it would look like an outage."""
        session = self._session
        # Not "sagemaker", whose list is the same: boto3 reads a service's whole description for it.
        known = {
            region
            for partition in session.get_available_partitions()
            for region in session.get_available_regions("sagemaker-runtime", partition)
        }
        if self.region not in known:
            near = difflib.get_close_matches(self.region, sorted(known), 3) or ["us-east-1"]
            raise UsageError(
                f"boto3 knows no region {self.region!r} that SageMaker is in: take {' or '.join(near)}, say; for a"
                " region newer than it, pip install --upgrade boto3"
            )

    @property
    def regions(self) -> list[str]:
        """The regions of this partition that have SageMaker."""
        return sorted(self._session.get_available_regions("sagemaker", self.partition))

    def beside(self, region: str) -> Account:
        """The same credentials in another region."""
        return Account(region, self._session.profile_name if self._session.profile_name != "default" else None)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turns what boto3 raises into one sentence that says what was being done and what to do next.

    Raises UsageError for credentials, a region or a profile that is missing, PlaceError for all else.
    """
    try:
        yield
    except failures.ClientError as error:
        raise refusal(error, doing) from None
    except failures.NoRegionError:
        raise NoRegion from None
    except failures.ProfileNotFound as error:
        raise UsageError(f"{error}: aws configure list-profiles") from None
    except (
        failures.NoCredentialsError, failures.PartialCredentialsError, failures.CredentialRetrievalError,
        failures.SSOError, failures.TokenRetrievalError, failures.RefreshWithMFAUnsupportedError,
    ):  # fmt: skip
        raise UsageError(CREDENTIALS) from None
    except (failures.HTTPClientError, failures.ConnectionError) as error:
        raise Unreached(f"{doing}: AWS cannot be reached ({_first(error)}): the same command tries again") from None
    except (failures.BotoCoreError, ResponseParserError) as error:
        raise PlaceError(f"{doing}: {_first(error)}") from None


class NoRegion(UsageError):
    """No region was given, and AWS's own settings have none."""

    def __init__(self) -> None:
        super().__init__("no AWS region is set: --region us-east-1, or set AWS_REGION")


class Unreached(PlaceError):
    """AWS gave no answer at all: what was under way there goes on."""


class Refused(PlaceError):
    """AWS's refusal of one call; ``code`` is its own."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(error: failures.ClientError, doing: str) -> PlaceError | UsageError:
    """The sentence for a call that AWS refused."""
    found = error.response.get("Error", {})
    code, message = str(found.get("Code", "")), str(found.get("Message", "")).strip().rstrip(".")
    operation = error.operation_name
    if code in REJECTED:
        return UsageError(f"{CREDENTIALS} ({code})")
    if code in DENIED:
        return Refused(f"{doing}: this account's user may not call {operation} ({message or code})", code)
    if code in QUOTA:
        asking = "ask for more under Service Quotas, or take another --instance or --region"
        return Refused(f"{doing}: a quota of the account is reached ({message or code}): {asking}", code)
    if code in SLOW_DOWN:
        return Refused(f"{doing}: AWS asks for fewer calls ({code}): try again in a minute", code)
    return Refused(f"{doing}: {message or code}", code)


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
