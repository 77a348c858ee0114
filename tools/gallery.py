"""Make the images of README: of the rendered street, and a curve of Ped2 if it is below
VADLIB_DATA.

python tools/gallery.py

They are in gallery/. README shows each with its alt text from this file; a test compares them.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

import vadlib as vad
from vadlib import course
from vadlib.output.annotation import annotate

GALLERY = Path(__file__).resolve().parents[1] / "gallery"
ALTS = {
    "alarm": "A rendered street: when a cart drives by, heat covers it and the score rises above "
    "its threshold.",
    "frames": "Three frames of a rendered street; a running child is outlined in two of them.",
    "kinds": "A clip of a walking person, and the same clip skipped, shuffled, with noise, and "
    "with a pasted object.",
    "explorer": "A frame, its reconstruction, error and attention, above the score curve and its "
    "threshold.",
    "atlas": "Slots of the memory, decoded to pieces of texture, each beside windows that read it.",
    "ablation": "AUCs of the ablation table, each with the interval of its difference from the "
    "default.",
    "ped2": "The score of a Ped2 video over time: low until the shaded event begins, then above "
    "the threshold.",
}


def save(name: str, figure: object) -> None:
    """Save a figure, or that of some axes."""
    if not hasattr(figure, "savefig"):
        figure = np.ravel(figure)[0].figure
    options = {"dpi": 80, "bbox_inches": "tight", "metadata": {"Software": None}}
    figure.savefig(GALLERY / f"{name}.png", **options)


def save_alarm(
    result: vad.Result, video: vad.Video, first: int, seconds: float = 8.0, width: int = 480
) -> None:
    """Save an animation of some seconds of a video, annotated, above its score curve."""
    figure, ax = plt.subplots(figsize=(width / 100, 1.3), dpi=100, layout="constrained")
    vad.plots.plot_scores(result, video.name, ax)
    ax.set(title="", ylabel="score")
    ax.get_legend().remove()
    figure.canvas.draw()
    curve = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    maps = result.score_map(video.name)
    pages = []
    for t in range(first, first + round(seconds * video.fps)):
        at, _ = ax.transData.transform((video.seconds[t], 0))
        marked = curve.copy()
        marked[:, round(at) - 1 : round(at) + 1] = 0
        score = result.scores[video.name][t]
        picture = annotate(video.frames[t], maps[t], score, result.threshold, video.seconds[t])
        size = (width, round(picture.shape[0] * width / picture.shape[1]))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        pages.append(Image.fromarray(np.concatenate([picture, marked])))
    plt.close(figure)
    options = {"duration": round(1000 / video.fps), "loop": 0, "quality": 60, "method": 6}
    pages[0].save(GALLERY / "alarm.webp", save_all=True, append_images=pages[1:], **options)


def main() -> None:
    GALLERY.mkdir(exist_ok=True)
    train, test = (vad.load_videos("synthetic", split) for split in ("train", "test"))
    run = vad.load_pretrained("synthetic")
    save("frames", vad.plots.plot_frames(test[3], [0, *course.event_frames(test[3])]))
    config = vad.ClipConfig(crop=(48, 48), shorter_side=160, clip_step=96)
    clips = vad.ClipDataset(train, config, vad.find_boxes(train))
    kinds = [vad.SkipFrames(0.5), vad.ShuffleMotion(1.0), vad.AddNoise(0.5)]
    kinds.append(vad.PasteObjects("sprites", 1.0))
    generator = torch.Generator().manual_seed(2)
    save("kinds", course.plot_kinds(clips[103], [kind(clips[103], generator) for kind in kinds]))
    videos = test[1:3]  # the bicycle and the cart
    result = vad.evaluate(run, videos, progress=False)
    view = course.sample_views(result)[0]
    save("explorer", course.plot_explorer(run, result, videos, view)[0])
    save_alarm(result, videos[1], first=int(videos[1].labels.argmax()) - 25)
    config = vad.ClipConfig(length=16, crop=run.config.clips.crop, clip_step=16)
    small = vad.ClipDataset(train, config)
    windows = [small[int(i)].tensor for i in np.linspace(0, len(small) - 1, 300)]
    slots = np.argsort(course.slot_usage(run, windows)["M_n"])[::-1][:3]
    save("atlas", course.plot_slot_atlas(course.slot_atlas(run, windows, slots), windows))
    save("ablation", course.plot_ablation(course.read_ablation()))
    folder = os.environ.get("VADLIB_DATA")
    # only its curve: the frames are not ours to show
    if folder and (Path(folder) / "ped2").is_dir():
        videos = [video for video in vad.load_videos("ped2", "test") if video.name == "04"]
        save("ped2", vad.plots.plot_scores(vad.evaluate("ped2", videos, progress=False), "04"))
    for path in sorted(GALLERY.iterdir()):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
