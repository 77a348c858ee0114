"""What is kept of a video file, and how few of them are open."""

import multiprocessing
import operator
import os
import pickle
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from films import SCENE, avi, decoded, encode, jpeg
from refusals import refused

from vadlib.data.decode import VIDEO_SUFFIXES, list_videos
from vadlib.errors import InputError

# --- the scan is kept


def test_a_video_is_scanned_once(video, cache, tmp_path, watched, monkeypatch):
    path = shutil.copy(video("h264.mp4"), tmp_path)
    watched.opened = 0  # the video may have been written just now
    first = decoded(path)
    assert watched.opened == 1
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: pytest.fail("opened again"))
    again = decoded(path, channels=1)
    assert (again.shape[:3], again.fps) == (first.shape[:3], first.fps)
    assert np.array_equal(again.times, first.times)
    assert len(list((cache / "videos").iterdir())) == 1


def test_a_changed_file_is_scanned_anew(video, cache, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(avi([jpeg(frame) for frame in SCENE[:10]]))
    assert len(decoded(path)) == 10
    path.write_bytes(avi([jpeg(frame) for frame in SCENE[:7]]))
    assert len(decoded(path)) == 7
    path.write_bytes(content := avi([jpeg(frame) for frame in SCENE[7:14]]))
    os.utime(path, ns=(1, 2))
    before = decoded(path).identity()
    path.write_bytes(content[::-1])
    os.utime(path, ns=(3, 4))
    with refused("wrong-kind-of-file", file=path):
        decoded(path)
    assert before[-2] == 2


def test_a_damaged_entry_of_the_cache_is_written_anew(video, cache, watched):
    first = decoded(video("h264.mp4"))
    [entry] = (cache / "videos").iterdir()
    whole = entry.read_bytes()
    for damaged in (
        b"",
        whole[:-9],
        whole[:40],
        b"\xff" * 99,
        bytes(len(whole)),
        whole.replace(b"40", b"41"),
        whole.replace(b"512", b"513"),
    ):
        entry.write_bytes(damaged)
        watched.opened = 0
        again = decoded(video("h264.mp4"))
        assert watched.opened == 1
        assert np.array_equal(again.times, first.times)
        assert entry.read_bytes() == whole


def test_a_damaged_video_leaves_nothing_in_the_cache(video, cache, tmp_path):
    (tmp_path / "a.mkv").write_bytes(video("h264.mkv").read_bytes()[:-500])
    with refused("damaged-file", file=tmp_path / "a.mkv"):
        decoded(tmp_path / "a.mkv")
    assert not (cache / "videos").exists()


def test_the_identity_follows_the_file_and_the_channels(video, tmp_path):
    path = shutil.copy(video("h264.mp4"), tmp_path / "a.mp4")
    os.utime(path, ns=(1, 10**9))
    one = decoded(path)
    assert one.identity() == ["video", 1, str(path.resolve()), path.stat().st_size, 10**9, 3]
    assert decoded(path).identity() == one.identity() != decoded(path, channels=1).identity()
    os.utime(path, ns=(1, 2 * 10**9))
    assert decoded(path).identity() != one.identity()


@pytest.mark.parametrize(
    "how", ["removed", "touched", "shorter", "other frames, same size and time"]
)
def test_a_file_that_changes_while_it_is_read_is_named(video, tmp_path, how):
    path = Path(shutil.copy(video("h264.mkv"), tmp_path / "a.mkv"))
    frames = decoded(path)
    stat, content = path.stat(), path.read_bytes()
    path.unlink()
    if how == "touched":
        path.write_bytes(content)
        os.utime(path, ns=(1, 2))
    elif how == "shorter":
        path.write_bytes(content[:-100])
    elif how.startswith("other"):
        # The second half is gone, yet nothing shows it from outside.
        path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert frames[0].shape == (48, 64, 3)
        with refused("damaged-file", file=path) as caught:
            frames[39]
        assert "39 of 40" in str(caught.error)
        assert frames[1].shape == (48, 64, 3)
        return
    with refused("changed-file", file=path):
        frames[3]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "libx264")]
)
def test_damage_under_a_video_s_feet_gives_its_true_frames_or_none(name, codec, tmp_path):
    """Size and time of the file stay, as on a failing disk; whatever was tried before, no frame
    comes back as another.

    Without B-frames: those that are predicted from a damaged frame are shown before it.
    """
    path = encode(tmp_path / name, codec, b_frames=0)
    frames = decoded(path)
    whole, stat, content = np.array(frames), path.stat(), path.read_bytes()
    frames.close()
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    packet = max((packet for packet in packets[1:] if packet and packet in content), key=len)
    half = len(packet) // 2
    path.write_bytes(content.replace(packet, packet[:half] + bytes(len(packet) - half)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    lost = 0
    for t in [*range(40), *range(39, -1, -1), *random.Random(0).choices(range(40), k=40)]:
        try:
            assert np.array_equal(frames[t], whole[t])
        except InputError as error:
            assert (error.code, error.file) == ("damaged-file", path)
            lost += 1
    assert 0 < lost < 120


# --- open files, processes and threads


def test_one_file_is_open_however_many_videos_there_are(video, tmp_path, watched):
    videos = [decoded(shutil.copy(video("h264.mp4"), tmp_path / f"{n}.mp4")) for n in range(12)]
    expected = videos[0][:]
    for t in (3, 4, 20):
        for frames in videos:
            assert np.array_equal(frames[t], expected[t])
            assert watched.opened - watched.closed == 1
    del videos[5], frames
    assert watched.opened - watched.closed == 1
    videos.clear()
    assert watched.opened == watched.closed


def is_open(path):
    return any(
        os.path.realpath(f"/proc/self/fd/{name}") == str(path)
        for name in os.listdir("/proc/self/fd")
    )


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="no /proc to count open files in"
)


@needs_proc
def test_a_video_that_is_gone_leaves_no_file_open(video, tmp_path):
    path = shutil.copy(video("h264.mp4"), tmp_path / "a.mp4")
    frames = decoded(path)
    assert not is_open(path)
    frames[3]
    assert is_open(path)
    frames.close()
    assert not is_open(path)
    frames[3]
    assert is_open(path)
    del frames
    assert not is_open(path)


def test_a_copy_starts_closed(video, watched):
    frames = decoded(video("h264.mp4"))
    expected = frames[:]
    copy = pickle.loads(pickle.dumps(frames))
    assert (copy.shape, copy.fps, copy.path, copy.channels) == (
        frames.shape,
        frames.fps,
        frames.path,
        frames.channels,
    )
    assert copy.identity() == frames.identity()
    for t in (0, 30, 7):
        assert np.array_equal(copy[t], expected[t])
        assert np.array_equal(frames[t], expected[t])


def test_a_spawned_worker_reads_the_same_frames(video):
    frames = decoded(video("h264.mp4"))
    expected = frames[17]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert np.array_equal(
            pool.apply_async(operator.getitem, (frames, 17)).get(timeout=60), expected
        )


@needs_proc
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_worker_and_its_parent_do_not_disturb_each_other(video):
    path = video("raw.avi")
    frames, expected = decoded(path), np.array(decoded(path))
    frames[10]
    # a worker that inherited this would move the parent's position in the file
    assert is_open(path)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def work():
        theirs.send(is_open(path))
        for t in iter(theirs.recv, None):
            theirs.send(frames[t])

    worker = context.Process(target=work, daemon=True)
    worker.start()
    assert ours.poll(30)
    assert ours.recv() is False
    for t in (11, 12, 30, 13, 2, 39):
        ours.send(t)
        assert np.array_equal(frames[t], expected[t])
        assert ours.poll(30)
        assert np.array_equal(ours.recv(), expected[t])
    ours.send(None)
    worker.join(30)
    assert worker.exitcode == 0


def test_threads_may_read_at_once(video):
    videos = [decoded(video(name)) for name in ("h264.mp4", "xvid.avi")]
    expected = [frames[:] for frames in videos]
    tasks = [
        (random.Random(n).randrange(2), random.Random(n + 99).randrange(40)) for n in range(200)
    ]
    with ThreadPoolExecutor(8) as pool:
        for (which, t), frame in zip(
            tasks, pool.map(lambda task: videos[task[0]][task[1]], tasks), strict=True
        ):
            assert np.array_equal(frame, expected[which][t])


LISTENING = """
import sys
import av
from vadlib.data.decode import VideoFrames
from vadlib.errors import InputError

av.logging.set_level(av.logging.VERBOSE)
for _ in range(20):
    try:
        decoded(sys.argv[1])
    except InputError as error:
        print(error)
assert av.logging.get_level() == av.logging.VERBOSE
"""


def test_whoever_listens_to_libav_neither_hangs_nor_is_cut_off(video, tmp_path):
    """PyAV's log handler needs Python's lock, which whoever frees a decoder holds while it waits
    for the decoder's threads.
    """
    (tmp_path / "a.avi").write_bytes(video("xvid.avi").read_bytes()[:7000])
    run = subprocess.run(
        [sys.executable, "-c", LISTENING, str(tmp_path / "a.avi")],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert run.stdout.count("of 40 frames could be decoded") == 20


# --- folders


def test_videos_of_a_folder_in_natural_order_without_junk(tmp_path):
    for name in (
        "10.avi",
        "2.AVI",
        "1.mp4",
        "._1.mp4",
        "b.mkv",
        "notes.txt",
        "1.mp4~",
        ".DS_Store",
        "x.mpg",
        "01.jpg",
    ):
        (tmp_path / name).touch()
    (tmp_path / "folder.avi").mkdir()
    assert [path.name for path in list_videos(tmp_path)] == ["1.mp4", "2.AVI", "10.avi", "b.mkv"]
    assert list_videos(tmp_path / "folder.avi") == []
    assert {".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm"} <= VIDEO_SUFFIXES
