"""Decode video files: read all frames in order to count and check them, or any frame by its number.

Pixels are what the file's own decoder gives, in 8 bits a sample: deeper video is rounded, and
refused where 8 bits would leave almost nothing of it. Colours follow the matrix and the range that
the stream names, and BT.601 in limited range where it names none. Frames keep their stored size:
the pixel aspect ratio is ignored. Interlaced frames stay interlaced. The quarter turn that phones
note down is applied.

A file that is cut off is an error, never a shorter video, and so is damage that container or codec
show. Only a file that tells neither its size nor its length can be cut unseen: between two parts of
a fragmented MP4, or a live Matroska.

Some whole files show fewer frames than they count. A recorder that could not keep up leaves frames
out (`DROPPED`): the others keep their times. A recording that begins between two key frames cannot
be decoded before the first of them (`NO_KEY`). Such frames are left out, and counted in
`Scan.skipped`.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from vadlib.data.containers import empty_chunks, is_container, lacks_end
from vadlib.data.packets import pictures_of
from vadlib.data.samples import Levels
from vadlib.data.store import digest, save_arrays, saved_arrays
from vadlib.data.times import frame_times
from vadlib.data.video import LazyStack, list_files, wrong_kind
from vadlib.errors import InputError, require
from vadlib.files import refuse_broken_link

# Program and transport streams (.mpg, .ts, .mts) are left out: they tell nowhere how long they are,
# so that any cut one looks whole.
VIDEO_SUFFIXES = {".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
DECODER_VERSION = 1  # of the pixels: the frame store keeps them by it
SCAN_VERSION = 4  # of the fields of `Scan`: the cache keeps scans by it
# Why a whole file shows fewer frames than it counts: keys of `Scan.skipped`.
DROPPED, NO_KEY = "dropped-frames", "no-key-frame"

# Of all that libav reads: no pictures, no texts, and no playlists, which would open other files.
_CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_NO_TIME = np.iinfo(np.int64).min
_NEAR = 16  # frames ahead that are decoded through rather than jumped over
_PYAV = int(av.__version__.split(".")[0])
_ONE_THREAD: dict[str, Any] = {"threads": 1} if _PYAV >= 17 else {}  # older ones take one anyway
# newer ones take titles that are not in UTF-8 by themselves
_ANY_TITLE: dict[str, Any] = {"metadata_errors": "replace"} if _PYAV < 19 else {}
_ZEROS = 16  # bytes: more zeros in a row than a compressed frame ends with
# bytes: more than any padding of these codecs, whose decoders read on through zeros in silence
_LONG_ZEROS = 64
_NEVER_PADDED = {"hevc", "vp8", "vp9", "libdav1d", "av1"}
# Decoders that show grey in place of what they lack, and flag their key frames. Neither they nor
# the next ones complain where a file begins between key frames.
_GUESSING = {"flv", "h263", "h263p", "mpeg4", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "wmv1", "wmv2"}
# Decoders that show only what is whole again.
_RECOVERING = {"h264", "hevc", "mpeg1video", "mpeg2video"}
# Decoders of JPEG fill up what is missing below a cut with grey, unless they are told to fail.
_STRICT = {"amv", "jpegls", "ljpeg", "mjpeg", "mjpegb", "sp5x"}
# Decoders that need nothing from before a key frame. Others forget palettes when they jump.
_SEEKABLE = {"h264", "hevc", "libdav1d", "av1", "mjpeg", "mpeg4", "vp8", "vp9"}


class Look(NamedTuple):
    """Size of a frame as stored, and the quarter turns counterclockwise that make it upright."""

    height: int
    width: int
    turns: int


@dataclass(frozen=True)
class Scan:
    """What decoding all T frames of a file has shown.

    Attributes:
        pts: int64 (T,), the time stamp of each frame; the lowest number where the file gives none.
        keys: int64, the indices of the key frames, ascending.
        times: float64 (T,), seconds since the first frame, strictly increasing; see `frame_times`.
        fps: the stream's rate where it is constant, else the mean one, (T - 1) / times[-1].
        wrong_times: how many stamps are missing in the file or contradict the others.
        look: height and width as stored, and the turns that make the picture upright.
        lead: frames that the decoder gives before the first whole one; no part of the video.
        declared: the number of frames by the file's header, which may differ from T; 0: none.
        dropped: frames that the recorder left out.
        undecodable: frames before the first key frame.
        bits: bits a sample in the file; more than 8 are rounded.
        levels: levels of 256 that such a file uses after rounding; 256 for a file of 8 bits.
    """

    pts: np.ndarray
    keys: np.ndarray
    times: np.ndarray
    fps: float
    wrong_times: int
    look: Look
    lead: int
    declared: int
    dropped: int
    undecodable: int
    bits: int
    levels: int

    @property
    def skipped(self) -> dict[str, int]:
        """Frames that the file counts but does not show, by reason: `DROPPED`, `NO_KEY`."""
        counts = {DROPPED: self.dropped, NO_KEY: self.undecodable}
        return {reason: count for reason, count in counts.items() if count > 0}


class VideoFrames(LazyStack):
    """Frames of a video file, uint8 (T, H, W, C), upright.

    Creating one reads the file's header only. The number of frames, their times and whether the
    file is whole are known once all frames have been decoded. Iterating does so; so does asking for
    any of them, such as `len(frames)`. The result is kept in the cache.

    Reading in order, or a little ahead, decodes on; any other frame costs the way from the key
    frame before it, or from the beginning in codecs that cannot start anywhere else. Of all
    `VideoFrames` of a process, only the one read last keeps its file open. They are not for several
    threads at once.

    Args:
        path: the file; its first video stream that is no cover picture.
        channels: 3 for RGB, 1 for grey: the BT.601 luma of that RGB.

    Raises:
        InputError: the file is no video or has no decoder here; once its frames are decoded: it is
            cut off or damaged, changes its size midway, is to be turned by something else than
            quarter turns, has samples of which 8 bits leave almost nothing, or is not the same file
            any more.
    """

    _reader: _Reader | None = None
    _latest: VideoFrames | None = None  # of the class: the one whose file is open

    def __init__(self, path: Path, channels: int = 3):
        message = f"channels = {channels!r}; expected 1 for grey or 3 for RGB"
        require(channels in (1, 3), message, "out-of-range", field="channels")
        self.path, self.channels = Path(path), channels
        _require_file(self.path)
        self._stat = _stat(self.path)
        source = [SCAN_VERSION, av.__version__, str(self.path.resolve()), *self._stat]
        self._key = digest(source)
        arrays = saved_arrays("videos", self._key)
        self._scan = _from_arrays(arrays) if arrays else None
        if self._scan:
            self._look, self._length = self._scan.look, len(self._scan.pts)
        else:
            self._look, self._length = _first_look(self.path)

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
        height, width = self._look[:2]
        if self._look.turns % 2:
            height, width = width, height
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
        _require_unchanged(self.path, self._stat)
        decoding = _Pass(self.path)
        yield from decoding.frames()
        if self._scan is None and decoding.scan is not None:
            self._scan = decoding.scan
            self._length = len(self._scan.pts)
            save_arrays("videos", self._key, vars(self._scan))

    def _read(self, i: int) -> np.ndarray:
        if self._reader is None:
            latest = VideoFrames._latest
            if latest is not None:
                latest.close()
            scan = self.scan
            _require_unchanged(self.path, self._stat)
            self._reader = _Reader(self.path, scan)
            VideoFrames._latest = self
        return self._upright(self._reader.read(i))

    def _upright(self, rgb: np.ndarray) -> np.ndarray:
        grey = self.channels == 1
        pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None] if grey else rgb
        return np.ascontiguousarray(np.rot90(pixels, self._look.turns))

    def identity(self) -> list[Any]:
        return ["video", DECODER_VERSION, str(self.path.resolve()), *self._stat, self.channels]

    def close(self) -> None:
        """Close the file; the next frame opens it again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_reader"}


def _from_arrays(arrays: dict[str, np.ndarray]) -> Scan:
    """The scan whose fields were saved as arrays."""
    fields: dict[str, Any] = {}
    for name, array in arrays.items():
        fields[name] = array if array.ndim else array.item()
    fields["look"] = Look(*arrays["look"].tolist())
    return Scan(**fields)


class _Pass:
    """One reading of a file from its beginning to its end, and what it shows.

    Packets promise pictures. The file is damaged if any of them does not come, unless it belongs
    before the first key frame.
    """

    def __init__(self, path: Path):
        self.path = path
        self.container, self.stream = _open_video(path)
        self.codec = self.stream.codec_context.name
        self.is_avi = self.container.format.name == "avi"
        self.promises: list[_Promise] = []  # of packets that are not empty
        self.begun = False  # a packet was flagged as a key frame
        self.early = 0  # packets before that one
        self.start: int | None = None  # its time, if it is the first one
        self.excused = ""  # what the decoder said before that
        self.pts: list[int | None] = []
        self.keys: list[int] = []
        self.lead = 0
        self.has_fields = False  # a packet may hold half a frame
        self.look: Look | None = None
        self.levels = Levels(path)
        self.scan: Scan | None = None  # what all frames have shown
        # A long run of zeros at the end of a file was never written.
        with path.open("rb") as file:
            file.seek(-min(_ZEROS, path.stat().st_size), os.SEEK_END)
            ends_in_zeros = not any(file.read())
        self.zeros = _LONG_ZEROS if self.codec in _NEVER_PADDED else 0
        if ends_in_zeros and self.codec != "rawvideo":
            self.zeros = _ZEROS

    def frames(self) -> Iterator[av.VideoFrame]:
        """Decode all frames.

        Raises:
            InputError: the file is cut off or damaged, or 8 bits leave almost nothing of it.
        """
        with self.container:
            try:
                for packet in self.container.demux(self.stream):
                    for frame in self._decode(packet):
                        if self._take(frame):
                            yield frame
            except av.FFmpegError as error:
                raise self._damaged(error.strerror or "") from error
            self._require_whole()
            self.levels.require_visible()
            self.scan = self._scan()

    def _decode(self, packet: av.Packet[av.VideoStream]) -> Sequence[av.VideoFrame]:
        content = bytes(packet)
        if packet.is_corrupt or (self.zeros and content and not any(content[-self.zeros :])):
            raise self._damaged("the next one is not whole")
        pictures = self._count(packet) if content else 0
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            # Zeros are no picture that needs what was before the file.
            needs_nothing = self.begun or self.codec in _GUESSING | _RECOVERING
            if pictures and (needs_nothing or not any(content[:_ZEROS])):
                raise
            if not content:
                raise
            self.excused = error.strerror or ""
            return []
        return frames

    def _count(self, packet: av.Packet[av.VideoStream]) -> int:
        pictures = pictures_of(self.stream, packet)
        if packet.is_keyframe and not self.begun:
            self.begun = True
            self.early = len(self.promises)
            if not self.early and not packet.is_discard:
                self.start = packet.pts
        if not packet.is_discard:  # an edit list hides the others
            self.promises.append(_Promise(packet.pts, packet.dts, pictures))
        return pictures

    def _take(self, frame: av.VideoFrame) -> bool:
        """Note a frame, and return whether it is part of the video."""
        look = _look(self.path, frame)
        self.look = self.look or look
        if look != self.look:
            message = (
                f"{self.path}: frame {len(self.pts)} has {look.width}x{look.height} pixels and "
                f"{look.turns} quarter turns, the first {self.look.width}x{self.look.height} and "
                f"{self.look.turns}; expected one size: split the video there"
            )
            raise InputError(message, "mixed-sizes", file=self.path)
        self.has_fields |= frame.interlaced_frame
        # Before the first key frame, some decoders show grey for what they lack.
        is_whole = frame.key_frame or self.codec in _RECOVERING
        if self.codec not in _GUESSING:
            is_whole |= self.begun
        if not self.pts and not is_whole:
            self.lead += 1
            return False
        if frame.is_corrupt:
            raise self._damaged("the next one is damaged")
        if frame.key_frame:
            self.keys.append(len(self.pts))
        self.pts.append(frame.pts)
        self.levels.add(frame, _ONE_THREAD)
        return True

    def _require_whole(self) -> None:
        """Raise an `InputError` if less has come than was promised."""
        if self.excused and not self.begun:
            raise self._damaged(self.excused)
        if lacks_end(self.path):
            raise self._damaged("its end is missing")
        count = len(self.pts)
        if not count:
            raise self._damaged("none of them is a key frame" if self.promises else "")
        declared = self.stream.frames
        if "mp4" in self.container.format.name:
            declared = 0  # an edit list may hide some of them
        if self._is_short() or max(count, len(self.promises)) < declared - self._empty_chunks():
            raise self._damaged("")

    def _is_short(self) -> bool:
        """Return True if a frame is missing that its packet promised."""
        count = len(self.pts)
        if self.has_fields:
            return False
        first = self.pts[0]
        if first is None or self.is_avi:  # which does not know when frames are shown
            return self.early == 0 and count < self._pictures()
        # Pictures that are shown before the first whole one may need what was before the file.
        promised = 0
        for promise in self.promises:
            if promise.pts is None or promise.pts >= first:
                promised += promise.pictures
        return count < promised or (self.start is not None and self.start < first)

    def _pictures(self) -> int:
        return sum(promise.pictures for promise in self.promises)

    def _empty_chunks(self) -> int:
        if not self.is_avi or self.stream.frames == len(self.pts):
            return 0
        return empty_chunks(self.path, self.stream.index)

    def _scan(self) -> Scan:
        assert self.look is not None
        count, pictures = len(self.pts), self._pictures()
        stream = self.stream
        dropped = self._empty_chunks()
        if self.codec == "mpeg4":  # DivX and XviD write packets that say that a frame was dropped
            dropped += len(self.promises) - max(pictures, count)
        # An AVI tells only when packets come: frames are shown at these times, too, in an order of
        # their own.
        arrivals = [promise.dts for promise in self.promises]
        by_arrival = self.is_avi and len(arrivals) == count
        stamps = arrivals if by_arrival and _is_increasing(arrivals) else self.pts
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        assert stream.time_base is not None
        clock = frame_times(stamps, stream.time_base, rate)
        return Scan(
            pts=np.array([_NO_TIME if pts is None else pts for pts in self.pts]),
            keys=np.array(self.keys, np.int64),
            times=clock.seconds,
            fps=clock.fps,
            wrong_times=clock.wrong,
            look=self.look,
            lead=self.lead,
            declared=stream.frames,
            dropped=dropped,
            undecodable=0 if self.has_fields else pictures - count,
            bits=self.levels.bits,
            levels=self.levels.left if self.levels.bits > 8 else 256,
        )

    def _damaged(self, fault: str) -> InputError:
        promised = self.stream.frames or (0 if fault else self._pictures())
        return _damaged(self.path, len(self.pts), promised, fault)


class _Promise(NamedTuple):
    """What a packet says: when its picture is shown, when it comes, how many pictures it shows."""

    pts: int | None
    dts: int | None
    pictures: int


def _is_increasing(times: Sequence[int | None]) -> bool:
    numbers = [time for time in times if time is not None]
    return len(numbers) == len(times) and bool((np.diff(numbers) > 0).all())


class _Reader:
    """An open file and the position in it."""

    def __init__(self, path: Path, scan: Scan):
        self.path, self.scan = path, scan
        times = scan.pts.tolist()
        self.timed = _NO_TIME not in times and _is_increasing(times)
        self.index = {pts: i for i, pts in enumerate(times)}
        self._open()

    def _open(self) -> None:
        self.container, self.stream = _open_video(self.path)
        self.convert = VideoReformatter()
        self.can_seek = self.timed and self.stream.codec_context.name in _SEEKABLE
        self.frames: Iterator[av.VideoFrame] = islice(self._decoded(), self.scan.lead, None)
        self.next = 0  # the index of the frame that decoding gives next

    def close(self) -> None:
        """Close the file; the reader is of no use afterwards."""
        self.container.close()
        # What was taken from a container keeps it in memory.
        del self.container, self.stream, self.frames, self.convert

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode from here on. `_forward` misses what does not decode."""
        for packet in self.container.demux(self.stream):
            with suppress(av.FFmpegError):
                yield from packet.decode()

    def read(self, i: int) -> np.ndarray:
        """RGB pixels of frame i as stored, uint8 (H, W, 3)."""
        key = bisect_right(self.scan.keys, i) - 1  # the place of its key frame among all
        nearest = int(self.scan.keys[key]) if key >= 0 else 0
        frame = None
        if self.next <= i and (i - self.next < _NEAR or nearest <= self.next):
            frame = self._forward(i)
        if frame is None and self.can_seek and key >= 0:
            frame = self._jump(nearest, i)
        if frame is None:
            # The jump landed behind the key frame, or the codec needs what came before it.
            self.close()
            self._open()
            frame = self._forward(i)
        if frame is None:
            message = (
                f"{self.path}: frame {i} of {len(self.scan.pts)} cannot be decoded any more: the "
                "file was changed, or its disk fails; copy it again and load the video again"
            )
            raise InputError(message, "damaged-file", file=self.path)
        return _rgb(self.convert, frame)

    def _jump(self, key: int, i: int) -> av.VideoFrame | None:
        try:
            self.container.seek(int(self.scan.pts[key]), stream=self.stream)
        except av.FFmpegError:
            return None  # no index to jump by
        self.frames, self.next = self._decoded(), key
        return self._forward(i)

    def _forward(self, i: int) -> av.VideoFrame | None:
        """Decode up to frame i; None if it does not come, or not whole."""
        with suppress(av.FFmpegError):
            for frame in self.frames:
                position = self.index.get(frame.pts, -1) if self.timed else self.next
                if 0 <= position < self.next:
                    continue  # the jump landed before the key frame
                size = (frame.height, frame.width)
                if position != self.next or frame.is_corrupt or size != self.scan.look[:2]:
                    break
                self.next += 1
                if position == i:
                    return frame
        self.next = len(self.scan.pts)  # nothing can be read on from here
        return None


def _rgb(convert: VideoReformatter, frame: av.VideoFrame) -> np.ndarray:
    form = frame.format
    options: dict[str, Any] = {}
    # Grey and palettes have no matrix and no range.
    if len(form.components) >= 3 and not form.is_rgb:
        full = form.name.startswith("yuvj") or frame.color_range == 2
        # libav's BT.709 and BT.2020 to swscale's; else BT.601
        options["src_colorspace"] = {1: 1, 9: 9, 10: 9}.get(frame.colorspace, 5)
        options["dst_colorspace"] = 5
        options["src_color_range"] = 2 if full else 1
        options["dst_color_range"] = 2
    converted = convert.reformat(frame, format="rgb24", **_ONE_THREAD, **options)
    return converted.to_ndarray()


def _look(path: Path, frame: av.VideoFrame) -> Look:
    angle, is_mirrored = frame.rotation, False
    with suppress(ValueError):  # PyAV does not know all that a frame may have with it
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            numbers = np.frombuffer(matrix, np.int32)  # type: ignore[call-overload]  # a buffer
            turn = numbers.reshape(3, 3)[:2, :2]
            is_mirrored = bool(np.linalg.det(turn / 65536) < 0)
    if is_mirrored or angle % 90:
        look = "mirrored" if is_mirrored else f"turned by {angle} degrees"
        message = f"{path}: to be shown {look}; expected quarter turns only: re-encode it upright"
        raise InputError(message, "wrong-kind-of-file", file=path)
    return Look(frame.height, frame.width, angle // 90 % 4)


def _first_look(path: Path) -> tuple[Look, int]:
    """The look of a file's first frame, and the number of frames by its header."""
    container, stream = _open_video(path)
    with container, suppress(av.FFmpegError):
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    return _look(path, frame), stream.frames
    raise _damaged(path, 0, stream.frames, "none of them is whole")


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
    _require_file(Path(path))
    container, stream = _open_video(Path(path))
    with container:
        return (stream.codec_context.pix_fmt or "").startswith(("gray", "mono", "ya"))


def _require_file(path: Path) -> None:
    refuse_broken_link(path)
    message = f"{path}: no such file; expected a video"
    require(path.is_file(), message, "missing-file", file=path)


def _stat(path: Path) -> list[int]:
    """Size in bytes and time of the last change in nanoseconds; empty if there is no such file."""
    if not path.is_file():
        return []
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _require_unchanged(path: Path, stat: list[int]) -> None:
    message = f"{path}: the file was changed, moved or removed; load the video again"
    require(_stat(path) == stat, message, "changed-file", file=path)


def _open_video(path: Path) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and find its video: the first stream that is no cover picture."""
    options = {"format_whitelist": _CONTAINERS}
    try:
        container = av.open(str(path.resolve()), container_options=options, **_ANY_TITLE)
    except av.FFmpegError as error:
        raise _not_a_video(path, error) from error
    for stream in container.streams.video:
        if stream.disposition & _PICTURES:
            continue
        if not _has_decoder(stream):
            break
        # Threads of libav can wait for each other for ever in a damaged file.
        stream.thread_count = 1
        if stream.codec_context.name in _STRICT:
            stream.codec_context.options = {"err_detect": "explode"}
        return container, stream
    kinds = ", ".join(stream.type for stream in container.streams)
    container.close()
    if not kinds:
        raise _damaged(path, 0, 0, "it tells of no streams")
    message = f"{path}: {kinds} that cannot be decoded here; expected a video, such as H.264 in MP4"
    raise InputError(message, "wrong-kind-of-file", file=path)


def _has_decoder(stream: av.VideoStream) -> bool:
    codec = stream.codec_context
    if codec is None:
        return False
    # The container may not say how raw samples are laid out.
    return codec.name != "rawvideo" or codec.pix_fmt is not None


def _not_a_video(path: Path, error: av.FFmpegError) -> InputError:
    """Name a file that cannot be opened for what it is."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as reason:
        message = f"{path}: cannot be read ({reason.strerror}); look at its permissions"
        return InputError(message, "not-readable", file=path)
    if is_container(head):
        return _damaged(path, 0, 0, error.strerror or "")
    return wrong_kind(path, head, "video", VIDEO_SUFFIXES)


def _damaged(path: Path, decoded: int, declared: int, fault: str) -> InputError:
    """Describe a file that gives fewer frames than it should.

    Args:
        path: the file.
        decoded: frames that could be decoded.
        declared: frames that it should have; 0: unknown.
        fault: what is wrong; "" where the number of frames is all that is wrong.
    """
    total = f" of {declared}" if declared else ""
    message = (
        f"{path}: {decoded}{total} frames could be decoded ({fault or 'no more come'}). The file "
        "is cut off or damaged: copy or download it again, or re-encode it if it is whole"
    )
    is_damage = bool(fault) or not declared
    return InputError(message, "damaged-file" if is_damage else "frame-count", file=path)
