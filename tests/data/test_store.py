"""The frame store: decoded once, the right pixels, and nothing half-written under a final name."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import namedtuple

import cv2
import numpy as np
import pytest
from PIL import Image
from refusals import refused

from vadlib.data.store import (
    file_key,
    keep_arrays,
    resize_frame,
    store_frames,
    stored_shape,
)
from vadlib.data.video import ImageFrames, LazyStack, Video
from vadlib.errors import InputError


class CountedFrames(LazyStack):
    """Random frames that count how often they are read, and may fail at one of them."""

    def __init__(self, shape=(6, 20, 30, 3), fails_at=None, error=None, name="counted"):
        self.shape, self.fails_at, self.error, self.name, self.reads = (
            shape,
            fails_at,
            error,
            name,
            0,
        )
        self.pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def _read(self, i):
        self.reads += 1
        if i == self.fails_at:
            raise self.error
        return self.pixels[i]

    def identity(self):
        return [self.name, list(self.shape)]


def store(frames, size=None):
    [array] = store_frames([Video("v", frames, 10.0)], size, progress=False)
    return array


def stored_files(cache):
    """Everything in the store, temporary files too."""
    return sorted(p.name for p in (cache / "frames").iterdir())


def stored_arrays(cache):
    """What a later run takes for a complete array."""
    return [
        name for name in stored_files(cache) if not name.startswith(".") and name.endswith(".npy")
    ]


def test_frames_are_kept_as_they_are_and_memory_mapped(cache):
    frames = CountedFrames()
    array = store(frames)
    assert isinstance(array, np.memmap)
    assert array.dtype == np.uint8
    assert np.array_equal(array, frames.pixels)


def test_frames_are_decoded_once(cache):
    frames = CountedFrames()
    first = store(frames)
    assert frames.reads == 6
    again = CountedFrames(fails_at=0, error=AssertionError("read again"))
    assert np.array_equal(store(again), first)
    assert again.reads == 0


def test_the_sources_may_change_hands_but_not_content(cache, tmp_path):
    """A changed file, another order, another size or other channels give another array; the same
    files the stored one.
    """
    paths = [tmp_path / f"{t}.png" for t in range(4)]
    for t, path in enumerate(paths):
        Image.new("L", (24, 16), 10 * t).save(path)
    before = store(ImageFrames(paths, 1))
    assert before[:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    Image.new("L", (24, 16), 99).save(paths[2])
    os.utime(paths[2], ns=(1, 2))
    after = store(ImageFrames(paths, 1))
    assert after[:, 0, 0, 0].tolist() == [0, 10, 99, 30]
    assert before[:, 0, 0, 0].tolist() == [0, 10, 20, 30]  # a reader of the old array keeps it
    assert store(ImageFrames(paths[::-1], 1))[:, 0, 0, 0].tolist() == [30, 99, 10, 0]
    assert store(ImageFrames(paths, 3)).shape == (4, 16, 24, 3)
    assert store(ImageFrames(paths, 1), (8, 12)).shape == (4, 8, 12, 1)
    assert len(stored_files(cache)) == 5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(10, 15), (7, 11), (20, 15), (13, 30)])
def test_smaller_sizes_are_averaged_as_opencv_does(cache, size, channels):
    frames = CountedFrames((3, 20, 30, channels))
    expected = [
        cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, channels)
        for f in frames.pixels
    ]
    assert np.array_equal(store(frames, size), expected)


def test_larger_sizes_are_interpolated(cache):
    frame = np.repeat(np.arange(0, 40, 10, dtype=np.uint8)[None, :, None], 4, axis=0)
    larger = resize_frame(frame, (8, 8))
    assert larger.shape == (8, 8, 1)
    assert (np.diff(larger[..., 0].astype(int), axis=1) >= 0).all()
    assert np.array_equal(larger[0], larger[7])
    assert resize_frame(frame, None) is frame
    assert resize_frame(frame, (4, 4)) is frame


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [
        ((20, 30), 10, (10, 15)),
        ((30, 20), 10, (15, 10)),
        ((20, 30), 20, (20, 30)),
        ((20, 30), 99, (20, 30)),  # never larger
        ((21, 64), 8, (8, 24)),
        ((480, 856), 240, (240, 428)),
        ((360, 640), 240, (240, 427)),
        ((1920, 1080), 240, (427, 240)),
    ],
)
def test_a_shorter_side_keeps_the_shape(shape, side, expected):
    video = Video("v", CountedFrames((1, *shape, 1)), 10.0)
    assert stored_shape(video, None, side) == (1, *expected, 1)
    assert stored_shape(video, (7, 9), side) == (1, 7, 9, 1)  # `size` wins


@pytest.mark.parametrize(("native", "wanted"), [(3, 1), (1, 3), (3, 3), (1, 1)])
def test_colour_becomes_grey_and_grey_is_repeated(cache, native, wanted):
    frames = CountedFrames((2, 8, 9, native))
    [array] = store_frames([Video("v", frames, 10.0)], progress=False, channels=wanted)
    expected = (
        frames.pixels @ [0.299, 0.587, 0.114] if (native, wanted) == (3, 1) else frames.pixels
    )
    expected = (
        expected[..., None] if expected.ndim == 3 else np.broadcast_to(expected, (2, 8, 9, wanted))
    )
    assert array.shape == (2, 8, 9, wanted)
    assert np.abs(array - expected).max() <= (0.51 if native != wanted else 0)


@pytest.mark.parametrize(
    "error",
    [InputError("frame 3 is damaged", "damaged-file"), KeyboardInterrupt(), RuntimeError("a bug")],
)
def test_an_error_half_way_leaves_nothing(cache, error):
    with pytest.raises(type(error)):
        store(CountedFrames(fails_at=3, error=error))
    assert stored_files(cache) == []
    frames = CountedFrames()
    assert np.array_equal(store(frames), frames.pixels)


def test_a_full_disk_is_found_before_decoding(cache, monkeypatch):
    frames, usage = CountedFrames(), namedtuple("usage", "total used free")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 6 * 20 * 30 * 3 - 1)
    )
    with refused("disk-full", file=cache / "frames", field="VADLIB_CACHE"):
        store(frames)
    assert frames.reads == 0


@pytest.mark.parametrize("keep", [0, 60, 500])
def test_a_damaged_array_in_the_store_is_never_read_in_silence(cache, keep):
    frames = CountedFrames()
    store(frames)
    [name] = stored_files(cache)
    path = cache / "frames" / name
    path.write_bytes(path.read_bytes()[:keep])
    with refused("damaged-file", file=path):
        store(frames)


# A process that decodes 40 frames, slowly, and prints the sum of what it got.
SLOW = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from vadlib.data.store import store_frames
    from vadlib.data.video import LazyStack, Video

    class Slow(LazyStack):
        shape = (40, 8, 9, 1)
        def _read(self, i):
            time.sleep({delay})
            return np.full((8, 9, 1), i, np.uint8)
        def identity(self):
            return ["slow"]

    Path(sys.argv[1]).touch()
    while not Path(sys.argv[2]).exists():
        time.sleep(0.005)
    [frames] = store_frames([Video("slow", Slow(), 10.0)], progress=False)
    print(int(frames.astype(int).sum()))
"""
TOTAL = sum(range(40)) * 8 * 9


def start(ready, go, delay=0.01):
    code = textwrap.dedent(SLOW).format(delay=delay)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(ready), str(go)], stdout=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_two_processes_at_once_get_the_same_sound_array(cache, tmp_path):
    go, ready = tmp_path / "go", [tmp_path / "ready1", tmp_path / "ready2"]
    processes = [start(r, go) for r in ready]
    wait_for(lambda: all(r.exists() for r in ready))
    go.touch()
    assert [int(p.communicate(timeout=60)[0]) for p in processes] == [TOTAL, TOTAL]
    assert [p.returncode for p in processes] == [0, 0]
    assert stored_files(cache) == stored_arrays(cache)
    assert len(stored_files(cache)) == 1


def test_a_kill_half_way_leaves_no_array_under_the_final_name(cache, tmp_path):
    go = tmp_path / "go"
    go.touch()
    killed = start(tmp_path / "ready", go, delay=0.1)
    wait_for(lambda: (cache / "frames").is_dir() and any((cache / "frames").iterdir()))
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert stored_files(cache)
    assert stored_arrays(cache) == []
    again = start(tmp_path / "ready", go, delay=0)
    assert int(again.communicate(timeout=60)[0]) == TOTAL


def test_what_a_killed_decoding_left_is_removed_after_a_day(cache, array_video):
    folder = cache / "frames"
    folder.mkdir(parents=True)
    old, young = folder / ".abc-1.npy", folder / ".abc-2.npy"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    store_frames([array_video(np.zeros((4, 8, 8, 1), np.uint8))], progress=False)
    assert not old.exists()
    assert young.exists()


# --- what is made once


def test_arrays_are_made_once_until_a_file_changes(cache, tmp_path):
    path, made = tmp_path / "labels.mat", []

    def make():
        made.append(1)
        return {"labels": np.arange(len(made))}

    for content, count in ((b"a", 1), (b"a", 1), (b"bb", 2)):
        path.write_bytes(content)
        os.utime(path, ns=(len(content), len(content)))
        assert len(keep_arrays("labels", file_key("x", path), make)["labels"]) == count
    assert file_key("x", path) != file_key("y", path)
    [kept] = {p for p in (cache / "labels").iterdir() if p.stem == file_key("x", path)}
    kept.write_bytes(b"damaged")
    with refused("damaged-file", file=kept):
        keep_arrays("labels", file_key("x", path), make)
