"""`plaudit deploy`, `status` and `down` as a user meets them: processes of their own, against moto's server."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.places.aws.account import Account
from plaudit.places.aws.names import Name
from plaudit.places.aws.storage import Storage
from tests.cli.test_commands import plaudit

BUCKET = "plaudit-123456789012-us-east-1"


@pytest.fixture
def there(bundle: Bundle) -> Path:
    assert bundle.path is not None
    return bundle.path


@pytest.mark.parametrize(
    "options", [["--to", "lambda", "--ttl", "4h"], ["--to", "sagemaker"]], ids=lambda each: each[1]
)
def test_a_plan_prints_resources_cost_and_template_and_calls_nothing(
    options: list[str], credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = plaudit("deploy", *options, "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    template, _, table = done.stdout.removeprefix("template\n").partition("\nstack ")
    assert re.search(r"Function +AWS::Lambda::Function", table)
    assert "idle, a month" in table
    assert "a million reviews" in table
    assert re.search(r"together +\$[0-9.]+ +\$[0-9.]+", table)
    shown = json.loads(template)
    as_json = json.loads(plaudit("deploy", *options, "--plan", "--json", cwd=tmp_path).stdout)
    assert as_json["template"]["Resources"].keys() == shown["Resources"].keys()
    assert as_json["cost"]["idle_a_month"] < 1
    assert as_json["cost"]["a_million_reviews"] > 1
    assert ("Ending" in shown["Resources"]) == ("--ttl" in options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["deploy"], "--to lambda .* or --to sagemaker"),
        (["deploy", "--to", "sagemaker", "--memory", "3000"], "1,024 to 6,144 MB in whole GB"),
        (["deploy", "--to", "lambda", "--name", "Reviews"], "is no name"),
        (["deploy", "--to", "lambda", "--ttl", "soon"], "write 30m, 4h or 2d"),
        (["deploy", "--to", "lambda", "--image", "ray-2.59"], "a function has none"),
        (["deploy", "--to", "sagemaker", "--image", "ray-1.0"], "there is no image ray-1.0"),
        (["deploy", "--to", "lambda", "--memory", "2048"], "--memory is for a page before a serverless endpoint"),
        (["deploy", "--to", "sagemaker", "--max-instances", "3"], "--max-instances is for .* real-time endpoint or"),
        (["deploy", "--rollback", "--plan"], "leave --plan out"),
        (["deploy", "--to", "lambda", "--plan", "--region", "us-east-9"], "us-east-9"),
        (["deploy", "nobundle", "--to", "lambda", "--plan"], "nobundle: there is no bundle"),
        (["status", "Bad_Name"], "is no name"),
        (["down"], "name what to take back, or say --all"),
        (["down", "x", "--all"], "name what to take back, or say --all"),
    ],
)
def test_a_users_mistake_is_one_sentence_before_any_call(
    arguments: list[str], sentence: str, credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = plaudit(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(sentence, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_expired_image_is_taken_by_name_only_and_with_a_warning(credentials: None, tmp_path: Path) -> None:
    done = plaudit("deploy", "--to", "sagemaker", "--plan", "--json", "--image", "pytorch-inference-2.6", cwd=tmp_path)
    assert done.returncode == 0
    assert "2026-06-30" in done.stderr
    usual = json.loads(plaudit("deploy", "--to", "sagemaker", "--plan", "--json", cwd=tmp_path).stdout)
    container = usual["template"]["Resources"]["Model"]["Properties"]["PrimaryContainer"]
    assert "ray:serve-ml-sagemaker-cpu" in container["Image"]


def test_out_changed_back_and_down(account: Account, there: Path, tmp_path: Path) -> None:
    first = plaudit("deploy", there, "--to", "lambda", "--name", "demo", "--no-check", "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert (found["kind"], found["revision"], found["region"]) == ("function", 1, "us-east-1")
    assert re.fullmatch(r"https://\w+\.execute-api\.us-east-1\.amazonaws\.com/", found["page"])
    assert re.search(r"the function has [\d.]+ MB unzipped", first.stderr)
    (sent,) = Storage(account, BUCKET).keys("demo/function/")
    zipped = Storage(account, BUCKET).download(sent.key, tmp_path / "function.zip")
    with zipfile.ZipFile(zipped) as archive:
        assert {"bundle/manifest.json", "plaudit/places/aws/function.py"} <= set(archive.namelist())

    changed = ["deploy", str(there), "--to", "lambda", "--name", "demo", "--no-check", "--function-memory", "1024"]
    second = plaudit(*changed, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert second.stdout.strip() == found["page"], "the page's address is the command's data"
    assert "there already" in second.stderr
    again = plaudit("deploy", "--name", "demo", "--rollback", "--no-check", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "going back to revision 1" in again.stderr

    status = plaudit("status", cwd=tmp_path)
    assert status.returncode == 0, status.stderr
    assert re.search(r"demo +function +plaudit-demo +Active", status.stdout)
    assert re.search(r"together +\$?[\w.]+ (an hour|a month)", status.stdout)
    as_json = json.loads(plaudit("status", "demo", "--json", cwd=tmp_path).stdout)
    assert {entry["name"] for entry in as_json["resources"]} == {"demo"}
    assert as_json["orphans"] == []

    down = plaudit("down", "demo", cwd=tmp_path)
    assert down.returncode == 0, down.stderr
    assert down.stdout == "nothing of demo is left in us-east-1\n"
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert plaudit("status", cwd=tmp_path).stdout == "nothing of Plaudit's is in us-east-1\n"
    twice = plaudit("down", "demo", "--json", cwd=tmp_path)
    assert json.loads(twice.stdout) == {"region": "us-east-1", "taken_back": {"demo": 0}, "failed": []}


def test_an_endpoint_with_its_archive(account: Account, there: Path, tmp_path: Path) -> None:
    done = plaudit("deploy", there, "--to", "sagemaker", "--name", "demo", "--no-check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (sent,) = Storage(account, BUCKET).keys("demo/archive/")
    config = account.client("sagemaker").list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigName"]
    (variant,) = account.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 5}
    model = account.client("sagemaker").describe_model(ModelName=variant["ModelName"])
    assert model["PrimaryContainer"]["ModelDataUrl"] == f"s3://{BUCKET}/{sent.key}"
    down = plaudit("down", "--all", cwd=tmp_path)
    assert (down.returncode, down.stdout) == (0, "nothing of demo is left in us-east-1\n"), down.stderr


def test_status_finds_what_no_stack_owns_and_names_the_command(account: Account, tmp_path: Path) -> None:
    account.client("logs").create_log_group(logGroupName="/aws/lambda/plaudit-lost", tags=Name("lost").tags)
    done = plaudit("status", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"lost +log group +/aws/lambda/plaudit-lost +NO STACK", done.stdout)
    assert "plaudit down lost --region us-east-1" in done.stderr
    assert plaudit("down", "lost", "--region", "us-east-1", cwd=tmp_path).returncode == 0
    assert plaudit("status", cwd=tmp_path).returncode == 0


def test_without_credentials_the_sentence_says_where_they_come_from(
    credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    done = plaudit("status", cwd=tmp_path)
    assert done.returncode == 2
    assert "aws configure" in done.stderr
