"""The frame store: decoded once, the right pixels, and nothing half-written under a final name."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from refusals import refused

from vadlib.data.store import file_key, keep_arrays, store_frames, target_shape
from vadlib.data.video import ImageFrames, LazyStack, Video


def counted(shape=(6, 20, 30, 3), fails_at=None, error=None):
    """Random frames with their `pixels` and the numbers of those `reads`; one may fail."""

    def read(i):
        frames.reads.append(i)
        if i == fails_at:
            raise error
        return frames.pixels[i]

    frames = LazyStack(shape, read, ["counted", list(shape)])
    frames.pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    frames.reads = []
    return frames


def store(frames, **options):
    return store_frames([Video("v", frames, 10.0)], progress=False, **options)[0]


def test_frames_are_decoded_once_and_memory_mapped(cache):
    frames = counted()
    for _ in range(2):
        array = store(frames)
        assert isinstance(array, np.memmap)
        assert np.array_equal(array, frames.pixels)
    assert frames.reads == list(range(6))


def test_another_source_is_another_array(cache, tmp_path):
    paths = [tmp_path / f"{t}.png" for t in range(4)]
    for t, path in enumerate(paths):
        Image.new("L", (24, 16), 10 * t).save(path)
    before = store(ImageFrames(paths, 1))
    Image.new("L", (24, 16), 99).save(paths[2])
    os.utime(paths[2], ns=(1, 2))
    assert store(ImageFrames(paths, 1))[:, 0, 0, 0].tolist() == [0, 10, 99, 30]
    assert before[:, 0, 0, 0].tolist() == [0, 10, 20, 30]  # a reader of the old array keeps it
    assert store(ImageFrames(paths[::-1], 1))[:, 0, 0, 0].tolist() == [30, 99, 10, 0]
    assert store(ImageFrames(paths, 3)).shape == (4, 16, 24, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(10, 15), (20, 15), (40, 60)])
def test_sizes_are_averaged_or_interpolated_as_opencv_does(cache, size, channels):
    frames = counted((3, 20, 30, channels))
    method = cv2.INTER_LINEAR if size[0] > 20 else cv2.INTER_AREA
    expected = [cv2.resize(frame, size[::-1], interpolation=method) for frame in frames.pixels]
    assert np.array_equal(store(frames, size=size), np.reshape(expected, (3, *size, channels)))


SIDES = [((20, 30), 10, (10, 15)), ((30, 20), 10, (15, 10)), ((20, 30), 99, (20, 30))]
SIDES += [((480, 856), 240, (240, 428)), ((360, 640), 240, (240, 427))]


@pytest.mark.parametrize(("shape", "side", "expected"), SIDES)
def test_a_shorter_side_keeps_the_shape(shape, side, expected):
    video = Video("v", LazyStack((1, *shape, 1), None), 10.0)
    assert target_shape(video.frames.shape, None, side) == (1, *expected, 1)
    assert target_shape(video.frames.shape, (7, 9), side, 3) == (1, 7, 9, 3)  # `size` wins


def test_colour_becomes_grey_and_grey_is_repeated(cache):
    frames = counted((2, 8, 9, 3))
    grey = store(frames, channels=1)
    assert grey.shape == (2, 8, 9, 1)
    assert np.abs(grey[..., 0] - frames.pixels @ [0.299, 0.587, 0.114]).max() <= 0.51
    frames = counted((2, 8, 9, 1))
    assert np.array_equal(store(frames, channels=3), np.repeat(frames.pixels, 3, axis=3))


def test_a_full_disk_is_found_before_decoding(cache, monkeypatch):
    frames = counted()
    usage = SimpleNamespace(total=10**12, used=10**12, free=frames.pixels.size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with refused("disk-full", file=cache / "frames", field="VADLIB_CACHE"):
        store(frames)
    assert frames.reads == []


@pytest.mark.parametrize("size", [0, 60, 500])
def test_a_damaged_array_in_the_store_is_never_read_in_silence(cache, size):
    store(counted())
    [path] = (cache / "frames").iterdir()
    path.write_bytes(path.read_bytes()[:size])
    with refused("damaged-file", file=path):
        store(counted())


# A process that decodes 40 frames, slowly, and prints the sum of what it got.
SLOW = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from vadlib.data.store import store_frames
    from vadlib.data.video import LazyStack, Video

    def read(i):
        time.sleep(float(sys.argv[1]))
        return np.full((8, 9, 1), i, np.uint8)

    frames = LazyStack((40, 8, 9, 1), read, ["slow"])
    print(int(store_frames([Video("slow", frames, 10.0)], progress=False)[0].astype(int).sum()))
"""


def start(delay):
    command = [sys.executable, "-c", textwrap.dedent(SLOW), str(delay)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_at_once_and_after_a_kill_get_a_sound_array(cache):
    killed, end = start(0.1), time.monotonic() + 60
    while not ((cache / "frames").is_dir() and any((cache / "frames").iterdir())):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    [temporary] = (cache / "frames").iterdir()
    os.utime(temporary, (1, 1))  # it is removed after a day
    processes = [start(0.02), start(0.02)]
    for process in processes:
        assert int(process.communicate(timeout=60)[0]) == sum(range(40)) * 8 * 9
    assert len(list((cache / "frames").iterdir())) == 1


def test_arrays_are_made_once_until_a_file_changes(cache, tmp_path):
    path, counts = tmp_path / "labels.mat", []

    def make():
        counts.append(1)
        return {"labels": np.arange(len(counts))}

    for content, count in ((b"a", 1), (b"a", 1), (b"bb", 2)):
        path.write_bytes(content)
        os.utime(path, ns=(len(content), len(content)))
        assert len(keep_arrays("labels", file_key("x", path), make)["labels"]) == count
    assert file_key("x", path) != file_key("y", path)
    stored = cache / "labels" / f"{file_key('x', path)}.npz"
    stored.write_bytes(b"damaged")
    with refused("damaged-file", file=stored):
        keep_arrays("labels", file_key("x", path), make)
