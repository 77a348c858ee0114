"""Decode video files: read all frames in order to count and check them, or any frame by its number.

Pixels are what the file's own decoder gives, in 8 bits a sample: 10 bits are rounded, and deeper
video is refused. Colours follow the matrix and the range that the stream names, and BT.601 in
limited range where it names none. Frames keep their stored size: the pixel aspect ratio is ignored.
Interlaced frames stay interlaced. The quarter turn that phones note down is applied.

A file that is cut off is an error, never a shorter video, and so is damage that container or codec
show. Only a file that tells neither its size nor its length can be cut unseen: between two parts of
a fragmented MP4, or a live Matroska.

Some whole files show fewer frames than they count. A recorder that could not keep up leaves frames
out (`DROPPED`): the others keep their times. A recording that begins between two key frames cannot
be decoded before the first of them (`NO_KEY`). Such frames are left out, and counted in
`Scan.skipped`.
"""

from __future__ import annotations

import mmap
import re
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from vadlib.data.store import digest, save_arrays, saved_arrays
from vadlib.data.video import LazyStack, file_stamp, list_files, wrong_kind
from vadlib.errors import InputError, require

# Program and transport streams (.mpg, .ts, .mts) are left out: they tell nowhere how long they are,
# so that any cut one looks whole.
VIDEO_SUFFIXES = {".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
DECODER_VERSION = 1  # of the pixels: the frame store keeps them by it
SCAN_VERSION = 5  # of the fields of `Scan`: the cache keeps scans by it
# Why a whole file shows fewer frames than it counts: keys of `Scan.skipped`.
DROPPED, NO_KEY = "dropped-frames", "no-key-frame"

# Of all that libav reads: no pictures, no texts, and no playlists, which would open other files.
_CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
_HEAD = re.compile(rb"RIFF|\x1a\x45\xdf\xa3|....(ftyp|moov|mdat|free|wide)", re.DOTALL)
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # of Matroska
_PICTURES = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
# seconds, five years: right stamps are no farther from the middle one
_FARTHEST = 5 * 366 * 24 * 3600
_NEAR = 16  # frames ahead that are decoded through rather than jumped over
_PYAV = int(av.__version__.split(".")[0])
# newer ones take titles that are not in UTF-8 by themselves
_ANY_TITLE: dict[str, Any] = {"metadata_errors": "replace"} if _PYAV < 19 else {}
# Decoders that read on through zeros in silence. No frame of theirs ends in so many.
_CODED = {"h264", "hevc", "libdav1d", "av1", "mpeg4", "vp8", "vp9"}
_HOLE = bytes(64)
_UNWRITTEN = bytes(16)  # so few at the end of a file count as a hole, too
# Decoders that need nothing from before a key frame. Others forget palettes when they jump.
_SEEKABLE = _CODED | {"mjpeg"}


@dataclass(frozen=True)
class Scan:
    """What decoding all T frames of a file has shown.

    Attributes:
        pts: float64 (T,), the time stamp of each frame in ticks; NaN where the file gives none.
        times: float64 (T,), seconds since the first frame, strictly increasing; see `frame_times`.
        fps: the stream's rate where it is constant, else the mean one, (T - 1) / times[-1].
        wrong_times: how many stamps are missing in the file or contradict the others.
        look: int64 (3,), height and width as stored, and the quarter turns counterclockwise that
            make the picture upright.
        declared: the number of frames by the file's header, which may differ from T; 0: none.
        dropped: frames that the recorder left out.
        undecodable: frames before the first key frame.
    """

    pts: np.ndarray
    times: np.ndarray
    fps: float
    wrong_times: int
    look: np.ndarray
    declared: int
    dropped: int
    undecodable: int

    @property
    def skipped(self) -> dict[str, int]:
        """Frames that the file counts but does not show, by reason: `DROPPED`, `NO_KEY`."""
        counts = {DROPPED: self.dropped, NO_KEY: self.undecodable}
        return {reason: count for reason, count in counts.items() if count > 0}


class VideoFrames(LazyStack):
    """Frames of a video file, uint8 (T, H, W, C), upright.

    Creating one reads the file's first frame only. The number of frames, their times and whether
    the file is whole are known once all frames have been decoded. Iterating does so; so does asking
    for any of them, such as `len(frames)`. The result is kept in the cache.

    Reading in order, or a little ahead, decodes on; any other frame costs the way from the key
    frame before it, or from the beginning in codecs that cannot start anywhere else. Of all
    `VideoFrames` of a process, only the one read last keeps its file open. They are not for several
    threads at once.

    Args:
        path: the file; its first video stream that is no cover picture.
        channels: 3 for RGB, 1 for grey: the BT.601 luma of that RGB.

    Raises:
        InputError: the file is no video or has no decoder here, is to be turned by something else
            than quarter turns, or has more than 10 bits a sample; once its frames are decoded: it
            is cut off or damaged, changes its size midway, or is not the same file any more.
    """

    _reader: _Reader | None = None  # of the class: it reads the one file that is open

    def __init__(self, path: Path, channels: int = 3):
        self.path, self.channels = Path(path), channels
        self._stamp = file_stamp(self.path)
        self._key = digest([SCAN_VERSION, av.__version__, *self._stamp])
        self._scan: Scan | None = None
        if arrays := saved_arrays("videos", self._key):
            fields: dict[str, Any] = {k: v if v.ndim else v.item() for k, v in arrays.items()}
            self._scan = Scan(**fields)
            self._look, self._length = self._scan.look.tolist(), len(self._scan.pts)
            return
        decoding = _Pass(self.path)
        frames = decoding.frames()
        self._look, self._length = list(_look(self.path, next(frames))), decoding.stream.frames

    @property
    def scan(self) -> Scan:
        """What decoding all frames has shown; the first time, it decodes them."""
        if self._scan is None:
            for _ in self._pass():
                pass
        assert self._scan is not None
        return self._scan

    @property
    def shape(self) -> tuple[int, int, int, int]:  # type: ignore[override]  # is never set
        """(T, H, W, C)."""
        return (len(self.scan.pts), *self.header_shape[1:])

    @property
    def header_shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, C) without decoding all frames: T is the header's, or 0, until that is done."""
        *size, turns = self._look
        height, width = size[::-1] if turns % 2 else size
        return (self._length, height, width, self.channels)

    @property
    def times(self) -> np.ndarray:
        """float64 (T,), seconds since the first frame, strictly increasing."""
        return self.scan.times

    @property
    def fps(self) -> float:
        """Frames a second: the stream's rate where it is constant, else the mean one."""
        return self.scan.fps

    def __iter__(self) -> Iterator[np.ndarray]:
        """Decode and check all frames in order."""
        convert = VideoReformatter()
        for frame in self._pass():
            yield self._upright(_rgb(convert, frame))

    def _pass(self) -> Iterator[av.VideoFrame]:
        """Decode all frames, and keep what that shows."""
        self._require_unchanged()
        decoding = _Pass(self.path)
        yield from decoding.frames()
        if self._scan is None:
            self._scan = decoding.scan
            self._length = len(self._scan.pts)
            save_arrays("videos", self._key, vars(self._scan))

    def _read(self, i: int) -> np.ndarray:
        """Frame i, by the reader of this file; that of another file is closed for it."""
        pts, reader = self.scan.pts, VideoFrames._reader
        if reader is None or reader.pts is not pts:
            self._require_unchanged()
            if reader is not None:
                reader.container.close()
            VideoFrames._reader = None  # until the next one is open
            reader = VideoFrames._reader = _Reader(self.path, pts)
        return self._upright(reader.read(i))

    def _require_unchanged(self) -> None:
        """Refuse to go on with a file that is not the one that was loaded."""
        is_same = self.path.is_file() and file_stamp(self.path) == self._stamp
        message = f"{self.path}: the file was changed, moved or removed; load the video again"
        require(is_same, message, "changed-file", file=self.path)

    def _upright(self, rgb: np.ndarray) -> np.ndarray:
        """Turn stored pixels, uint8 (H, W, 3), upright and, where asked for, to grey."""
        grey = self.channels == 1
        pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None] if grey else rgb
        return np.ascontiguousarray(np.rot90(pixels, self._look[2]))

    def identity(self) -> list[Any]:
        """Return how the file is read, and its stamp."""
        return ["video", DECODER_VERSION, *self._stamp, self.channels]


class _Pass:
    """One reading of a file from its beginning to its end, and what it shows.

    Packets promise pictures. The file is damaged if any of them does not come, unless it belongs
    before the first key frame.
    """

    scan: Scan  # once all frames have come

    def __init__(self, path: Path):
        self.path = path
        self.container, self.stream = _open_video(path)
        self.codec = self.stream.codec_context.name
        self.is_avi = self.container.format.name == "avi"
        # Of packets that are not empty: when they are shown, when they come, and how many pictures
        # they hold.
        self.promises: list[tuple[int | None, int | None, int]] = []
        self.early: int | None = None  # of them before the first key frame
        self.shown: list[int | None] = []  # when
        self.looks: set[tuple[int, int, int]] = set()
        self.has_fields = False  # a packet may hold half a frame
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            self.hole = _UNWRITTEN if data[-len(_UNWRITTEN) :] == _UNWRITTEN else _HOLE
            self.is_cut = _lacks_end(data)

    def frames(self) -> Iterator[av.VideoFrame]:
        """Decode all frames from the first key frame on.

        Raises:
            InputError: the file is cut off or damaged, changes its size, or has deep samples.
        """
        with self.container:
            try:
                for packet in self.container.demux(self.stream):
                    self._note_packet(packet)
                    # Some show nothing before a key frame, and complain only of damage.
                    if self.early is not None or self.codec in {"h264", "hevc"}:
                        for frame in packet.decode():
                            self._note_frame(frame)
                            yield frame
            except av.FFmpegError as error:
                raise self._damaged(error.strerror or "libav fails") from error
            self.scan = self._finish()

    def _note_packet(self, packet: av.Packet[av.VideoStream]) -> None:
        """Note what a packet promises; refuse one that is not whole."""
        content = bytes(packet)
        if packet.is_corrupt or (self.codec in _CODED and content.endswith(self.hole)):
            raise self._damaged("the next one is not whole")
        if packet.is_keyframe and self.early is None:
            self.early = len(self.promises)
        if not content or packet.is_discard:  # an edit list hides it
            return
        # Hidden pictures of VP8 only serve to predict others.
        pictures = (content[0] >> 4) & 1 if self.codec == "vp8" else 1
        if self.codec == "mpeg4":
            # A packet of 8 bytes stands for a frame that was dropped, or packed into another one.
            pictures = max(1, content.count(b"\0\0\1\xb6")) if len(content) > 8 else 0
        self.promises.append((packet.pts, packet.dts, pictures))

    def _note_frame(self, frame: av.VideoFrame) -> None:
        """Note when a frame is shown; refuse a damaged one and one of another size."""
        if frame.is_corrupt:
            raise self._damaged("the next one is damaged")
        self.looks.add(_look(self.path, frame))
        message = f"{self.path}: heights, widths and quarter turns {self.looks}; split it there"
        require(len(self.looks) == 1, message, "mixed-sizes", file=self.path)
        self.has_fields |= frame.interlaced_frame
        self.shown.append(frame.pts)

    def _finish(self) -> Scan:
        """Return what all frames have shown; refuse a file that shows less than it promised."""
        stream, count = self.stream, len(self.shown)
        early = self.early or 0
        if not count or self.is_cut:
            raise self._damaged("its end is missing" if self.is_cut else "it has no key frame")
        promises = np.array(self.promises, np.float64)  # NaN where there is no time
        pts = np.array(self.shown, np.float64)
        arrivals, pictures = promises[:, 1], promises[:, 2]
        # What comes before the first whole picture may need what was before the file. An AVI does
        # not know when pictures are shown.
        is_due = ~(promises[:, 0] < (pts if early else promises[:, 0])[0])
        is_due[: len(is_due) if self.is_avi and early else early] = False
        dropped, stamps = 0, pts
        if self.is_avi:
            # It counts frames that the recorder dropped, and libav passes over them.
            dropped = max(0, int(arrivals[-1]) + 1 - len(promises))
            # Frames are shown at the times when packets come, in another order.
            stamps = arrivals if len(promises) == count else pts
        # An edit list of an MP4 may hide some.
        declared = 0 if "mp4" in self.container.format.name else stream.frames
        is_short = count * (2 if self.has_fields else 1) < pictures[is_due].sum()
        if is_short or max(count, len(promises)) + dropped < declared:
            raise self._damaged("")
        if self.codec == "mpeg4":  # DivX and XviD write packets that say that a frame was dropped
            dropped += len(promises) - max(int(pictures.sum()), count)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        tick = stream.time_base or 1 / rate
        times, wrong_times = frame_times(stamps, tick, rate)
        fps, look = frame_rate(times, tick, rate), np.array(self.looks.pop())
        undecodable = 0 if self.has_fields else int(pictures.sum()) - count
        return Scan(pts, times, fps, wrong_times, look, stream.frames, dropped, undecodable)

    def _damaged(self, fault: str) -> InputError:
        return _damaged(self.path, len(self.shown), self.stream.frames, fault)


class _Reader:
    """An open file and the position in it."""

    def __init__(self, path: Path, pts: np.ndarray):
        self.path, self.pts = path, pts
        self.convert = VideoReformatter()
        self._open()

    def _open(self) -> None:
        """Open the file at its beginning."""
        self.container, self.stream = _open_video(self.path)
        self.frames: Iterator[av.VideoFrame] = self._decoded()
        self.next = 0  # the index of the frame that decoding gives next; -1: unknown
        is_timed = bool((np.diff(self.pts, prepend=-np.inf) > 0).all())
        self.can_seek = is_timed and self.stream.codec_context.name in _SEEKABLE

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode from the position in the file on, once a key frame has come."""
        is_begun = False
        for packet in self.container.demux(self.stream):
            is_begun |= packet.is_keyframe
            if is_begun:
                yield from packet.decode()

    def read(self, i: int) -> np.ndarray:
        """Frame i as stored, uint8 (H, W, 3)."""
        frame = self._forward(i) if self.next <= i < self.next + _NEAR else None
        for start in (i, max(0, i - _NEAR)):  # some key frames are shown behind later frames
            if frame is None and self.can_seek:
                with suppress(av.FFmpegError):  # of a file without an index to jump by
                    self.container.seek(int(self.pts[start]), stream=self.stream)
                # Frames before a key frame may show too little.
                self.frames = dropwhile(lambda frame: not frame.key_frame, self._decoded())
                self.next = -1
                frame = self._forward(i)
        if frame is None:  # no jump lands before it, or the codec needs all that came before
            self.container.close()
            self._open()
            frame = self._forward(i)
        if frame is None:
            raise _damaged(self.path, i, len(self.pts), "it was changed, or its disk fails")
        return _rgb(self.convert, frame)

    def _forward(self, i: int) -> av.VideoFrame | None:
        """Decode up to frame i; None if it does not come, or not whole."""
        with suppress(av.FFmpegError):
            for frame in self.frames:
                place = bisect_left(self.pts, frame.pts or 0) if self.can_seek else self.next
                if self.next < 0:
                    self.next = place  # where the jump landed
                if place != self.next or frame.is_corrupt or place > i:
                    break
                self.next += 1
                if place == i:
                    return frame
        self.next = len(self.pts)  # nothing can be read on from here
        return None


def _rgb(convert: VideoReformatter, frame: av.VideoFrame) -> np.ndarray:
    """Convert a frame to uint8 (H, W, 3) by the matrix and range that it names."""
    form = frame.format
    options: dict[str, Any] = {"threads": 1} if _PYAV >= 17 else {}  # older ones take one anyway
    # Grey and palettes have no matrix and no range.
    if len(form.components) >= 3 and not form.is_rgb:
        is_full = form.name.startswith("yuvj") or frame.color_range == 2
        # libav's BT.709 and BT.2020 to swscale's; else BT.601
        matrix = {1: 1, 9: 9, 10: 9}.get(frame.colorspace, 5)
        options |= {"src_colorspace": matrix, "src_color_range": 2 if is_full else 1}
        options |= {"dst_colorspace": 5, "dst_color_range": 2}
    return convert.reformat(frame, format="rgb24", **options).to_ndarray()


def _look(path: Path, frame: av.VideoFrame) -> tuple[int, int, int]:
    """Height, width and quarter turns of a frame; see `Scan.look`."""
    bits = max(component.bits for component in frame.format.components)
    message = f"{path}: {bits} bits a sample; expected at most 10: convert it to 8 bits"
    require(bits <= 10, message, "wrong-kind-of-file", file=path)
    is_mirrored = False
    with suppress(ValueError):  # PyAV does not know all that a frame may have with it
        if matrix := frame.side_data.get("DISPLAYMATRIX"):
            numbers = np.frombuffer(matrix, np.int32)  # type: ignore[call-overload]  # a buffer
            is_mirrored = bool(np.linalg.det(numbers.reshape(3, 3)[:2, :2]) < 0)
    angle = frame.rotation
    message = f"{path}: to be shown mirrored or turned by {angle} degrees; re-encode it upright"
    require(not is_mirrored and angle % 90 == 0, message, "wrong-kind-of-file", file=path)
    return frame.height, frame.width, angle // 90 % 4


def list_videos(folder: Path) -> list[Path]:
    """List the video files of a folder in natural order, without junk and results of vadlib.

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
        return str(container.metadata.get("comment", ""))


def is_grey(path: Path) -> bool:
    """Return True if the video's pixels have no colour; reads the header only.

    Raises:
        InputError: the file is no video, or has no decoder here.
    """
    container, stream = _open_video(Path(path))
    with container:
        return (stream.codec_context.pix_fmt or "").startswith(("gray", "mono", "ya"))


def _open_video(path: Path) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and find its video: the first stream that is no cover picture."""
    name, *_ = file_stamp(path)
    options = {"format_whitelist": _CONTAINERS}
    try:
        container = av.open(name, container_options=options, **_ANY_TITLE)
    except PermissionError as error:
        message = f"{path}: cannot be read ({error.strerror}); look at its permissions"
        raise InputError(message, "not-readable", file=path) from error
    except av.FFmpegError as error:
        with path.open("rb") as file:
            head = file.read(64)
        if _HEAD.match(head):
            raise _damaged(path, 0, 0, error.strerror or "libav fails") from error
        raise wrong_kind(path, head, "video", VIDEO_SUFFIXES) from error
    for stream in container.streams.video:
        codec = stream.codec_context
        if stream.disposition & _PICTURES:
            continue
        # The container may not say how raw samples are laid out.
        if codec is None or (codec.name == "rawvideo" and codec.pix_fmt is None):
            break
        # Threads of libav can wait for each other for ever in a damaged file.
        stream.thread_count = 1
        if codec.name == "mjpeg":  # it fills up what is missing below a cut with grey, unless told
            codec.options = {"err_detect": "explode"}
        return container, stream
    kinds = ", ".join(stream.type for stream in container.streams)
    container.close()
    message = f"{path}: streams: {kinds or 'none'}; expected a video that can be decoded here"
    raise InputError(message, "wrong-kind-of-file" if kinds else "damaged-file", file=path)


def _damaged(path: Path, count: int, of: int, fault: str) -> InputError:
    """Describe a file that gives fewer frames than it should.

    Args:
        path: the file.
        count: frames that could be decoded.
        of: frames by the header; 0: unknown.
        fault: what is wrong; "" if only the number of frames is.
    """
    reason = fault or "no more come"
    message = f"{path}: {count} of {of or 'its'} frames decoded ({reason}); copy or re-encode it"
    return InputError(message, "damaged-file" if fault else "frame-count", file=path)


def _lacks_end(data: mmap.mmap) -> bool:
    """Return True for a Matroska file or an MP4 that ends too early.

    Libav reads them as far as they go. An AVI counts its frames.
    """
    if data[:4] == _EBML:
        place = data.find(_SEGMENT) + len(_SEGMENT)
        # The first byte of a length tells how many bytes it has; ones only mean that it is unknown.
        start = place + 9 - data[place].bit_length()
        unknown = (1 << 7 * (start - place)) - 1
        end = start + (int.from_bytes(data[place:start], "big") & unknown)
        return end - start != unknown and (end > len(data) or data[end - 16 : end] == _UNWRITTEN)
    kind, position = b"", 0
    while position + 8 <= len(data) and data[:4] != b"RIFF":
        length, kind = struct.unpack_from(">I4s", data, position)
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length < 8:
            return False  # the last box may be open, and cameras append what is no box
        position += length
    # within frames or the next header, or behind the header of some frames
    return kind == b"moof" or (kind == b"mdat" and position != len(data))


def frame_times(ticks: np.ndarray, tick: Fraction, rate: Fraction) -> tuple[np.ndarray, int]:
    """Find the time of each frame from the stamps of a file.

    As many stamps are right as increase, within years of each other; they keep their distances. Any
    other one is put evenly between its right neighbours, or at the usual step before or behind
    them. Stamps in the order of decoding, such as AVI's, are sorted.

    Args:
        ticks: float64 (T,), T > 0, the stamp of each frame; NaN where the file gives none.
        tick: seconds; above 0.
        rate: frames a second as the container tells; above 0. It counts where fewer than two stamps
            are right.

    Returns:
        seconds since the first frame, float64 (T,), strictly increasing; and how many stamps are
        missing or contradict the others, 0 where the file has none.
    """
    count = len(ticks)
    even = np.arange(count) / float(rate)
    if np.isnan(ticks).all():
        return even, 0
    distances = np.abs(ticks - np.nanquantile(ticks, 0.5, method="lower"))
    frames = np.flatnonzero(distances * float(tick) <= _FARTHEST)
    ticks = ticks[frames]
    if np.count_nonzero(np.diff(ticks) < 0) > len(ticks) / 5:
        ticks.sort()
    right = _longest_increasing(ticks.tolist())
    steps = (frames - frames[0]) / float(rate * tick)
    # Ticks may be too coarse for the container's rate.
    is_coarse = len(right) < len(ticks) and np.abs(ticks - ticks[0] - steps).max() <= 1
    if is_coarse or len(right) < 2:
        return even, count - len(frames if is_coarse else right)
    frames, ticks = frames[right], ticks[right]
    usual = count * np.median(np.diff(ticks) / np.diff(frames))
    x = [frames[0] - count, *frames, frames[-1] + count]
    moved = np.interp(np.arange(count), x, [ticks[0] - usual, *ticks, ticks[-1] + usual])
    seconds = (moved - moved[0]) * tick.numerator / tick.denominator
    return seconds, count - len(right)


def frame_rate(seconds: np.ndarray, tick: Fraction, rate: Fraction) -> float:
    """Return the container's rate where the times of the frames follow it, else the mean one."""
    even = np.arange(len(seconds)) / float(rate)
    # Containers round times to ticks.
    is_constant = np.abs(seconds - even).max() <= 1.001 * float(tick)
    return float(rate) if is_constant else (len(seconds) - 1) / float(seconds[-1])


def _longest_increasing(values: Sequence[float]) -> list[int]:
    """Places of as many values as possible, each above the one before; of equals, the first."""
    ends: list[int] = []  # of chains of each length: the place of the lowest last value
    before: list[int] = []
    for i, value in enumerate(values):
        length = bisect_left(ends, value, key=values.__getitem__)
        before.append(ends[length - 1] if length else -1)
        if length == len(ends) or values[ends[length]] > value:
            ends[length : length + 1] = [i]
    chain = ends[-1:]
    while before[chain[-1]] >= 0:
        chain.append(before[chain[-1]])
    return chain[::-1]
