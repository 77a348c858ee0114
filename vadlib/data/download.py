"""Get a dataset: download its archives, verify them by their SHA-256, and unpack them safely.

Archives are kept in the cache folder, in `downloads/`; one that was put there by hand is verified
and used just the same.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pooch
import requests
import urllib3
from tqdm.auto import tqdm

from vadlib.data.store import cache_dir
from vadlib.errors import InputError, require
from vadlib.files import expand_home, not_written, require_room

# seconds without an answer, or without a further byte, after which a try is given up
TIMEOUT = 30.0
RETRIES = 2  # after the first try
CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class Archive:
    """One archive of a dataset.

    Attributes:
        url: its address; for an archive that only a browser can get, the page that offers it.
        sha256: of the file, in hex.
        into: the folder below the root that it is unpacked into; "" is the root itself.
        makes: the folder, relative to `into`, that it holds.
        by_hand: the file name of an archive that only a browser can get.
    """

    url: str
    sha256: str
    into: str
    makes: str
    by_hand: str = ""

    @property
    def file_name(self) -> str:
        return self.by_hand or self.url.rsplit("/", 1)[1]


_UCSD = Archive(
    "http://www.svcl.ucsd.edu/projects/anomaly/UCSD_Anomaly_Dataset.tar.gz",
    "2329af326951f5097fdd114c50e853957d3e569493a49d22fc082a9fd791915b",
    into="",
    makes="UCSD_Anomaly_Dataset.v1p2",
)
_AVENUE_VIDEOS = Archive(
    "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/Avenue_Dataset.zip",
    "fc9cb8432a11ca79c18aa180c72524011411b69d3b0ff27c8816e41c0de61531",
    into="avenue",
    makes="Avenue Dataset",
)
_AVENUE_MASKS = Archive(
    "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/ground_truth_demo.zip",
    "60fec1728ec8f73a58aad3aeb5729d70a805a47e0b8eb4bf91ab67ef06386d77",
    into="avenue",
    makes="ground_truth_demo",
)
_SHANGHAITECH = Archive(
    "https://svip-lab.github.io/dataset/campus_dataset.html",
    "c13a827043b259ccf8493c9d9130486872992153a9d714fe229e523cd4c94116",
    into="",
    makes="shanghaitech",
    by_hand="shanghaitech.tar.gz",
)
ARCHIVES = {
    "ped1": (_UCSD,),
    "ped2": (_UCSD,),
    "avenue": (_AVENUE_VIDEOS, _AVENUE_MASKS),
    "shanghaitech": (_SHANGHAITECH,),
}


def download_dataset(
    name: str, root: Path, mirror: str | None = None, progress: bool = True
) -> list[str]:
    """Get a dataset into `root`; what is there already is left alone.

    Args:
        name: "ped1", "ped2" (one archive holds both), "avenue", or "shanghaitech", whose archive a
            person has to put in place.
        root: the folder that holds the datasets' own folders; made if need be.
        mirror: base URL of another host; the archive's file name is appended, and its SHA-256 stays
            the same.
        progress: show bars.

    Returns:
        Lines that say what was done.

    Raises:
        InputError: nothing to download, no connection, another file than expected, or no room.
    """
    require(
        name in ARCHIVES,
        f"dataset {name!r} cannot be downloaded; expected one of: {', '.join(ARCHIVES)} "
        "(synthetic is rendered, folder is your own data)",
        "unknown-name",
        field="dataset",
    )
    lines = []
    for archive in ARCHIVES[name]:
        folder = expand_home(root).absolute() / archive.into
        target = folder / archive.makes
        if target.is_dir():
            lines.append(f"{target} is there already; move it aside to download it again")
            continue
        by_hand = archive.by_hand and mirror is None
        file = _by_hand(archive, folder) if by_hand else _fetch(archive, mirror, progress)
        count = unpack(file, folder, archive.makes, progress)
        lines.append(f"{target} was unpacked: {count} files and folders")
        lines.append(f"{file} is no longer needed")
    return lines


def _by_hand(archive: Archive, folder: Path) -> Path:
    """Return the archive that a person has downloaded, verified."""
    file = folder / archive.file_name
    require(
        file.is_file(),
        f"{folder / archive.makes}: not found, and only a browser can download it: (1) open "
        f"{archive.url}, (2) download {file.name}, (3) put it at {file}, (4) run this command "
        "again, which verifies and unpacks it",
        "missing-file",
        file=file,
    )
    digest = pooch.file_hash(str(file))
    message = f"{file}: its SHA-256 is {digest}, not {archive.sha256}; download it again"
    require(digest == archive.sha256, message, "download", file=file)
    return file


def _fetch(archive: Archive, mirror: str | None, progress: bool) -> Path:
    """Return the archive in the cache, downloaded unless it is there with the right SHA-256."""
    base = mirror or archive.url.rsplit("/", 1)[0]
    message = f"mirror {base!r}: expected a URL that starts with http:// or https://"
    require(base.startswith(("http://", "https://")), message, "wrong-format", field="--mirror")
    url = f"{base.rstrip('/')}/{archive.file_name}"
    instead = "use another host with --mirror URL (of the folder that holds it)"
    return fetch_file(url, archive.sha256, cache_dir().absolute() / "downloads", instead, progress)


def fetch_file(
    url: str, digest: str | None, folder: Path, instead: str, progress: bool = True
) -> Path:
    """Return the file at a URL, in `folder` under its own name: downloaded unless it is there.

    A download that broke off is continued.

    Args:
        url: its last part is the file's name.
        digest: its SHA-256, or "md5:" and its MD5, in hex; None takes it unverified.
        folder: made if need be.
        instead: an alternative for the user, for the message.
        progress: show a bar.

    Raises:
        InputError: no connection, another file than expected, or no room.
    """
    base, name = url.rsplit("/", 1)
    store = pooch.create(folder, f"{base}/", registry={name: digest}, retry_if_failed=RETRIES)
    downloader = partial(_stream, folder / f".{name}.part", progress)
    try:
        return Path(store.fetch(name, downloader=downloader))
    except (ValueError, requests.RequestException) as error:
        verified = " (it is verified)" if digest else ""
        raise InputError(
            f"{url}: {_reason(error)}; try again later (the download continues), or {instead}, "
            f"or download {name} by hand and put it at {folder / name}{verified}",
            "download",
            file=folder / name,
        ) from error
    except OSError as error:
        raise not_written(folder / name, error) from error


def _stream(part: Path, progress: bool, url: str, output_file: str, _pooch: object) -> None:
    """Download for pooch, continuing an earlier try; pooch's own downloader starts from zero.

    pooch then checks the SHA-256, gives the file its name, and tries again after an error.
    """
    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        # When nothing is left to send, the SHA-256 decides.
        if response.status_code != requests.codes.requested_range_not_satisfiable:
            response.raise_for_status()
            if "text/html" in response.headers.get("Content-Type", ""):
                raise requests.RequestException("the server sent a web page, not the file")
            if response.status_code != requests.codes.partial_content:
                start = 0
            _append(response, part, start, progress)
    os.replace(part, output_file)


def _append(response: requests.Response, part: Path, start: int, progress: bool) -> None:
    """Write what a server sends into a file, from byte `start` on."""
    coming = response.raw.length_remaining or 0  # unknown with some servers
    require_room(part.parent, coming)
    bar = tqdm(
        total=start + coming or None,
        initial=start,
        desc=part.name.removeprefix(".").removesuffix(".part"),
        unit="B",
        unit_scale=True,
        disable=not progress,
    )
    try:
        with bar, part.open("ab" if start else "wb") as file:
            # Undecoded: some servers label a .tar.gz as compressed content, and the SHA-256 is of
            # the file.
            while chunk := response.raw.read(CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error  # which pooch tries again


def _reason(error: Exception) -> str:
    """Return the first cause of a failed download, in one line."""
    first: BaseException = error
    while cause := first.__cause__ or first.__context__:
        first = cause
    if isinstance(first, TimeoutError):
        return f"the server sent nothing for {TIMEOUT:g} seconds"
    if isinstance(error, requests.ConnectionError):
        return " ".join(f"no connection, or it broke ({first})".split())
    return " ".join(str(error).split())


def unpack(archive_file: Path, folder: Path, makes: str, progress: bool = False) -> int:
    """Unpack the folder `makes` of a verified .zip or .tar.gz into `folder`, all or nothing.

    No member is written outside of the folder.

    Args:
        archive_file: its SHA-256 is the expected one.
        folder: made if need be.
        makes: the folder at the archive's top; it must not be there yet.
        progress: show a bar.

    Returns:
        The number of members.

    Raises:
        InputError: nothing can be written there, or there is no room.
    """
    temporary = folder / f".unpacking-{makes}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # left by a killed run
        temporary.mkdir(parents=True)
        if archive_file.suffix == ".zip":
            count = _extract_zip(archive_file, temporary, progress)
        else:
            count = _extract_tar(archive_file, temporary, progress)
        (temporary / makes).rename(folder / makes)
    except OSError as error:
        raise not_written(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def _extract_zip(path: Path, folder: Path, progress: bool) -> int:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        require_room(folder, sum(member.file_size for member in members))
        for member in tqdm(members, f"unpacking {path.name}", unit="file", disable=not progress):
            archive.extract(member, folder)  # it drops drives, roots and ".." from names
    return len(members)


def _extract_tar(path: Path, folder: Path, progress: bool) -> int:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        require_room(folder, sum(member.size for member in members))
        for member in tqdm(members, f"unpacking {path.name}", unit="file", disable=not progress):
            archive.extract(member, folder, filter="data")  # it refuses what leads out
    return len(members)
