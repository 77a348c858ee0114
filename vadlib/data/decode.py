"""Video files become frames: all are decoded once to learn their number, and later one by one, in
any order.

Pixels are what the file's own decoder gives, in 8 bits a sample: deeper video is rounded, and
refused where 8 bits would leave almost nothing of it. Colours follow the matrix and the range that
the stream names, and BT.601 in limited range where it names none. Frames keep their stored size:
the pixel aspect ratio is ignored. Interlaced frames stay interlaced. The quarter turn that phones
note down is applied.

A file that is cut off is an error, never a shorter video, and so is damage that container or codec
show. Only a file that tells neither its size nor its length can be cut unseen: between two parts of
a fragmented MP4 or a live Matroska, or a recording in AVI that was never finished.

Some whole files show fewer frames than they count. A recorder that could not keep up leaves frames
out (`DROPPED`): the others keep their times. A recording that begins between two key frames cannot
be decoded before the first of them (`NO_KEY`). Such frames are left out, and counted in
`VideoFrames.skipped`.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from vadlib.data.containers import empty_chunks, is_container, what_is_missing
from vadlib.data.packets import picture_type, pictures_of, refers_back
from vadlib.data.pictures import lacks_restarts
from vadlib.data.samples import LEAST_LEVELS, Levels, checksum
from vadlib.data.store import cache_dir
from vadlib.data.times import frame_times
from vadlib.data.video import LazyStack, lfs_pointer, list_files
from vadlib.errors import InputError, require
from vadlib.files import atomic, refuse_broken_link

# Program and transport streams (.mpg, .ts, .mts) are left out: they tell nowhere how long they are,
# so that any cut one looks whole.
VIDEO_SUFFIXES = {".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
DECODER_VERSION = 1  # of the pixels: the frame store keeps them by it
SCAN_VERSION = 3  # of what a scan holds: the cache keeps scans by it
# Why a whole file shows fewer frames than it counts: keys of `VideoFrames.skipped`.
DROPPED, NO_KEY = "dropped-frames", "no-key-frame"

# Of all that libav reads: no pictures, no texts, and no playlists, which would open other files.
_CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
_NEAR = 16  # frames ahead that are decoded through rather than jumped over
_PYAV = int(av.__version__.split(".")[0])
_ONE_THREAD = {"threads": 1} if _PYAV >= 17 else {}  # older ones have no choice, and take one
# newer ones take titles that are not in UTF-8 by themselves
_ANY_TITLE = {"metadata_errors": "replace"} if _PYAV < 19 else {}
_ZEROS = 16  # bytes: more zeros in a row than a compressed frame ends with
# bytes: more than any padding of these codecs, whose decoders read on through zeros in silence
_LONG_ZEROS = 64
_NEVER_PADDED = {"hevc", "vp8", "vp9", "libdav1d", "av1"}
# Decoders that show grey in place of what they lack, and flag their key frames. The others of these
# show only what is whole again; neither kind complains, unless a packet is damaged.
_GUESSING = {"flv", "h263", "h263p", "mpeg4", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "wmv1", "wmv2"}
_RECOVERING = {"h264", "hevc", "mpeg1video", "mpeg2video"}
# Decoders of JPEG fill up what is missing below a cut with grey, unless they are told to fail.
_STRICT = {"amv", "jpegls", "ljpeg", "mjpeg", "mjpegb", "sp5x"}


@dataclass(frozen=True)
class Scan:
    """What decoding all frames of a file has shown. Sizes are pixels as stored; fractions are
    (numerator, denominator).
    """

    # presentation time of each frame in units of `time_base`; None where the file gives none
    pts: list[int | None]
    keys: list[int]  # indices of the key frames, ascending
    height: int
    width: int
    turns: int  # quarter turns counterclockwise that make the picture upright, 0 to 3
    time_base: tuple[int, int]  # seconds
    rate: tuple[int, int]  # frames a second, as the container tells or libav guesses
    declared: int  # number of frames by the file's header; 0 where it gives none
    sums: list[int]  # checksum of each frame as decoded
    # frames that the decoder gives before the first whole one; they are no part of the video
    lead: int
    # when each frame is shown, in units of `time_base`, strictly increasing; empty where the file
    # does not tell
    shown: list[int]
    # frames that the file counts but does not show, by reason: `DROPPED`, `NO_KEY`
    skipped: dict[str, int]
    bits: int  # bits a sample in the file
    # levels of 256 that are left of deeper samples; 256 where a sample has 8 bits or fewer
    levels: int

    @property
    def timed(self) -> bool:
        """True if a frame can be told by its time: each has one, strictly increasing."""
        return _is_increasing(self.pts)


def _is_increasing(times: list[int | None]) -> bool:
    return None not in times and bool((np.diff(times) > 0).all())


class VideoFrames(LazyStack):
    """Frames of a video file, uint8 (T, H, W, C), upright.

    Reading in order, or a little ahead, decodes on; any other frame costs a jump to the key frame
    before it. However a frame is reached, its pixels are the same. Of all `VideoFrames` of a
    process, only the one read last keeps its file open.

    Args:
        path: the file; its first video stream that is no cover picture.
        channels: 3 for RGB, 1 for grey: the BT.601 luma of that RGB.

    Attributes:
        times: float64 (T,), seconds since the first frame, strictly increasing; see `frame_times`.
        fps: the stream's rate where it is constant, else the mean one, (T - 1) / times[-1].
        wrong_times: how many times are missing in the file or contradict the others, and were put
            between their neighbours.
        declared: the number of frames by the file's header, which may differ from T; 0 where it
            gives none.
        skipped: how many frames a whole file counts but does not show, by reason: "dropped-frames",
            those that its recorder left out; "no-key-frame", those before the first key frame,
            which cannot be decoded. Empty where it shows all.
        bits: bits a sample in the file; more than 8 are rounded.
        levels: how many levels of 256 such a file uses after rounding; 256 for a file of 8 bits.

    Raises:
        InputError: the file is no video, has no decoder here, is cut off or damaged, changes its
            size midway, is to be turned by something else than quarter turns, or has samples of
            which 8 bits leave almost nothing; when reading: it is not the same file any more.
    """

    _decoder: _Decoder | None = None

    def __init__(self, path: Path, channels: int = 3):
        require(
            channels in (1, 3),
            f"channels = {channels!r}; expected 1 for grey or 3 for RGB",
            "out-of-range",
            field="channels",
        )
        self.path, self.channels = Path(path), channels
        refuse_broken_link(self.path)
        self._stat = _stat(self.path)
        require(
            bool(self._stat), f"{path}: no such file; expected a video", "missing-file", file=path
        )
        self._scan = _stored_scan(self.path, self._stat)
        size = (self._scan.height, self._scan.width)
        self.shape = (
            len(self._scan.pts),
            *(size[::-1] if self._scan.turns % 2 else size),
            channels,
        )
        stamps = self._scan.shown or self._scan.pts
        clock = frame_times(stamps, Fraction(*self._scan.time_base), Fraction(*self._scan.rate))
        self.times, self.fps = clock.seconds, clock.fps
        self.wrong_times = clock.wrong
        self.declared, self.skipped = self._scan.declared, dict(self._scan.skipped)
        self.bits, self.levels = self._scan.bits, self._scan.levels

    def _read(self, i: int) -> np.ndarray:
        with _lock:
            frame = self._opened().read(i)
        pixels = frame if self.channels == 3 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
        return np.ascontiguousarray(np.rot90(pixels, self._scan.turns))

    def identity(self) -> list:
        return ["video", DECODER_VERSION, str(self.path.resolve()), *self._stat, self.channels]

    def close(self) -> None:
        """Close the file; the next frame opens it again."""
        with _lock:
            if self._decoder is not None:
                self._decoder.close()
                self._decoder = None

    def __del__(self):
        if self._decoder is not None:
            self.close()

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_decoder"}

    def _opened(self) -> _Decoder:
        global _latest
        if self._decoder is None:
            _close_latest()
            changed = f"{self.path}: the file was changed, moved or removed since it was loaded; load the video again"
            require(_stat(self.path) == self._stat, changed, "changed-file", file=self.path)
            self._decoder = _Decoder(self.path, self._scan)
            _latest = weakref.ref(self)
        return self._decoder


# Hundreds of videos may be loaded, and each open decoder takes memory and a file handle: only one
# stays open, in the object that `_latest` refers to. The lock is for threads that read at once.
_lock = threading.RLock()
_latest: weakref.ref[VideoFrames] | None = None


def _close_latest() -> None:
    frames = _latest and _latest()
    if frames is not None:
        frames.close()


def _before_fork() -> None:
    # A worker process that inherited an open file would move the parent's position in it.
    _lock.acquire()
    _close_latest()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release
    )


class _Decoder:
    """An open file and the position in it."""

    def __init__(self, path: Path, scan: Scan):
        self.path, self.scan, self.timed = path, scan, scan.timed
        self.index = {pts: i for i, pts in enumerate(scan.pts)} if self.timed else {}
        self.open()

    def open(self) -> None:
        self.container, self.stream = _open_video(self.path)
        self.convert = VideoReformatter()
        # `next` is the index of the frame that decoding gives next.
        self.frames, self.next = islice(self._decoded(), self.scan.lead, None), 0

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode from here on. What does not decode is passed over: `_forward` misses it by its
        time or its checksum.
        """
        for packet in self.container.demux(self.stream):
            with suppress(av.FFmpegError):
                yield from packet.decode()

    def close(self) -> None:
        self.container.close()
        # what was taken from a container keeps it in memory
        del self.container, self.stream, self.frames, self.convert

    def read(self, i: int) -> np.ndarray:
        """RGB pixels of frame i as stored, uint8 (H, W, 3)."""
        for _ in self._starts(i):
            frame = self._forward(i)
            if frame is not None and checksum(frame) == self.scan.sums[i]:
                return _rgb(self.convert, frame)
        raise InputError(
            f"{self.path}: frame {i} of {len(self.scan.pts)} cannot be decoded, though it could be when the video was loaded: "
            "the file was changed, or its disk fails; copy the file again and load the video again",
            "damaged-file",
            file=self.path,
        )

    def _starts(self, i: int) -> Iterator[None]:
        """Go to each place from which frame i may be reached, the cheapest first, and yield there."""
        keys = self.scan.keys
        at = bisect_right(keys, i)
        if self.next <= i and (i - self.next < _NEAR or at == 0 or keys[at - 1] <= self.next):
            yield
        if self.timed and at:
            key = keys[at - 1]
            try:
                if self.next == 0:
                    # The first packet brings what the decoder needs for all others, such as a
                    # palette.
                    next(self.frames, None)
                self.container.seek(self.scan.pts[key], stream=self.stream)
                self.frames, self.next = self._decoded(), key
                yield
            except av.FFmpegError:
                pass  # no index to jump by
        # The demuxer landed behind the key frame, or the codec needs what came before it.
        self.close()
        self.open()
        yield

    def _forward(self, i: int) -> av.VideoFrame | None:
        """Decode up to frame i; None if it does not come, or not whole."""
        try:
            for frame in self.frames:
                at = self.index.get(frame.pts) if self.timed else self.next
                if at is not None and at < self.next:
                    continue  # the demuxer landed before the key frame that it was sent to
                if (
                    at != self.next
                    or frame.is_corrupt
                    or (frame.height, frame.width) != (self.scan.height, self.scan.width)
                ):
                    break
                self.next += 1
                if at == i:
                    return frame
        except av.FFmpegError:
            pass  # `read` tries elsewhere, and raises when nothing is left
        self.next = len(self.scan.pts)  # nothing can be read on from here
        return None


def _rgb(convert: VideoReformatter, frame: av.VideoFrame) -> np.ndarray:
    form, options = frame.format, {}
    # grey and palettes have no matrix and no range
    if len(form.components) >= 3 and not form.is_rgb:
        full = form.name.startswith("yuvj") or frame.color_range == 2
        # libav's BT.709 and BT.2020 to swscale's; else BT.601
        matrix = {1: 1, 9: 9, 10: 9}.get(frame.colorspace, 5)
        options = {
            "src_colorspace": matrix,
            "dst_colorspace": 5,
            "src_color_range": 1 + full,
            "dst_color_range": 2,
        }
    return convert.reformat(frame, format="rgb24", **_ONE_THREAD, **options).to_ndarray()


def list_videos(folder: Path) -> list[Path]:
    """The video files of a folder in natural order, junk and results of vadlib left out; empty if
    there is none.

    A link whose target is missing is listed: opening it is an error.
    """
    return list_files(Path(folder), VIDEO_SUFFIXES)


def read_comment(path: Path) -> str:
    """Return the comment in a video file's header; "" if there is none.

    Raises:
        InputError: the file is no video, or has no decoder here.
    """
    container, _ = _open_video(Path(path))
    with container:
        return container.metadata.get("comment", "")


def is_grey(path: Path) -> bool:
    """True if the video's pixels have no colour; reads the beginning of the file only.

    Raises:
        InputError: the file is no video, or has no decoder here.
    """
    require(
        bool(_stat(Path(path))),
        f"{path}: no such file; expected a video",
        "missing-file",
        file=path,
    )
    container, stream = _open_video(Path(path))
    with container:
        return (stream.codec_context.pix_fmt or "").startswith(("gray", "mono", "ya"))


def _stat(path: Path) -> list[int]:
    """Size in bytes and time of the last change in nanoseconds; empty if there is no such file."""
    stat = path.stat() if path.is_file() else None
    return [stat.st_size, stat.st_mtime_ns] if stat else []


def _open_video(path: Path) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and find its video: the first stream that is no cover picture."""
    try:
        container = av.open(
            str(path.resolve()), container_options={"format_whitelist": _CONTAINERS}, **_ANY_TITLE
        )
    except av.FFmpegError as error:
        raise _not_a_video(path, error) from error
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    videos = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if videos and _has_decoder(videos[0]):
        # Decoding threads of libav can wait for each other for ever in a damaged file, and for
        # Python where someone listens to it. They would also hold each frame back until those
        # behind it are decoded; DataLoader workers use the processors better.
        videos[0].thread_count = 1
        if videos[0].codec_context.name in _STRICT:
            videos[0].codec_context.options = {"err_detect": "explode"}
        return container, videos[0]
    found = ", ".join(
        "picture" if stream.disposition & pictures else stream.type for stream in container.streams
    )
    container.close()
    if videos:
        message = f"{path}: a video in a coding that has no decoder here; convert it, for instance to H.264 in MP4"
        raise InputError(message, "wrong-kind-of-file", file=path)
    require(
        not found, f"{path}: only {found} in it; expected a video", "wrong-kind-of-file", file=path
    )
    raise _damaged(path, 0, 0, "it tells of no streams")


def _has_decoder(stream: av.VideoStream) -> bool:
    codec = stream.codec_context
    if codec is None:
        return False
    # the container may not say how raw samples are laid out
    return codec.name != "rawvideo" or codec.pix_fmt is not None


def _not_a_video(path: Path, error: av.FFmpegError) -> InputError:
    """Name a file that cannot be opened for what it is."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as why:
        message = f"{path}: cannot be read ({why.strerror}); expected a video: look at its permissions and its disk"
        return InputError(message, "not-readable", file=path)
    if not head:
        return InputError(
            f"{path}: an empty file; expected a video: copy or download it again",
            "empty-file",
            file=path,
        )
    if pointer := lfs_pointer(path):
        return InputError(f"{path}: {pointer}", "git-lfs-pointer", file=path)
    if is_container(head):
        return _damaged(path, 0, 0, error.strerror)
    message = f"{path}: not a video (it starts with {head[:8]!r}); expected one of {', '.join(sorted(VIDEO_SUFFIXES))}"
    return InputError(message, "wrong-kind-of-file", file=path)


def _damaged(path: Path, decoded: int, declared: int, fault: str) -> InputError:
    """Describe a file that gives fewer frames than it should; `fault` is "" where its number of
    frames is all that is wrong.
    """
    of = f" of {declared}" if declared else ""
    reason = fault or "no more come"
    message = (
        f"{path}: {decoded}{of} frames could be decoded ({reason}): the file is cut off or damaged; copy or download it again, "
        "or re-encode it if it is as long as it should be"
    )
    return InputError(
        message, "damaged-file" if fault or not declared else "frame-count", file=path
    )


def _stored_scan(path: Path, stat: list[int]) -> Scan:
    """The scan of a file, from the cache if it is there and whole."""
    identity = json.dumps([SCAN_VERSION, av.__version__, str(path.resolve()), *stat])
    stored = cache_dir() / "videos" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
    try:
        digest, _, text = stored.read_text(encoding="utf-8").partition("\n")
        if digest == hashlib.sha256(text.encode()).hexdigest():
            return Scan(**json.loads(text))
    except (OSError, UnicodeDecodeError):
        pass  # none yet, or a damaged one: it is written anew
    scan = _decode_all(path)
    text = json.dumps(asdict(scan))
    with atomic(stored) as temporary:
        temporary.write_text(
            f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}", encoding="utf-8"
        )
    return scan


def _decode_all(path: Path) -> Scan:
    """Decode every frame, without converting it.

    Raises:
        InputError: not all frames can be decoded, not all have one size and one rotation, or 8 bits
            leave almost nothing of them.
    """
    # Where no packet is flagged as one to begin with, the container does not say: then the first
    # one is.
    return _scan(path, begun=False) or _scan(path, begun=True)


def _scan(path: Path, begun: bool) -> Scan | None:
    """Decode every frame; `begun` is true if the first packet holds a key frame, flagged or not.
    None if no packet is flagged.
    """
    container, stream = _open_video(path)
    with container:
        tally = _Tally(path, stream, begun)
        fault = ""
        try:
            for packet in container.demux(stream):
                if fault := tally.add(packet):
                    break
        except av.FFmpegError as error:
            fault = error.strerror
        if not tally.begun and not fault:
            return None
        return tally.scan(fault)


class _Tally:
    """What the packets of a file promise, and the frames that come of them.

    Args:
        begun: true if decoding can begin with the first packet; else it begins with the first one
            that is flagged as a key frame.
    """

    def __init__(self, path: Path, stream: av.VideoStream, begun: bool):
        self.path, self.stream, self.begun = path, stream, begun
        self.codec = stream.codec_context.name
        self.packets = 0  # that are not empty
        self.pictures = 0  # that they show
        self.early = 0  # of these, pictures that may need what was before the file's beginning
        self.fields = False  # a packet may hold half a frame
        self.start_pts: int | None = None  # time of the first key frame
        # the packets since the first key frame have shown only pictures before it
        self.leading = False
        self.refers_back = False  # so may any picture, for some time
        self.dts: list[int | None] = []  # of packets that are not empty
        self.shown_at: list[int | None] = []  # the time at which such a packet is to be shown
        self.pts: list[int | None] = []
        self.keys: list[int] = []
        self.sums: list[int] = []
        self.lead = 0
        self.look: tuple[int, int, int] | None = None
        self.levels = Levels()
        # A long run of zeros at the end of a file was never written, even if a table of contents
        # before it is whole.
        with path.open("rb") as file:
            file.seek(-min(_ZEROS, path.stat().st_size), os.SEEK_END)
            ends_in_zeros = not any(file.read()) and self.codec != "rawvideo"
        self.zeros = _ZEROS if ends_in_zeros else _LONG_ZEROS if self.codec in _NEVER_PADDED else 0

    def add(self, packet: av.Packet) -> str:
        """Decode a packet, and return what is wrong with it, in words; "" if nothing."""
        if packet.is_corrupt or self._ends_in_zeros(packet):
            return "the next one is not whole"
        excused = bool(packet.size) and self._count(packet)
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            return "" if excused else error.strerror
        if self.codec == "mjpeg" and lacks_restarts(bytes(packet)):
            return "the next one is not whole"
        return next(filter(None, map(self._frame, frames)), "")

    def _ends_in_zeros(self, packet: av.Packet) -> bool:
        return bool(self.zeros and packet.size) and not any(bytes(packet)[-self.zeros :])

    def _count(self, packet: av.Packet) -> bool:
        """Count the pictures of a packet, and return whether its decoder may complain although the
        file is whole.
        """
        kind = picture_type(self.stream, packet)
        if self.begun:
            before = (
                packet.pts is not None
                and self.start_pts is not None
                and packet.pts < self.start_pts
            )
            self.leading &= before if kind is None else kind == "B"
            early = self.leading
        else:
            # What cannot be read may be a damaged key frame.
            self.begun = self.leading = (
                packet.is_keyframe if kind is None else kind not in ("P", "B")
            )
            self.start_pts = packet.pts if self.begun else None
            early = not self.begun
        if not self.pictures:
            self.refers_back = refers_back(self.stream, packet)
        pictures = pictures_of(self.stream, packet)
        if not packet.is_discard:
            self.packets += 1
            self.pictures += pictures
            self.early += pictures if early else 0
            self.dts.append(packet.dts)
            self.shown_at.append(packet.pts)
        if self.codec in _GUESSING | _RECOVERING:
            return pictures == 0
        return early and any(bytes(packet)[:_ZEROS])  # zeros are no picture that needs another one

    def _frame(self, frame: av.VideoFrame) -> str:
        """Take a frame, and return what is wrong with it, in words; "" if nothing."""
        look = _look(self.path, frame)
        self.look = self.look or look
        if look != self.look:
            found, first = (
                "{1}x{0} pixels and {2} quarter turns".format(*one) for one in (look, self.look)
            )
            message = f"{self.path}: frame {len(self.pts)} has {found}, the first {first}; expected one size: split it there"
            raise InputError(message, "mixed-sizes", file=self.path)
        self.fields |= frame.interlaced_frame
        if not self.pts and not self._is_whole(frame):
            self.lead += 1
            return ""
        if frame.is_corrupt:
            return "the next one is damaged"
        self.keys += [len(self.pts)] if frame.key_frame else []
        self.pts.append(frame.pts)
        self.sums.append(checksum(frame))
        self.levels.add(frame, _ONE_THREAD)
        return ""

    def _is_whole(self, frame: av.VideoFrame) -> bool:
        """False for a frame at the beginning in which grey stands for what was before the file's
        beginning.
        """
        if self.codec in _GUESSING:
            return frame.key_frame
        return frame.key_frame or self.begun or self.codec in _RECOVERING

    def scan(self, fault: str) -> Scan:
        """Return what was found.

        Raises:
            InputError: it is less than was promised, or 8 bits leave almost nothing of it.
        """
        count, stream = len(self.pts), self.stream
        kind = stream.container.format.name
        # An edit list may hide some of the frames that an MP4 declares; its packets are those that
        # it shows.
        declared = 0 if "mp4" in kind else stream.frames
        empty = empty_chunks(self.path, stream.index) if kind == "avi" and declared != count else 0
        short = self._is_short() or max(count, self.packets) < declared - empty
        fault = fault or what_is_missing(self.path)
        if not count and (self.lead or self.early or self.refers_back):
            fault = fault or "none of them is a key frame"
        if fault or short:
            raise _damaged(
                self.path, count, stream.frames or (0 if fault else self.pictures), fault
            )
        self._require_levels()
        # DivX and XviD write packets that say that a frame was dropped.
        dropped = empty + (self.packets - max(self.pictures, count) if self.codec == "mpeg4" else 0)
        # all of them are before the first key frame, or it would be short
        unseen = 0 if self.fields else self.pictures - count
        skipped = {
            reason: number
            for reason, number in ((DROPPED, dropped), (NO_KEY, unseen))
            if number > 0
        }
        rate, tick = stream.average_rate or stream.guessed_rate or Fraction(25), stream.time_base
        # An AVI tells only when packets come: frames are shown at these times, too, in an order of
        # their own.
        in_order = kind == "avi" and len(self.dts) == count and _is_increasing(self.dts)
        return Scan(
            pts=self.pts,
            keys=self.keys,
            height=self.look[0],
            width=self.look[1],
            turns=self.look[2],
            time_base=(tick.numerator, tick.denominator),
            rate=(rate.numerator, rate.denominator),
            declared=stream.frames,
            sums=self.sums,
            lead=self.lead,
            shown=self.dts if in_order else self.pts if _is_increasing(self.pts) else [],
            skipped=skipped,
            bits=self.levels.bits,
            levels=self.levels.left if self.levels.bits > 8 else 256,
        )

    def _is_short(self) -> bool:
        """True if a frame is missing that its packet promised. Those before the first key frame
        need not come.
        """
        count = len(self.pts)
        if not count or self.fields:
            return not count
        if self.codec in ("h264", "hevc"):
            # The decoder shows nothing before all references are whole again; from then on it must
            # show all.
            if not self.refers_back:
                return count < self.pictures
            if None in self.shown_at or not _is_increasing(self.pts):
                return False
            return count < sum(time >= self.pts[0] for time in self.shown_at)
        before_key = self.keys[0] if self.keys and self.early else 0
        return count - before_key < self.pictures - self.early

    def _require_levels(self) -> None:
        if not self.levels.hidden:
            return
        levels = self.levels
        message = (
            f"{self.path}: its samples have {levels.bits} bits and take {levels.values} values, of which 8 bits would leave "
            f"{levels.left} of 256 levels; expected at least {LEAST_LEVELS}: stretch the values over the whole range when "
            "converting the video to 8 bits, in the same way for all videos"
        )
        raise InputError(message, "wrong-kind-of-file", file=self.path)


def _look(path: Path, frame: av.VideoFrame) -> tuple[int, int, int]:
    """Height and width as stored, and the quarter turns counterclockwise that make the frame
    upright.
    """
    angle, mirrored = frame.rotation, False
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
        mirrored = (
            matrix is not None
            and np.linalg.det(np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)[:2, :2] / 65536)
            < 0
        )
    except ValueError:
        pass  # PyAV does not know all that a frame may have with it, and then tells of none
    if mirrored or angle % 90:
        how = "mirrored" if mirrored else f"turned by {angle} degrees"
        message = f"{path}: to be shown {how}; expected quarter turns only: re-encode it upright"
        raise InputError(message, "wrong-kind-of-file", file=path)
    return frame.height, frame.width, angle // 90 % 4
