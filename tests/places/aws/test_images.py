"""The table of AWS's images: the newest that is patched, an expired one by name only, and where each lies."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs import generate
from plaudit.errors import UsageError
from plaudit.places.aws import images
from plaudit.places.aws.images import IMAGES, choose, repository, repository_arn, uri

TODAY = date(2026, 11, 21)
OWN = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine/plaudit:1.0"


def test_the_newest_patched_image_is_chosen() -> None:
    assert choose("serve", today=TODAY).tag == "serve-ml-sagemaker-cpu-v1.5"
    assert choose("serve", "cuda", today=TODAY).tag == "serve-ml-sagemaker-cuda-v1.5"
    assert choose("train", today=TODAY).tag == "2.14-cpu-amzn2023-sagemaker"
    assert choose("train", "cuda", today=TODAY).tag == "2.14-cu133-amzn2023-sagemaker"


@given(st.sampled_from(IMAGES), st.dates(date(2025, 1, 1), date(2030, 1, 1)))
def test_no_image_without_patches_is_ever_chosen_unasked(image: images.Image, today: date) -> None:
    try:
        chosen = choose(image.purpose, image.accelerator, today=today)
    except UsageError:
        ends = [each.patched_until for each in IMAGES if each.purpose == image.purpose and each.patched_until]
        assert today > max(ends)
    else:
        assert chosen.patched(today)
        assert chosen.warning(today) is None


def test_where_all_have_expired_the_sentence_names_the_date_and_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"ray-2.59 got its last patches on 2027-10-01.*--upgrade.*--image ray-2.59"):
        choose("serve", today=date(2028, 1, 1))


def test_torchserve_is_taken_by_name_only_and_warns() -> None:
    taken = choose("serve", name="pytorch-inference-2.6", today=TODAY)
    assert taken.patched_until == date(2026, 6, 30)
    warning = taken.warning(TODAY)
    assert warning is not None
    assert "last security patches on 2026-06-30" in warning
    assert "ray-2.59 gets them until 2027-10-01" in warning
    assert taken.warning(date(2026, 6, 30)) is None, "the last day counts"
    assert taken.warning(date(2026, 6, 30) + timedelta(days=1)) is not None


def test_a_user_s_own_image_passes_through() -> None:
    own = choose("serve", name=OWN, today=TODAY)
    assert uri(own, "eu-west-1") == OWN
    assert own.warning(TODAY) is None
    assert repository_arn(own, "us-east-1") == "arn:aws:ecr:eu-west-1:123456789012:repository/mine/plaudit"
    elsewhere = choose("serve", name="registry.example.org/plaudit@sha256:" + "0" * 64)
    assert repository_arn(elsewhere, "us-east-1") is None
    assert repository(elsewhere, "us-east-1") == repository(None, "us-east-1") == "arn:aws:ecr:us-east-1:*:repository/*"


def test_an_image_of_aws_s_named_by_its_uri_keeps_its_date() -> None:
    by_uri = choose("serve", name=uri(choose("serve", name="pytorch-inference-2.6"), "us-west-2"), today=TODAY)
    assert by_uri.python == "3.12"
    assert "2026-06-30" in str(by_uri.warning(TODAY))


@pytest.mark.parametrize(
    ("purpose", "accelerator", "name", "sentence"),
    [
        ("serve", "tpu", None, "no image for an endpoint on tpu"),
        ("train", "cpu", "ray-2.59", "no image ray-2.59 for training: pytorch-2.14"),
        ("serve", "cpu", "a b/c", "is no image's URI"),
        ("serve", "cpu", "localhost/c", "is no image's URI"),
        ("serve", "cpu", "x.org/" + "c" * 260, "is no image's URI"),
    ],
)
def test_what_cannot_be_chosen_says_what_can(
    purpose: images.Purpose, accelerator: str, name: str | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        choose(purpose, accelerator, name, TODAY)


@pytest.mark.parametrize(
    ("region", "start"),
    [
        ("us-east-1", "763104351884.dkr.ecr.us-east-1.amazonaws.com/"),
        ("eu-south-1", "692866216735.dkr.ecr.eu-south-1.amazonaws.com/"),
        ("me-west-1", "124382933778.dkr.ecr.me-west-1.amazonaws.com/"),
        ("us-gov-west-1", "442386744353.dkr.ecr.us-gov-west-1.amazonaws.com/"),
        ("cn-north-1", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/"),
    ],
)
def test_the_registry_is_the_region_s(region: str, start: str) -> None:
    assert uri(choose("serve", today=TODAY), region) == start + "ray:serve-ml-sagemaker-cpu-v1.5"


def test_the_role_s_resource_is_the_repository() -> None:
    image = choose("serve", today=TODAY)
    assert repository_arn(image, "us-east-1") == "arn:aws:ecr:us-east-1:763104351884:repository/ray"
    assert repository(image, "us-east-1") == repository_arn(image, "us-east-1")
    assert repository_arn(image, "cn-north-1", "aws-cn") == "arn:aws-cn:ecr:cn-north-1:727897471807:repository/ray"


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no registry of its images for mars-1: .*--image URI"):
        uri(choose("serve", today=TODAY), "mars-1")


def test_every_image_has_both_accelerators_and_a_date() -> None:
    names = {(image.name, image.accelerator) for image in IMAGES}
    assert len(names) == len(IMAGES)
    assert all((image.name, other) in names for image in IMAGES for other in ("cpu", "cuda"))
    assert all(image.patched_until and image.python for image in IMAGES)


def test_every_region_of_sagemaker_s_has_a_registry() -> None:
    import boto3

    session = boto3.Session()
    regions = {
        region
        for partition in ("aws", "aws-cn", "aws-us-gov")
        for region in session.get_available_regions("sagemaker", partition)
    }
    assert regions
    assert {region for region in regions if not images.account(region).isdigit()} == set()


def test_the_docs_table_is_this_one() -> None:
    assert generate.page("archive.md") == (generate.ROOT / "docs" / "archive.md").read_text("utf-8"), "make docs"
    assert all(f"`{image.repository}:{image.tag}`" in generate.images() for image in IMAGES)
