"""Lists of blobs and containers, as the XML that the Blob service answers with."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from xml.sax.saxutils import escape, quoteattr

from deployer_localstack.azure.storage.store import Blob, BlobContainer

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
_MOST = 5000


def of_blobs(endpoint: str, container: str, found: list[tuple[str, Blob]], query: Mapping[str, str]) -> bytes:
    """One page; a marker is the name that the next one begins with. With a delimiter, what is below it is one prefix (List Blobs)."""
    prefix, delimiter, with_metadata = query.get("prefix", ""), query.get("delimiter", ""), "metadata" in query.get("include", "")
    entries: dict[str, str] = {}
    for name, blob in found:
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            below = name[: end + len(delimiter)]
            entries.setdefault(below, f"<BlobPrefix><Name>{escape(below)}</Name></BlobPrefix>")
        else:
            entries[name] = _blob(name, blob, with_metadata=with_metadata)
    told = f"<Prefix>{escape(prefix)}</Prefix>" + (f"<Delimiter>{escape(delimiter)}</Delimiter>" if delimiter else "")
    root = f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint)} ContainerName={quoteattr(container)}>"
    return _page(root, told, "Blobs", entries, query)


def of_containers(endpoint: str, containers: Mapping[str, BlobContainer], query: Mapping[str, str]) -> bytes:
    """One page of an account's containers (List Containers)."""
    prefix = query.get("prefix", "")
    entries = {
        name: f"<Container><Name>{escape(name)}</Name><Properties><Last-Modified>{formatdate(each.modified, usegmt=True)}</Last-Modified>"
        f"<Etag>{escape(each.etag)}</Etag><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState></Properties></Container>"
        for name, each in sorted(containers.items())
        if name.startswith(prefix)
    }
    root = f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint)}>"
    return _page(root, f"<Prefix>{escape(prefix)}</Prefix>", "Containers", entries, query)


def _page(root: str, told: str, kind: str, entries: Mapping[str, str], query: Mapping[str, str]) -> bytes:
    most, marker = min(int(query.get("maxresults") or _MOST), _MOST), query.get("marker", "")
    names = [name for name in entries if name >= marker]
    following = names[most] if len(names) > most else ""
    content = "".join(entries[name] for name in names[:most])
    return f"{_DECLARATION}{root}{told}<{kind}>{content}</{kind}><NextMarker>{escape(following)}</NextMarker></EnumerationResults>".encode()


def _blob(name: str, blob: Blob, *, with_metadata: bool) -> str:
    metadata = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items()) if with_metadata else ""
    properties = {
        "Creation-Time": formatdate(blob.created, usegmt=True),
        "Last-Modified": formatdate(blob.modified, usegmt=True),
        "Etag": blob.etag,
        "Content-Length": str(blob.size),
        "Content-Type": blob.content_type,
        "Content-MD5": blob.md5,
        "BlobType": "BlockBlob",
        "AccessTier": "Hot",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
    }
    told = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in properties.items() if value)
    return f"<Blob><Name>{escape(name)}</Name><Properties>{told}</Properties>{f'<Metadata>{metadata}</Metadata>' if metadata else ''}</Blob>"
