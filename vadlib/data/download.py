"""Get a dataset: download its archives, verify them by their SHA-256, and unpack them safely.

Archives are kept in the cache folder, in `downloads/`; one that was put there by hand is verified
and used just the same.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pooch
import requests
from tqdm.auto import tqdm

from vadlib.data.store import cache_dir
from vadlib.errors import InputError, require, require_known
from vadlib.files import expand_home, not_written, require_room

# seconds without an answer, or without a further byte, after which a try is given up
TIMEOUT = 30.0


class Archive(NamedTuple):
    """One archive of a dataset.

    Attributes:
        url: its address; where only a browser can get it, the page (.html) that offers it.
        sha256: of the file, in hex.
        makes: the folder that it holds, below the root of the datasets.
    """

    url: str
    sha256: str
    makes: str


_UCSD = Archive(
    "http://www.svcl.ucsd.edu/projects/anomaly/UCSD_Anomaly_Dataset.tar.gz",
    "2329af326951f5097fdd114c50e853957d3e569493a49d22fc082a9fd791915b",
    makes="UCSD_Anomaly_Dataset.v1p2",
)
_AVENUE = Archive(
    "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/Avenue_Dataset.zip",
    "fc9cb8432a11ca79c18aa180c72524011411b69d3b0ff27c8816e41c0de61531",
    makes="avenue/Avenue Dataset",
)
_MASKS = Archive(
    "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/ground_truth_demo.zip",
    "60fec1728ec8f73a58aad3aeb5729d70a805a47e0b8eb4bf91ab67ef06386d77",
    makes="avenue/ground_truth_demo",
)
_CAMPUS = Archive(
    "https://svip-lab.github.io/dataset/campus_dataset.html",
    "c13a827043b259ccf8493c9d9130486872992153a9d714fe229e523cd4c94116",
    makes="shanghaitech",
)
ARCHIVES = dict(ped1=[_UCSD], ped2=[_UCSD], avenue=[_AVENUE, _MASKS], shanghaitech=[_CAMPUS])


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
    require_known(name, ARCHIVES, "dataset")
    lines = []
    for archive in ARCHIVES[name]:
        target = expand_home(root).absolute() / archive.makes
        if target.is_dir():
            lines.append(f"{target} is there already; move it aside to download it again")
            continue
        file = _archive_file(archive, target.parent, mirror, progress)
        with tqdm(desc=f"unpacking {file.name}", disable=not progress):
            unpack(file, target.parent, target.name)
        lines.append(f"{target} was unpacked; {file} is no longer needed")
    return lines


def _archive_file(archive: Archive, folder: Path, mirror: str | None, progress: bool) -> Path:
    """Return an archive, verified: from the cache, the web, or where a person has put it."""
    base, name = archive.url.rsplit("/", 1)
    is_page = name.endswith(".html")
    name = f"{Path(archive.makes).name}.tar.gz" if is_page else name
    if mirror or not is_page:
        url = f"{(mirror or base).rstrip('/')}/{name}"
        cache = cache_dir().absolute() / "downloads"
        return fetch_file(url, archive.sha256, cache, "take another host (--mirror URL)", progress)
    file = folder / name
    message = f"{file}: not found; download it from {archive.url} in a browser, and put it there"
    require(file.is_file(), message, "missing-file", file=file)
    digest = pooch.file_hash(str(file))
    message = f"{file}: its SHA-256 is {digest}, not {archive.sha256}; download it again"
    require(digest == archive.sha256, message, "download", file=file)
    return file


def fetch_file(url: str, digest: str | None, folder: Path, instead: str, bar: bool = True) -> Path:
    """Return the file at a URL, in `folder` under its own name: downloaded unless it is there.

    A download that broke off is continued.

    Args:
        url: its last part is the file's name.
        digest: its SHA-256, or "md5:" and its MD5, in hex; None takes it unverified.
        folder: made if need be.
        instead: an alternative for the user, for the message.
        bar: show a bar of the progress.

    Raises:
        InputError: no connection, another file than expected, or no room.
    """
    base, name = url.rsplit("/", 1)
    path = folder / name
    # pooch checks the SHA-256, gives the file its name, and tries again after an error.
    store = pooch.create(folder, f"{base}/", registry={name: digest}, retry_if_failed=2)
    try:
        return Path(store.fetch(name, downloader=partial(_stream, bar)))
    except (ValueError, requests.RequestException) as error:
        advice = f"try again later (it continues), {instead}, or download it by hand to {path}"
        message = " ".join(f"{url}: {error}; {advice}".split())
        raise InputError(message, "download", file=path) from error
    except OSError as error:
        raise not_written(path, error) from error


def _stream(progress: bool, url: str, output_file: str, store: pooch.Pooch) -> None:
    """Download for pooch, continuing an earlier try; pooch's own downloader starts from zero."""
    name = url.rsplit("/", 1)[1]
    part = store.abspath / f".{name}.part"
    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        # When nothing is left to send, the SHA-256 decides.
        if response.status_code != requests.codes.requested_range_not_satisfiable:
            response.raise_for_status()
            if "text/html" in response.headers.get("Content-Type", ""):
                raise requests.RequestException("the server sent a web page, not the file")
            if response.status_code != requests.codes.partial_content:
                start = 0
            # Some servers label a .tar.gz as compressed content, but the SHA-256 is of the file.
            response.raw.headers.pop("Content-Encoding", None)
            coming = response.raw.length_remaining or 0  # unknown with some servers
            require_room(part.parent, coming)
            total = start + coming or None
            bar = tqdm(None, name, total, disable=not progress, initial=start, unit="B")
            with part.open("ab" if start else "wb") as file, bar:
                for chunk in response.iter_content(1 << 16):
                    bar.update(file.write(chunk))
    os.replace(part, output_file)


def unpack(archive_file: Path, folder: Path, makes: str) -> None:
    """Unpack the folder `makes` of a verified .zip or .tar.gz into `folder`, all or nothing.

    No member is written outside of the folder.

    Args:
        archive_file: its SHA-256 is the expected one.
        folder: made if need be.
        makes: the folder at the archive's top; it must not be there yet.

    Raises:
        InputError: nothing can be written there, or there is no room.
    """
    temporary = folder / f".unpacking-{makes}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # left by a killed run
        temporary.mkdir(parents=True)
        # Members of a .zip that lead out are left out, those of a .tar.gz are refused.
        is_zip = archive_file.suffix == ".zip"
        shutil.unpack_archive(archive_file, temporary, filter=None if is_zip else "data")
        (temporary / makes).rename(folder / makes)
    except OSError as error:
        raise not_written(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
