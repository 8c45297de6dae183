"""AWS's images that a training job or an endpoint runs in, and until when each is patched. Knows no service.

AWS publishes the end of patches in its Deep Learning Containers' support table: a year after the framework's own
release, with PyTorch 2.6 for inference extended by five months. For newer Ray images it publishes none; there the
same rule gives the date, and ``published`` is False.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from plaudit.errors import UsageError

Purpose = Literal["train", "serve"]
PURPOSES: dict[Purpose, str] = {"train": "training", "serve": "an endpoint"}
COMMON = "763104351884"
"""AWS's registry account in most regions."""
COMMON_REGIONS = frozenset(
    "us-east-1 us-east-2 us-west-1 us-west-2 ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2"
    " ca-central-1 eu-central-1 eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1".split()
)
ACCOUNTS = {
    "af-south-1": "626614931356", "ap-east-1": "871362719292", "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360", "ap-south-2": "772153158452", "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322", "ap-southeast-5": "550225433462", "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437", "ca-west-1": "204538143572", "eu-central-2": "380420809688",
    "eu-south-1": "692866216735", "eu-south-2": "503227376785", "il-central-1": "780543022126",
    "me-central-1": "914824155844", "me-south-1": "217643126080", "me-west-1": "124382933778",
    "mx-central-1": "637423239942", "cn-north-1": "727897471807", "cn-northwest-1": "727897471807",
    "us-gov-east-1": "446045086412", "us-gov-west-1": "442386744353",
}  # fmt: skip
"""Its accounts elsewhere, by the Deep Learning Containers' region table; GovCloud's by AWS's own SDK."""
OWN = re.compile(r"(?P<host>[\w.-]+(:\d+)?)/(?P<repository>[\w./-]+)(:(?P<tag>[\w.-]+)|@sha256:[0-9a-f]{64})?")
ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")
LONGEST_URI = 255
"""Characters of SageMaker's ContainerImage."""


@dataclass(frozen=True)
class Image:
    """An image of AWS's, or with ``host`` one of the user's own, of which nothing else is known.

    ``patched_until`` is the last day with security patches, published by AWS or derived from its rule.
    """

    name: str
    purpose: Purpose
    repository: str
    tag: str
    python: str = ""
    framework: str = ""
    patched_until: date | None = None
    published: bool = True
    accelerator: str = "cpu"
    host: str = ""

    def patched(self, today: date) -> bool:
        """Whether it gets patches on that day; of a user's own nobody but them knows, so it counts as patched."""
        return self.patched_until is None or today <= self.patched_until

    def warning(self, today: date) -> str | None:
        """A sentence for the user where the image gets no patches any more."""
        if self.patched(today):
            return None
        ended = f"{self.name} ({self.framework}) got its last security patches on {self.patched_until}"
        return ended + _instead(self, today)


IMAGES = tuple(
    each
    for image, cuda in (
        (Image("ray-2.59", "serve", "ray", "serve-ml-sagemaker-cpu-v1.5", "3.13", "Ray 2.59", date(2027, 10, 1),
               published=False), "serve-ml-sagemaker-cuda-v1.5"),
        (Image("ray-2.54", "serve", "ray", "serve-ml-sagemaker-cpu-v1.0", "3.13", "Ray 2.54", date(2027, 2, 18)),
         "serve-ml-sagemaker-cuda-v1.0"),
        (Image("pytorch-inference-2.6", "serve", "pytorch-inference", "2.6.0-cpu-py312-ubuntu22.04-sagemaker", "3.12",
               "PyTorch 2.6, TorchServe", date(2026, 6, 30)), "2.6.0-gpu-py312-cu124-ubuntu22.04-sagemaker"),
        (Image("pytorch-2.14", "train", "pytorch", "2.14-cpu-amzn2023-sagemaker", "3.12", "PyTorch 2.14",
               date(2027, 9, 28)), "2.14-cu133-amzn2023-sagemaker"),
        (Image("pytorch-2.13", "train", "pytorch", "2.13-cpu-amzn2023-sagemaker", "3.12", "PyTorch 2.13",
               date(2027, 7, 20)), "2.13-cu133-amzn2023-sagemaker"),
    )
    for each in (image, replace(image, tag=cuda, accelerator="cuda"))
)  # fmt: skip
"""The newest of a purpose first. Ray 2.59.0 was built on 2026-10-01, which gives its date."""


def choose(purpose: Purpose, accelerator: str = "cpu", name: str | None = None, today: date | None = None) -> Image:
    """The newest patched image for ``purpose``, or the one that is named, or a user's own, named by its URI.

    ``accelerator`` is `cpu` or `cuda`. Raises UsageError where no image of the table will do. One that gets no
    patches any more is chosen only by name, and its `warning` says so.
    """
    today = today or date.today()
    if name and "/" in name:
        return _own(purpose, accelerator, name)
    fitting = [image for image in IMAGES if (image.purpose, image.accelerator) == (purpose, accelerator)]
    if not fitting:
        raise UsageError(f"AWS has no image for {PURPOSES[purpose]} on {accelerator}: cpu and cuda have some")
    if name:
        named = [image for image in fitting if image.name == name]
        if not named:
            names = ", ".join(image.name for image in fitting)
            raise UsageError(f"there is no image {name} for {PURPOSES[purpose]}: {names}, or your own by its URI")
        return named[0]
    patched = [image for image in fitting if image.patched(today)]
    if not patched:
        newest = fitting[0]
        raise UsageError(
            f"{newest.name} got its last patches on {newest.patched_until}, and no newer image for"
            f" {PURPOSES[purpose]} is known here: pip install --upgrade plaudit, or take it all the same with"
            f" --image {newest.name}"
        )
    return patched[0]


def uri(image: Image, region: str) -> str:
    """Where SageMaker finds the image in a region. Raises UsageError for a region without AWS's images."""
    if image.host:
        return image.name
    suffix = ".cn" if region.startswith("cn-") else ""
    return f"{account(region)}.dkr.ecr.{region}.amazonaws.com{suffix}/{image.repository}:{image.tag}"


def repository_arn(image: Image, region: str, partition: str = "aws") -> str | None:
    """The image's repository, for the role that reads it; None where it does not lie in Amazon's registry."""
    holder, place = account(region) if not image.host else "", region
    if image.host:
        found = ECR.fullmatch(image.host)
        if not found:
            return None
        holder, place = found["account"], found["region"]
    return f"arn:{partition}:ecr:{place}:{holder}:repository/{image.repository}"


def repository(image: Image | None, region: str, partition: str = "aws") -> str:
    """`repository_arn`, or where there is none every repository of the region, for a policy that has to name one."""
    found = repository_arn(image, region, partition) if image else None
    return found or f"arn:{partition}:ecr:{region}:*:repository/*"


def account(region: str) -> str:
    """The twelve digits of AWS's registry in a region. Raises UsageError where it publishes none."""
    if region in COMMON_REGIONS:
        return COMMON
    if region not in ACCOUNTS:
        raise UsageError(f"AWS lists no registry of its images for {region}: name your own with --image URI")
    return ACCOUNTS[region]


def _own(purpose: Purpose, accelerator: str, name: str) -> Image:
    found = OWN.fullmatch(name)
    if not found or "." not in found["host"] or len(name) > LONGEST_URI:
        raise UsageError(f"{name} is no image's URI: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1.0 is one")
    for image in IMAGES:
        if (image.repository, image.tag) == (found["repository"], found["tag"]) and ECR.fullmatch(found["host"]):
            return replace(image, name=name, host=found["host"])
    return Image(name, purpose, found["repository"], found["tag"] or "", accelerator=accelerator, host=found["host"])


def _instead(image: Image, today: date) -> str:
    for other in IMAGES:
        if (other.purpose, other.accelerator) == (image.purpose, image.accelerator) and other.patched(today):
            return f": {other.name} gets them until {other.patched_until}"
    return ""
