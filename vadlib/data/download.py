"""Get a dataset: download its archives, verify them by their SHA-256, and unpack them without
trust.

Archives are kept in the cache folder, in `downloads/`; one that was put there by hand is verified
and used just the same.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath

import pooch
import requests
import urllib3
from tqdm.auto import tqdm

from vadlib.data.store import cache_dir
from vadlib.errors import InputError, require
from vadlib.files import expand_home, is_disk_full

# seconds without an answer, or without a further byte, after which a try is given up
TIMEOUT = 30.0
RETRIES = 2  # after the first try
MAX_MEMBERS = 1_000_000
CHUNK = 1 << 16  # bytes
Member = zipfile.ZipInfo | tarfile.TarInfo
# What Python raises for damaged archives.
_DAMAGE = (
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Archive:
    """One archive of a dataset.

    Attributes:
        url: where it is; for a dataset of `BY_HAND`, the page where people find it.
        sha256: of the file, in hex.
        into: the folder below the root that it is unpacked into; "" is the root itself.
        makes: the folder, relative to `into`, that it holds.
        limit: bytes; an archive that unpacks to more is refused as hostile.
    """

    url: str
    sha256: str
    into: str
    makes: str
    limit: int = 10 * 10**9


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
    limit=400 * 10**9,
)
ARCHIVES = {
    "ped1": (_UCSD,),
    "ped2": (_UCSD,),
    "avenue": (_AVENUE_VIDEOS, _AVENUE_MASKS),
    "shanghaitech": (_SHANGHAITECH,),
}
# datasets that only a browser can get: the name of the file
BY_HAND = {"shanghaitech": "shanghaitech.tar.gz"}


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
        InputError: nothing to download, no connection, another file than expected, a hostile or
            damaged archive, or no room.
    """
    known = f"{', '.join(ARCHIVES)} (synthetic is rendered, folder is your own data)"
    message = (
        f"dataset {name!r} is unknown here; there is nothing to download; expected one of: {known}"
    )
    require(name in ARCHIVES, message, "unknown-name", field="dataset")
    lines = []
    for archive in ARCHIVES[name]:
        folder = expand_home(root).absolute() / archive.into
        if (folder / archive.makes).is_dir():
            lines.append(
                f"{folder / archive.makes} is there already, nothing was downloaded; move it aside to get it anew"
            )
            continue
        file = (
            _put_there(name, archive, folder)
            if name in BY_HAND and mirror is None
            else _fetch(name, archive, mirror, progress)
        )
        count = unpack(file, folder, archive.makes, archive.limit, progress)
        lines += [
            f"{folder / archive.makes} was unpacked: {count} files and folders",
            f"{file} is no longer needed",
        ]
    return lines


def _put_there(name: str, archive: Archive, folder: Path) -> Path:
    """The archive that somebody got by hand, verified."""
    file = folder / BY_HAND[name]
    if not file.is_file():
        raise InputError(
            f"{folder / archive.makes}: not there, and {name} is only to be had by hand: (1) open {archive.url}, (2) download {file.name} "
            f"with a browser, (3) put it at {file}, (4) run this same command again, which verifies and unpacks it",
            "missing-file",
            file=file,
        )
    found = pooch.file_hash(str(file))
    message = f"{file}: its SHA-256 is {found}, not {archive.sha256}: damaged, or another file; get it again"
    require(found == archive.sha256, message, "download", file=file)
    return file


def _fetch(name: str, archive: Archive, mirror: str | None, progress: bool) -> Path:
    """The archive in the cache, downloaded unless it is there with the right SHA-256."""
    base, file_name = (
        mirror or archive.url.rsplit("/", 1)[0],
        BY_HAND.get(name) or archive.url.rsplit("/", 1)[1],
    )
    message = f"mirror {base!r}: expected a URL that starts with http:// or https://"
    require(base.startswith(("http://", "https://")), message, "wrong-format", field="--mirror")
    folder, instead = (
        cache_dir().absolute() / "downloads",
        "take another host with --mirror URL (of the folder that holds it)",
    )
    return fetch_file(
        f"{base.rstrip('/')}/{file_name}", archive.sha256, folder, instead, archive.limit, progress
    )


def fetch_file(
    url: str,
    digest: str | None,
    folder: Path,
    instead: str,
    limit: int = 10**9,
    progress: bool = True,
) -> Path:
    """The file at a URL, in `folder` under its own name: downloaded unless it is there; a download
    that broke off is gone on with.

    Args:
        url: its last part is the file's name.
        digest: its SHA-256, or "md5:" and its MD5, in hex; None takes it unverified.
        folder: made if need be.
        instead: what else the user can do when it cannot be had, for the message.
        limit: bytes; more are refused.
        progress: show a bar.

    Raises:
        InputError: no connection, another file than expected, or no room.
    """
    base, name = url.rsplit("/", 1)
    try:
        store = pooch.create(
            folder, base_url=f"{base}/", registry={name: digest}, retry_if_failed=RETRIES
        )
        return Path(
            store.fetch(
                name, downloader=partial(_stream, folder / f".{name}.part", limit, progress)
            )
        )
    except (ValueError, requests.RequestException) as error:
        raise InputError(
            f"{url}: {_why(error)}; such hosts are often down: try again later (it goes on where it stopped), or {instead}, or download "
            f"{name} by hand and put it at {folder / name}, where it is {'verified and ' if digest else ''}used",
            "download",
            file=folder / name,
        ) from error
    except OSError as error:
        message = f"{folder}: cannot keep {name} there ({error}); make room, or set VADLIB_CACHE to another folder"
        raise InputError(
            message, "disk-full" if is_disk_full(error) else "not-writable", file=folder
        ) from error


def _stream(
    part: Path, limit: int, progress: bool, url: str, output_file: str, _pooch: object
) -> None:
    """A downloader for pooch that goes on where an earlier try stopped; pooch's own starts from
    zero.

    pooch then checks the SHA-256, gives the file its name, and tries again after an error.
    """
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        # else all is here: the SHA-256 decides
        if response.status_code != requests.codes.requested_range_not_satisfiable:
            response.raise_for_status()
            is_page = "text/html" in response.headers.get("Content-Type", "")
            require(
                not is_page, "the server answers with a web page, not with the archive", "download"
            )
            have = have if response.status_code == requests.codes.partial_content else 0
            length = response.headers.get("Content-Length", "")
            coming = int(length) if length.isdecimal() else 0
            _require_room(part.parent, coming)
            bar = tqdm(
                total=have + coming or None,
                initial=have,
                desc=part.name[1:-5],
                unit="B",
                unit_scale=True,
                disable=not progress,
            )
            try:
                with bar, part.open("ab" if have else "wb") as file:
                    # Undecoded: some servers label a .tar.gz as compressed content, and the SHA-256
                    # is of the file.
                    while have <= limit and (
                        chunk := response.raw.read(CHUNK, decode_content=False)
                    ):
                        have += file.write(chunk)
                        bar.update(len(chunk))
            except urllib3.exceptions.HTTPError as error:
                raise requests.ConnectionError(error) from error  # which pooch tries again
    if have > limit:
        part.unlink()
        raise requests.RequestException(
            f"the server sends more than {limit / 1e9:g} GB, so that is not the archive"
        )
    os.replace(part, output_file)


def _why(error: Exception) -> str:
    first: BaseException = error
    while cause := first.__cause__ or first.__context__:
        first = cause
    if isinstance(first, TimeoutError):
        return f"nothing came for {TIMEOUT:g} seconds"
    return " ".join(
        f"no connection, or it broke ({first})".split()
        if isinstance(error, requests.ConnectionError)
        else str(error).split()
    )


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        raise OSError(
            errno.ENOSPC, f"{needed / 1e9:.2f} GB are needed, but only {free / 1e9:.2f} GB are free"
        )


def unpack(archive_file: Path, folder: Path, makes: str, limit: int, progress: bool = False) -> int:
    """Unpack the folder `makes` of a .zip or .tar.gz into `folder`, all or nothing; nothing that is
    there already is overwritten.

    All members are checked before the first is written; they are written into a folder of their
    own, which is renamed at the end.

    Args:
        archive_file: told by its content, not by its name.
        folder: made if need be.
        makes: the folder at the archive's top.
        limit: bytes that the members may have together.
        progress: show a bar.

    Returns:
        The number of members.

    Raises:
        InputError: a missing, damaged or hostile archive, one without the folder, a folder that is
            there already, or no room.
    """
    require(
        archive_file.is_file(),
        f"{archive_file}: no such file; expected an archive",
        "missing-file",
        file=archive_file,
    )
    message = f"{archive_file}: cannot be unpacked, because {folder / makes} is there already; move it away, or choose another folder"
    require(not os.path.lexists(folder / makes), message, "already-exists", file=folder / makes)
    temporary = folder / f".unpacking-{makes}"
    try:
        with _opened(archive_file) as archive:
            if temporary.exists():  # left by a killed run
                shutil.rmtree(temporary)
            members = _checked(archive, temporary, limit)
            tops = {Path(name).parts[0] for _, name, _ in members if Path(name).parts}
            if makes not in tops:
                raise ValueError(
                    f"it holds no folder {makes!r}, but {', '.join(map(repr, sorted(tops)[:4])) or 'nothing'}"
                )
            temporary.mkdir(parents=True)
            _require_room(folder, sum(size for _, _, size in members))
            extract = (
                partial(archive.extract, filter="data")
                if isinstance(archive, tarfile.TarFile)
                else archive.extract
            )
            for member, name, _ in tqdm(
                members, f"unpacking {archive_file.name}", unit="file", disable=not progress
            ):
                try:
                    extract(member, path=temporary)
                except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
                    raise ValueError(f"its member {name!r} is in the way of another one") from error
        (temporary / makes).rename(folder / makes)
    except _DAMAGE as error:
        reason = str(error) or "it ends early"
        message = f"{archive_file}: {reason}; expected a sound archive; nothing was unpacked: get it again"
        raise InputError(message, "damaged-file", file=archive_file) from error
    except OSError as error:
        message = f"{archive_file}: cannot be unpacked into {folder} ({error}); make room, or choose another folder"
        raise InputError(
            message, "disk-full" if is_disk_full(error) else "not-writable", file=folder
        ) from error
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)
    return len(members)


def _opened(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"\x1f\x8b":
        return tarfile.open(path, mode="r:gz")
    if head in (b"PK\x03\x04", b"PK\x05\x06"):
        return zipfile.ZipFile(path)
    raise ValueError(f"neither .zip nor .tar.gz: it starts with {head!r}")


def _checked(
    archive: zipfile.ZipFile | tarfile.TarFile, target: Path, limit: int
) -> list[tuple[Member, str, int]]:
    """Each member, its name, and its size in bytes.

    Raises:
        ValueError, tarfile.FilterError: a member that leads out of the folder, a device, or too
            much.
    """
    found, total = [], 0
    for member in archive if isinstance(archive, tarfile.TarFile) else archive.infolist():
        if isinstance(member, tarfile.TarInfo):
            name, size = member.name, member.size
            tarfile.data_filter(member, target)  # refuses absolute names, and those that lead out
            if not (member.isreg() or member.isdir()):
                raise ValueError(
                    f"its member {name!r} is a link or a device; none of these datasets has any"
                )
        else:
            name, size = member.filename, member.file_size
            # 0: made where files have no Unix mode
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(
                    f"its member {name!r} is a link or a device; none of these datasets has any"
                )
        total += size
        # On every system: on Windows "C:x" and "\\x" lead out.
        if (
            "\\" in name
            or PureWindowsPath(name).anchor
            or any(not part.strip(". ") for part in PureWindowsPath(name).parts)
        ):
            raise ValueError(f"its member {name!r} leads out of the folder")
        if total > limit or len(found) == MAX_MEMBERS:
            raise ValueError(f"it unpacks to more than {limit / 1e9:g} GB or {MAX_MEMBERS} files")
        found.append((member, name, size))
    while isinstance(archive, tarfile.TarFile) and archive.fileobj.read(CHUNK):
        pass  # up to gzip's checksum of the whole, which tarfile does not read
    return found
