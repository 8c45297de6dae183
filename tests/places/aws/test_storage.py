"""Objects at moto's server: sent once, fetched whole, removed with their versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from plaudit.places.aws import storage as module
from plaudit.places.aws.account import Account, Refused
from plaudit.places.aws.storage import Object, Storage


@pytest.fixture
def storage(account: Account) -> Storage:
    account.client("s3").create_bucket(Bucket="bucket")
    return Storage(account, "bucket")


def test_small_and_large_files_go_there_and_come_back(storage: Storage, tmp_path: Path) -> None:
    for size in (0, 1, module.CHUNK, module.CHUNK + 1, 2 * module.CHUNK + 5):
        path = tmp_path / str(size)
        path.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
        assert storage.upload(path, f"a/{size}") == f"s3://bucket/a/{size}"
        fetched = storage.download(f"a/{size}", tmp_path / "back" / str(size))
        assert fetched.read_bytes() == path.read_bytes()
    assert storage.keys("a/1") == [Object("a/1", 1), Object("a/16777221", 16777221)]


def test_what_is_there_is_not_sent_again(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"first")
    storage.upload(path, "key")
    path.write_bytes(b"other")
    storage.upload(path, "key")
    assert storage.get("key") == b"first", "keys are made of what they hold: the same key is the same content"
    path.write_bytes(b"longer than before")
    storage.upload(path, "key")
    assert storage.get("key") == b"longer than before", "half an upload of another time is made whole"


def test_a_stop_in_the_middle_takes_its_parts_back(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * (2 * module.CHUNK + 1))

    def stop(items: object, what: str, total: int | None = None) -> object:
        yield next(iter(items))  # type: ignore[call-overload]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.upload(path, "key", stop)  # type: ignore[arg-type]
    client = storage.account.client("s3")
    assert client.list_multipart_uploads(Bucket="bucket").get("Uploads", []) == []
    assert not storage.has("key")


def test_removing_takes_versions_and_unfinished_uploads_too(storage: Storage) -> None:
    client = storage.account.client("s3")
    client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    storage.put("a/1", b"first")
    storage.put("a/1", b"second")
    client.delete_object(Bucket="bucket", Key="a/1")
    client.create_multipart_upload(Bucket="bucket", Key="a/2")
    storage.put("b/1", b"stays")
    assert storage.remove("a/") == 3
    assert storage.keys() == [Object("b/1", 5)]
    assert client.list_multipart_uploads(Bucket="bucket").get("Uploads", []) == []
    storage.remove("")
    client.delete_bucket(Bucket="bucket")


def test_a_bucket_that_is_missing_is_empty(account: Account) -> None:
    missing = Storage(account, "missing")
    assert missing.keys() == []
    assert missing.remove("") == 0
    assert not missing.has("key")
    with pytest.raises(Refused, match="s3://missing/key"):
        missing.get("key")
