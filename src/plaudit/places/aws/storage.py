"""Objects in Plaudit's bucket: up, down, listed, removed. Knows no stack and no job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaudit.places.aws.account import Account, Refused, told
from plaudit.progress import Track, quiet

CHUNK = 8 << 20
EXPIRES = "plaudit:days"
"""The tag of an object that the bucket's lifecycle rules look at."""
MISSING = frozenset("404 NoSuchKey NoSuchBucket NotFound".split())


@dataclass(frozen=True)
class Object:
    """``size`` is in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class Storage:
    """The objects of one bucket."""

    account: Account
    bucket: str

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def has(self, key: str) -> bool:
        try:
            with told(f"looking for {self.uri(key)}"):
                self._client.head_object(Bucket=self.bucket, Key=key)
        except Refused as refused:
            if refused.code in MISSING:
                return False
            raise
        return True

    def put(self, key: str, content: bytes) -> str:
        """Writes an object; its address."""
        with told(f"writing {self.uri(key)}"):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return self.uri(key)

    def get(self, key: str) -> bytes:
        with told(f"reading {self.uri(key)}"):
            return bytes(self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def upload(self, path: Path, key: str, track: Track = quiet, again: bool = False) -> str:
        """Sends a file; its address. One that is there already, with the same size, is sent only ``again``."""
        size = path.stat().st_size
        if not again and any(found.key == key and found.size == size for found in self.keys(key)):
            return self.uri(key)
        with path.open("rb") as file, told(f"uploading {path.name} to {self.uri(key)}"):
            if size <= CHUNK:
                self._client.put_object(Bucket=self.bucket, Key=key, Body=file)
            else:
                self._send_parts(file, key, size, track)
        return self.uri(key)

    def _send_parts(self, file: Any, key: str, size: int, track: Track) -> None:
        """A multipart upload; a stop in the middle takes back the parts that were sent."""
        place = {"Bucket": self.bucket, "Key": key}
        upload = {**place, "UploadId": self._client.create_multipart_upload(**place)["UploadId"]}
        try:
            parts = []
            pieces = iter(lambda: file.read(CHUNK), b"")
            for number, piece in enumerate(track(pieces, f"uploading {key.rsplit('/', 1)[-1]}", -(-size // CHUNK)), 1):
                sent = self._client.upload_part(**upload, PartNumber=number, Body=piece)
                parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            self._client.abort_multipart_upload(**upload)
            raise

    def download(self, key: str, path: Path, track: Track = quiet) -> Path:
        """Fetches an object into a file; a stop leaves no half of one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with told(f"fetching {self.uri(key)}"):
            found = self._client.get_object(Bucket=self.bucket, Key=key)
            pieces = -(-int(found["ContentLength"]) // CHUNK)
            with part.open("wb") as file:
                for piece in track(found["Body"].iter_chunks(CHUNK), f"fetching {path.name}", pieces):
                    file.write(piece)
        return part.replace(path)

    def keys(self, prefix: str = "") -> list[Object]:
        """The objects under ``prefix``, in the order of their keys; [] where the bucket is missing."""
        found: list[Object] = []
        try:
            with told(f"listing {self.uri(prefix)}"):
                for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                    found += [Object(entry["Key"], entry["Size"]) for entry in page.get("Contents", ())]
        except Refused as refused:
            if refused.code not in MISSING:
                raise
        return found

    def remove(self, prefix: str) -> int:
        """Deletes what is under ``prefix``, with all its versions and unfinished uploads; how many objects it was."""
        number = 0
        try:
            with told(f"removing {self.uri(prefix)}"):
                for several in _by_thousand(self._versions(prefix)):
                    self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": several, "Quiet": True})
                    number += len(several)
                for page in self._client.get_paginator("list_multipart_uploads").paginate(
                    Bucket=self.bucket, Prefix=prefix
                ):
                    for upload in page.get("Uploads", ()):
                        self._client.abort_multipart_upload(
                            Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
        except Refused as refused:
            if refused.code not in MISSING:
                raise
        return number

    def expire(self, prefix: str, days: int | None) -> None:
        """Marks what is under ``prefix`` for the bucket's lifecycle rules, or takes the mark off again."""
        with told(f"marking {self.uri(prefix)}"):
            for found in self.keys(prefix):
                place = {"Bucket": self.bucket, "Key": found.key}
                if days is None:
                    self._client.delete_object_tagging(**place)
                else:
                    mark = {"TagSet": [{"Key": EXPIRES, "Value": str(days)}]}
                    self._client.put_object_tagging(**place, Tagging=mark)

    def _versions(self, prefix: str) -> Iterator[dict[str, str]]:
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}

    @property
    def _client(self) -> Any:
        return self.account.client("s3")


def _by_thousand(items: Iterable[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """S3 deletes a thousand objects a call at most."""
    several: list[dict[str, str]] = []
    for item in items:
        several.append(item)
        if len(several) == 1_000:
            yield several
            several = []
    if several:
        yield several
