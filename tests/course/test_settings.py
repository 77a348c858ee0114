"""The notebooks' profile, data and run folder follow the environment, and what they show has a text
for people who cannot see it.
"""

import base64
import io
import re

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from refusals import refused

from vadlib import course
from vadlib.course import display


@pytest.mark.parametrize(
    ("value", "gpu", "expected"),
    [("quick", True, "quick"), ("full", False, "full"), ("", True, "full"), ("", False, "quick")],
)
def test_profile_is_what_the_environment_says_else_follows_the_gpu(
    monkeypatch, value, gpu, expected
):
    monkeypatch.setenv("VADLIB_PROFILE", value)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    assert course.profile() == expected
    monkeypatch.setenv("VADLIB_PROFILE", "Quick")
    with refused("unknown-name", field="VADLIB_PROFILE"):
        course.profile()


def test_only_what_needs_no_download_is_offered(monkeypatch, tmp_path):
    def offered():
        return course.tutorial_data(), course.tutorial_detectors(), course.tutorial_patches()

    monkeypatch.delenv("VADLIB_DATA", raising=False)
    assert offered() == ("synthetic", ["motion", "boxes"], ["builtin", "sprites"])
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path))
    assert course.tutorial_data() == "synthetic"
    for name in ("ped2", "weights", "cifar100"):
        (tmp_path / name).mkdir()
    # without its .cfg, which would be downloaded
    (tmp_path / "weights" / "MobileNetV2-YOLOv3-Nano-coco.weights").touch()
    assert offered() == ("ped2", ["motion"], ["builtin", "sprites"])
    (tmp_path / "weights" / "MobileNetV2-YOLOv3-Nano-coco.cfg").touch()
    (tmp_path / "cifar100" / "train").mkdir()
    assert offered() == ("ped2", ["motion", "darknet"], ["builtin", "sprites", "cifar100"])


def test_run_folder_is_the_same_from_the_repository_and_from_its_notebooks(monkeypatch, tmp_path):
    monkeypatch.setenv("VADLIB_PROFILE", "quick")
    monkeypatch.delenv("VADLIB_RUNS", raising=False)
    (tmp_path / "repository" / "notebooks" / "src").mkdir(parents=True)
    for here in ("repository", "repository/notebooks"):
        monkeypatch.chdir(tmp_path / here)
        assert course.run_folder("00") == tmp_path / "repository" / "build" / "runs" / "00-quick"
    monkeypatch.chdir(tmp_path)
    assert course.run_folder("00") == tmp_path / "runs" / "00-quick"
    monkeypatch.setenv("VADLIB_RUNS", str(tmp_path / "elsewhere"))
    folder = course.run_folder("00")
    assert folder == tmp_path / "elsewhere" / "00-quick"
    folder.mkdir(parents=True)
    assert course.run_folder("00").exists()
    assert course.run_folder("00", fresh=True) == folder
    assert not folder.exists()


def test_a_process_is_killed_after_it_wrote_the_file(tmp_path):
    script = "import sys, time; open(sys.argv[1], 'w'); time.sleep(60); open(sys.argv[2], 'w')"
    arguments = ["-c", script, tmp_path / "first", tmp_path / "second"]
    assert course.kill_after(arguments, tmp_path / "first", seconds=0.1) != 0
    assert not (tmp_path / "second").exists()
    with refused("missing-file", file=tmp_path / "never"):
        course.kill_after(["-c", "raise SystemExit(3)"], tmp_path / "never", seconds=0)


def decode(markup):
    return base64.b64decode(re.search(r"base64,([^\"]+)", markup)[1])


def test_pictures_and_videos_hold_what_is_shown_and_its_text(monkeypatch):
    outputs = []
    monkeypatch.setattr("IPython.display.display", outputs.append)
    figure = plt.figure(figsize=(1, 1))
    display.show(figure, 'A line that rises <fast> & "far".')
    markup = outputs[0].data
    text = "A line that rises &lt;fast&gt; &amp; &quot;far&quot;."
    assert f'alt="{text}"' in markup
    # for those who see it, once for those who hear it
    assert re.search(r'<figcaption aria-hidden="true".*?>(.*?)</figcaption>', markup)[1] == text
    assert decode(markup).startswith(b"\x89PNG")
    assert not plt.fignum_exists(figure.number)
    levels = np.arange(20, 240, 30)
    frames = [np.full((34, 51, 3), level, np.uint8) for level in levels]
    markup = display.video_tag(frames, 12.5, 'frames that grow <brighter> & "brighter"')
    assert "&lt;brighter&gt; &amp; &quot;" in markup
    with av.open(io.BytesIO(decode(markup))) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    np.testing.assert_allclose(np.mean(decoded, (1, 2, 3)), levels, atol=4)
    with refused("too-few", field="alt"):
        display.show(plt.figure(), "a score curve")
    with refused("too-few", field="text"):
        display.video_tag(frames, 10, "one two three four")
    plt.close("all")
