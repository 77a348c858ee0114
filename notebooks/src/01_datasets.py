# %% [markdown]
# # Datasets: what is normal, what is not, and who says so
#
# Before any model: look at the data. What is called abnormal differs from dataset to dataset, how much of it there is differs
# even more, and for one of them two ground truths circulate. All of this decides what an AUC means.
#
# **After it you can**
#
# - say what is normal and what is abnormal in four public datasets, and how often,
# - explain why an AUC on a test set that is mostly abnormal must be read with care,
# - tell how far the amount of motion alone gets,
# - check a copy of a dataset, and bring your own video.
#
# **You need** notebook 00, NumPy, and what an AUC is (notebook 00, section 6).
# **Time** about one minute of computing on two CPU cores, 30 minutes of reading. **Memory** about 1 GB.
#
# Words used throughout: a *clip* of a dataset is one of its videos; a *label* says of a frame whether it is abnormal (1) or
# normal (0); a *mask* says it of each pixel.

# %% [markdown]
# ## 1 What is here?
#
# `list_datasets` looks below a folder for copies of the datasets that vadlib knows, and recognises their layouts. The folder is
# what the environment variable `VADLIB_DATA` names. The rendered street needs no files, so this notebook runs without any.

# %%
import tempfile
from pathlib import Path

import numpy as np

import vadlib as vad
from vadlib.evaluation.metrics import macro_auc, micro_auc

# %% [markdown]
# A copy may hold only some clips. We keep every dataset of which some *test* clips are there: training clips are normal
# throughout, so only test clips have something to compare.

# %%
entries = [entry for entry in vad.list_datasets() if entry["name"] != "folder"]
for e in entries:
    print(f"{e['name']:13}", f"{e['layout']} layout" if e["there"] else f"not there; to get it: {e['get']}")
datasets = {e["name"]: vad.load_videos(e["name"], "test") for e in entries if e["there"]}

# %% [markdown]
# ## 2 Normal and abnormal
#
# A normal and an abnormal frame of each dataset; abnormal pixels are outlined.
#
# **Predict:** before you look at the outline, find what is abnormal in each picture on the right. In which dataset is it
# hardest?

# %%
names = " and ".join(datasets)
vad.show(vad.plot_examples(datasets), f"A normal and an abnormal frame from each of {names}; what is abnormal is outlined.")

# %% [markdown]
# What all have in common: one fixed camera, people who walk. What counts as abnormal is decided by what the *training* clips
# show. On a walkway a bicycle is abnormal because nobody cycles in training; on a street it would not be. UCSD's Ped1 and Ped2
# call bicycles, skateboards, small carts and wheelchairs abnormal, wherever they are; CUHK Avenue calls running, throwing
# things and walking the wrong way abnormal; ShanghaiTech has thirteen cameras, and bicycles, fights and chases.
#
# ## 3 When?
#
# Each bar is a test clip, its hatched parts are abnormal.
#
# **Predict:** a detector that calls *every* frame abnormal: on which share of the frames is it right?

# %%
for name, videos in datasets.items():
    share = np.concatenate([v.labels for v in videos]).mean()
    vad.show(
        vad.plot_timelines(videos, name), f"{name}: test clips over time, abnormal spans hatched; {share:.0%} of all frames are abnormal."
    )

# %% [markdown]
# Look at the percentages on the right. A clip with 100% (or 0%) has only one kind of frame. There a clip's own AUC does not
# exist: the AUC compares abnormal frames with normal ones. *Macro AUC*, the mean over the clips, must leave such clips out, and
# should say how many.

# %%
print(f"{'':12}{'clips':>6}{'frames':>8}{'abnormal':>10}{'share':>7}{'one kind only':>15}")
for name, videos in datasets.items():
    truth = {v.name: v.labels for v in videos}
    abnormal, frames = sum(int(t.sum()) for t in truth.values()), sum(map(len, truth.values()))
    print(f"{name:12}{len(truth):6}{frames:8}{abnormal:10}{abnormal / frames:7.0%}{macro_auc(truth, truth)[1]:15}")

# %% [markdown]
# > **Common mistake.** Accuracy. On the complete Ped2, 1,648 of 2,010 test frames are abnormal, so "always abnormal" is right
# > on 82% of them and finds nothing. An AUC does not reward that: a constant score has an AUC of 0.5.
#
# ## 4 Where?
#
# How large are abnormal things? The table says which share of the *frame* the masks cover, over the abnormal frames.
#
# **Predict:** if a model's error were averaged over all pixels of a frame, how much of that average could an anomaly move?

# %%
masked = {name: [v for v in videos if v.masks is not None] for name, videos in datasets.items()}
for name, videos in masked.items():
    shares = [v.masks[t].mean() for v in videos for t in np.flatnonzero(v.labels)[::10]]
    print(f"{name:12} an anomaly covers {np.median(shares):.1%} of the frame (median), at most {max(shares):.1%}")

# %% [markdown]
# So a mean over the frame drowns an anomaly in the rest of the picture, and its noise. That is why notebook 00 scored a frame
# by its *worst place*.
#
# Masks differ in style: outlines of a thing, boxes around it. Here are three moments of one clip.

# %%
shown = next(v for videos in reversed(masked.values()) for v in videos if v.labels.any())
moments = np.flatnonzero(shown.labels)[np.linspace(0, shown.labels.sum() - 1, 5).astype(int)[1:4]].tolist()
vad.show(vad.plot_frames(shown, moments), f"Three abnormal frames, {moments}, of one clip with outlined masks.")

# %% [markdown]
# ## 5 How much does it move?
#
# Many anomalies are fast. The simplest measure of motion there is: how much a frame differs from the one before, on average
# over all pixels.
#
# **Predict:** will this separate normal from abnormal frames? In which dataset best?

# %%
changes = {name: {v.name: vad.frame_changes(v) for v in videos} for name, videos in datasets.items()}
truths = {name: np.concatenate([v.labels for v in videos]) for name, videos in datasets.items()}
together = {name: np.concatenate(list(values.values())) for name, values in changes.items()}
split = {name: (values[truths[name] == 0], values[truths[name] == 1]) for name, values in together.items()}
vad.show(vad.plot_changes(split), f"Distributions of the mean change of normal and abnormal frames in {names}.")

# %% [markdown]
# As a detector, this number has an AUC of its own:

# %%
for name, values in changes.items():
    labels = {v.name: v.labels for v in datasets[name]}
    print(f"{name:12} AUC of the mean change: {micro_auc(values, labels):.3f}")

# %% [markdown]
# 0.5 would be chance. So motion alone gets somewhere, and not everywhere equally far: many people who walk change as much of a
# picture as one who runs. The *yardstick* of notebook 00 measures motion at one place at a time, and does far better: on the
# complete Ped2 it reaches 0.87. Any model must be compared with such a number before its own is called good.
#
# ## 6 Who says so? Avenue's two ground truths
#
# Avenue's authors gave masks; a frame is abnormal when any pixel of it is (`vol`). Later a file with frame labels came into
# circulation (`community`), and many papers use it. Without a copy of Avenue, the figure shows the rendered street, and the
# second truth is the first with each event widened by 5 frames: what a second annotator with slower eyes might have drawn.
#
# **Predict:** where in an event will two annotators differ: at its beginning, in the middle, or at its end?

# %%
first, second = vad.two_truths(datasets["synthetic"])
differ = {name: int((first[name] != second[name]).sum()) for name in first}
print(f"{sum(differ.values())} of {sum(map(len, first.values()))} frames differ")
most = sorted(differ, key=differ.get, reverse=True)[:6]

# %% [markdown]
# The clips that differ most. Black lines mark frames on which the two disagree.

# %%
pictures = vad.plot_truths({n: first[n] for n in most}, {n: second[n] for n in most}, ("vol", "community"))
vad.show(pictures, f"Two ground truths of the clips {', '.join(most)}, and the frames in which they differ.")

# %% [markdown]
# On the complete Avenue the two differ on 441 of 15,324 frames, and not only at the ends of events: `vol` has gaps where
# `community` goes on, and in clip 02 `community` has an event of which `vol` knows nothing. Score one by the other, as if it
# were a detector's output: the AUC below is the best that a *perfect* copy of one annotator gets by the other's labels.

# %%
print(f"AUC of the first truth, measured by the second: {micro_auc(first, second):.3f}")

# %% [markdown]
# So two papers that used different truths cannot be compared to the second decimal, even if both models were perfect. vadlib
# takes `vol` where it is there, `--ground-truth community` on request, and writes which one it was into every result.
#
# ## 7 Your own video
#
# Put videos in which nothing abnormal happens into a folder: video files, or folders of images. To have something to show, we
# write a part of the rendered street as an H.264 file.

# %%
mine = Path(tempfile.mkdtemp()) / "my_videos"
street = vad.load_videos("synthetic", "train")[0]
vad.write_video(mine / "training" / "monday.mp4", street.frames[:60], street.fps)
vad.write_video(mine / "testing" / "tuesday.mp4", datasets["synthetic"][1].frames[:60], street.fps)
_ = (mine / "labels.csv").write_text("video,start,end\ntuesday,40,60\n")

# %% [markdown]
# `vadlib data check folder --root my_videos` reads all of it and says what is there and what is wrong. In Python:

# %%
print(vad.describe_report(vad.check_dataset("folder", mine, progress=False)).replace(str(mine), "my_videos"))

# %% [markdown]
# From here on, your videos are a dataset like any other: `vad.load_videos("folder", "train", mine)`, or `vadlib train --data
# folder --root my_videos --out runs/mine`. Labels are optional. In `labels.csv`, frames count from 0 and `end` is the first
# frame that is normal again.
#
# ## 8 Browse
#
# Choose a dataset and a clip, and move through its frames. With the keyboard: Tab to a control, arrow keys to move.

# %%
vad.browse(datasets)

# %% [markdown]
# The same picture at three moments, for readers without a running kernel:

# %%
for dataset, clip, frame in vad.sample_frames(datasets):
    vad.show(*vad.plot_browser(datasets, dataset, clip, frame))

# %% [markdown]
# ## Exercises
#
# **1.** Which share of the *test clips* of the rendered street contains at least one abnormal frame? Replace `None`; the cell
# checks your answer.
#
# <details><summary>Solution</summary>
#
# ```python
# answer = np.mean([v.labels.any() for v in datasets["synthetic"]])
# ```
#
# </details>

# %%
answer = None
if answer is not None:
    right = sum(1 in v.labels for v in datasets["synthetic"]) / len(datasets["synthetic"])
    print("right" if np.isclose(answer, right) else "not yet: count clips, not frames")

# %% [markdown]
# **2.** An off-by-one: shift the labels of every clip of the rendered street by one frame (`np.roll`). On how many frames do
# they now differ from the true ones? Why is that number even, and about twice the number of events?
#
# <details><summary>Solution</summary>
#
# ```python
# answer = sum(int((np.roll(v.labels, 1) != v.labels).sum()) for v in datasets["synthetic"])
# ```
#
# Each event has a beginning and an end, and each of the two moves by one frame.
#
# </details>

# %%
answer = None
if answer is not None:
    edges = sum(np.count_nonzero(np.diff(np.r_[v.labels, v.labels[0]].astype(int))) for v in datasets["synthetic"])
    print("right" if answer == edges else "not yet: compare np.roll(v.labels, 1) with v.labels, clip by clip")

# %% [markdown]
# **3.** (Harder.) Exercise 2 for Avenue, if it is here: by how many frames must `vol` be shifted until it differs from itself
# on as many frames as it differs from `community`? What does that say about the care with which frame labels can be drawn at
# all?
#
# ## Summary
#
# - What is abnormal is what training does not show; each dataset draws that line elsewhere.
# - Anomalies cover a small part of the frame; Ped2's test set is mostly abnormal, and four of its clips have one kind of frame only.
# - The amount of motion is a cheap detector; its AUC is the bar.
# - Ground truths differ. A result without the name of its ground truth cannot be compared.
#
# ## References
#
# - V. Mahadevan, W. Li, V. Bhalodia, N. Vasconcelos: *Anomaly Detection in Crowded Scenes*, CVPR 2010,
#   [doi:10.1109/CVPR.2010.5539872](https://doi.org/10.1109/CVPR.2010.5539872) (Ped1, Ped2)
# - C. Lu, J. Shi, J. Jia: *Abnormal Event Detection at 150 FPS in MATLAB*, ICCV 2013,
#   [doi:10.1109/ICCV.2013.338](https://doi.org/10.1109/ICCV.2013.338) (Avenue)
# - W. Luo, W. Liu, S. Gao: *A Revisit of Sparse Coding Based Anomaly Detection in Stacked RNN Framework*, ICCV 2017,
#   [doi:10.1109/ICCV.2017.45](https://doi.org/10.1109/ICCV.2017.45) (ShanghaiTech)
