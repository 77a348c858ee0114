# %% [markdown]
# # Datasets: what is normal, what is not, and who decides
#
# Look at the data before you train a model. What counts as abnormal differs from
# dataset to dataset, and so does the share of abnormal frames. One of the datasets has
# two ground truths. All of this decides what an AUC means.
#
# **After it you can**
#
# - say what is normal and what is abnormal in four public datasets, and how large they
#   are,
# - explain why an AUC on a test set that is mostly abnormal needs care,
# - say how far you get with motion alone,
# - check a copy of a dataset, and use your own video.
#
# **You need** notebook 00, NumPy, and what an AUC is (notebook 00, section 7). **Time**
# 0.8 minutes of computing on two CPU cores in the quick profile, 30 minutes of reading.
# **Memory** 2 GB. **Download** nothing. Complete copies of the larger datasets take
# longer.
#
# **Words** [label](glossary.md#label), [mask](glossary.md#mask), [ground
# truth](glossary.md#ground-truth), [clip](glossary.md#clip),
# [baseline](glossary.md#baseline).
#
# A *label* says whether a frame is abnormal (1) or normal (0). A *mask* says it for
# each pixel. Papers often call the videos of a dataset *clips*. Here a clip is what
# notebook 00 cut: 16 frames.

# %% [markdown]
# ## 1 Available datasets
#
# `load_test_videos` looks for copies of the datasets that vadlib knows, in the folder
# that the environment variable `VADLIB_DATA` names. The rendered street, `synthetic`,
# needs no files, so this notebook runs without any. `vadlib data list` says how to get
# the others.

# %%
import tempfile
from pathlib import Path

import numpy as np
import vadlib as vad
from vadlib import course

# %% [markdown]
# We take the *test* videos, because training videos are normal throughout and have
# nothing to compare. A copy may hold only some of them.

# %%
datasets, absent = course.load_test_videos()
for name, videos in datasets.items():
    print(f"{name:13}{len(videos)} test videos")
for name, reason in absent.items():
    print(f"{name:13}not used: {reason}")

# %% [markdown]
# In the quick profile, the cells that read every frame (sections 4 and 5) read at most
# 12 videos of each dataset.

# %%
most = 12 if course.profile() == "quick" else None
few = {name: videos[:most] for name, videos in datasets.items()}

# %% [markdown]
# ## 2 Normal and abnormal
#
# A normal and an abnormal frame of each dataset, with abnormal pixels outlined.
#
# **Predict:** which of the outlined objects would you have noticed without the outline?
# In which dataset is that hardest?

# %%
names = " and ".join(datasets)
course.show(
    course.plot_examples(datasets),
    f"A normal and an abnormal frame from each of {names}, "
    "with the abnormal object outlined.",
)

# %% [markdown]
# The hardest objects look like their surroundings, such as a skateboarder among
# pedestrians. In motion, a moment later, they are easier to notice.
#
# All datasets have fixed cameras and people who walk. The *training* videos decide what
# counts as abnormal. A bicycle is abnormal on these walkways because the training
# videos show only pedestrians. Had they shown cyclists, it would be normal. In UCSD's
# Ped1 and Ped2, bicycles, skateboards and carts are abnormal. In CUHK Avenue it is
# running, throwing things and walking the wrong way. In ShanghaiTech, filmed by
# thirteen cameras, it is bicycles, fights, running and more.
#
# The complete datasets in numbers:
#
# | dataset | training videos, frames | test videos, frames | abnormal test frames | width x height | frames per second |
# |---|---|---|---|---|---|
# | UCSD Ped1 | 34, 6,800 | 36, 7,200 | 4,045 | 238 x 158 | 10 |
# | UCSD Ped2 | 16, 2,550 | 12, 2,010 | 1,648 | 360 x 240 | 10 |
# | CUHK Avenue | 16, 15,328 | 21, 15,324 | 3,712 (`vol`) or 3,867 (`community`) | 640 x 360 | 25 |
# | ShanghaiTech | 330, 274,515 | 107, 40,791 | 17,326 | 856 x 480 | 24 |
#
# `vol` and `community` are two ground truths. Section 6 explains them.
#
# ## 3 When do anomalies occur?
#
# Each bar is a test video. Its hatched parts are abnormal.
#
# **Predict:** a detector calls *every* frame abnormal. On which share of the frames is
# it right?

# %%
for name, videos in datasets.items():
    share = np.concatenate([v.labels for v in videos]).mean()
    course.show(
        course.plot_timelines(videos, name),
        f"{name}: test videos over time, with abnormal spans hatched; "
        f"{share:.0%} of all frames are abnormal.",
    )

# %% [markdown]
# Look at the percentages on the right. A video with 100% (or 0%) has frames of one
# class only. It has no AUC of its own, because the AUC compares abnormal frames with
# normal ones. The *macro AUC*, the mean over the videos, must leave such videos out,
# and should say how many.

# %%
for name, videos in datasets.items():
    truth = np.concatenate([v.labels for v in videos])
    single = [v for v in videos if len(np.unique(v.labels)) == 1]
    print(name)
    print(f"  abnormal frames: {truth.sum()} of {len(truth)} ({truth.mean():.0%})")
    print(f"  videos with frames of one class only: {len(single)} of {len(videos)}")

# %% [markdown]
# > **Common mistake.** Accuracy. On the complete Ped2, 1,648 of 2,010 test frames are
# > abnormal. So "always abnormal" is right on 82% of them and distinguishes nothing. An
# > AUC does not reward that: a constant score has an AUC of 0.5, because ties count
# > half. But the AUC rests on the smaller class. On Ped2, everything we know about
# > false alarms comes from 362 normal frames.
#
# ## 4 Where do anomalies occur?
#
# How large are abnormal objects? The lines below give the share of the *frame* that the
# masks cover, over the abnormal frames.
#
# **Predict:** suppose that you average a model's error over all pixels of a frame. How
# much of that average could an anomaly change?

# %%
masked = {}
for name, videos in few.items():
    with_masks = [v for v in videos if v.masks is not None and v.labels.any()]
    if with_masks:
        masked[name] = with_masks

# %% [markdown]
# We take the masks of every tenth abnormal frame.

# %%
for name, videos in masked.items():
    shares = []
    for v in videos:
        abnormal_frames = np.flatnonzero(v.labels)[::10]
        shares += [v.masks[t].mean() for t in abnormal_frames]
    print(f"{name:12} median {np.median(shares):.1%}, maximum {max(shares):.1%}")

# %% [markdown]
# So a mean over the frame hides an anomaly among the other pixels and their noise. That
# is why notebook 00 scored a frame by its *highest-error window*.
#
# Masks differ in style: some are outlines, some are boxes. Here are three moments of
# one video of each dataset.

# %%
for name, videos in masked.items():
    example = videos[len(videos) // 2]
    abnormal_frames = np.flatnonzero(example.labels)
    moments = np.quantile(abnormal_frames, [0.25, 0.5, 0.75], method="lower").tolist()
    course.show(
        vad.plots.plot_frames(example, moments),
        f"{name}: frames {moments} of one video with outlined masks.",
    )

# %% [markdown]
# Not everything that you would call odd is outlined: someone decided. Section 6 returns
# to that.
#
# ## 5 How much does it move?
#
# Many anomalies are fast. The simplest measure of motion is the mean absolute
# difference of all pixels from the previous frame.
#
# **Predict:** will this separate normal from abnormal frames? In which dataset best?

# %%
changes, labels = {}, {}
for name, videos in few.items():
    changes[name] = {v.name: course.frame_changes(v) for v in videos}
    labels[name] = {v.name: v.labels for v in videos}
course.show(
    course.plot_frame_changes(changes, labels),
    f"Distributions of the mean change of normal and abnormal frames in {names}.",
)

# %% [markdown]
# As a detector, this number has an AUC. The lines below it are the eight *baselines* of
# notebook 00: this same change, the moving area, the area that differs from the empty
# scene (here the median of each video's own frames), and the motion energy in the
# liveliest window.

# %%
for name, videos in few.items():
    auc = vad.metrics.micro_auc(labels[name], changes[name])
    print(f"{name} ({len(videos)} videos): AUC of the mean change {auc:.3f}")
    baselines = vad.measure_baselines(course.baseline_scores([], videos), labels[name])
    for baseline, aucs in baselines.items():
        print(
            f"    {baseline:28}{aucs['micro_auc_raw']:.3f} raw, "
            f"{aucs['micro_auc_per_video']:.3f} per video"
        )

# %% [markdown]
# 0.5 is chance. Some of these numbers come from very few videos. Motion alone is
# informative, but not equally so on every dataset: many walking people change as many
# pixels as one who runs. The best baseline depends on the data and on the metric, and
# it can be surprisingly good. Compare every model with it before you call its AUC good.
#
# ## 6 Who decides? The two ground truths of Avenue
#
# The authors of Avenue published masks. A frame is abnormal if any of its pixels is
# (`vol`). Copies in circulation come with a file of frame labels instead (`community`).
# `two_ground_truths` uses both if your copy of Avenue has them. Otherwise the figure
# shows the rendered street. Its second ground truth, `widened`, is made up: every event
# of the first one starts 5 frames earlier and ends 5 frames later, as a more generous
# annotator might have drawn it.
#
# **Predict:** where in an event do two annotators differ: at its beginning, in the
# middle, or at its end?

# %%
truths = course.two_ground_truths(datasets["synthetic"])
first, second = truths.values()
differences = {name: int((first[name] != second[name]).sum()) for name in first}
frames = sum(len(truth) for truth in first.values())
print(
    f"{' and '.join(truths)} differ on {sum(differences.values())} of {frames} frames"
)
examples = sorted(differences, key=differences.get, reverse=True)[:6]

# %% [markdown]
# These videos differ most. Black lines mark frames on which the two disagree.

# %%
course.show(
    course.plot_ground_truths(
        {name: first[name] for name in examples},
        {name: second[name] for name in examples},
        tuple(truths),
    ),
    f"The ground truths {' and '.join(truths)} of videos {', '.join(examples)}, "
    "and the frames in which they differ.",
)

# %% [markdown]
# On the complete Avenue the two differ on 441 of 15,324 frames, and not only at the
# ends of events. `vol` has gaps where `community` continues, and in video 02
# `community` has an event that `vol` does not have. Now score one by the other, as if
# it were the output of a detector. The AUC below is that of a *perfect* copy of the
# first ground truth, measured with the second one.

# %%
auc = vad.metrics.micro_auc(second, first)
print(f"AUC of {' measured by '.join(truths)}: {auc:.3f}")

# %% [markdown]
# So two papers with different ground truths cannot be compared to the second decimal,
# even if both models were perfect. vadlib uses `vol` if it is available and
# `--ground-truth community` on request. Every result names its ground truth.
#
# ## 7 Your own video
#
# Create a folder with two folders in it: `training` for videos in which nothing
# abnormal happens, and `testing` for others. A video is a file (MP4, AVI, MKV and more)
# or a folder of images. Labels are optional. If you have some, write a line for each
# event into `labels.csv` beside the two folders. Frames count from 0, and `end` is the
# first frame that is normal again:
#
# ```
# video,start,end
# tuesday,12,60
# ```
#
# As an example, we write a part of the rendered street as H.264 files.

# %%
folder = Path(tempfile.mkdtemp()) / "my_videos"
monday, tuesday = vad.load_videos("synthetic", "train")[0], datasets["synthetic"][1]
course.write_video(folder / "training" / "monday.mp4", monday.frames[:60], monday.fps)
events = f"video,start,end\ntuesday,{tuesday.labels.argmax()},60\n"
(folder / "labels.csv").write_text(events)
course.write_video(folder / "testing" / "tuesday.mp4", tuesday.frames[:60], tuesday.fps)

# %% [markdown]
# `vadlib data check folder --root my_videos` reads every file and reports its contents
# and its problems. In Python:

# %%
report = vad.check_dataset("folder", folder, progress=False)
print(course.describe_report(report).replace(str(folder), "my_videos"))

# %% [markdown]
# From here on, your videos are a dataset like any other. In Python
# `vad.load_videos("folder", "train", folder)` loads them. On the command line, `vadlib
# train --data folder --root my_videos --out runs/mine` trains on them.

# %%
for split in ("train", "test"):
    print(*vad.load_videos("folder", split, folder))

# %% [markdown]
# ## 8 Browse
#
# Choose a dataset and a video, and move through its frames. With the keyboard: Escape
# leaves the text of a cell, Tab moves to the next control, the space bar presses a
# button, and the arrow keys move a slider.

# %%
course.Browser(datasets)

# %% [markdown]
# The same picture at three moments, for readers without a running kernel:

# %%
for dataset, video, frame in course.sample_frames(datasets):
    course.show(*course.plot_browser(datasets, dataset, video, frame))

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 01-1.** On which share of the rendered street's abnormal *frames* does the
# mask cover less than half a percent of the picture?

# %% tags=["exercise"]
small = []
for v in datasets["synthetic"]:
    small += [v.masks[t].mean() < 0.005 for t in np.flatnonzero(v.labels)]
answer = np.mean(small)
course.check_answer("01-1", answer, videos=datasets["synthetic"])

# %% [markdown] tags=["solution"]
# **Answer 01-1.** A mask is True where something is abnormal, so its mean is the share
# of the picture. A score of the whole frame hardly sees such small objects. Notebook 07
# uses the highest-error window instead.

# %% [markdown]
# **Exercise 01-2.** Make an off-by-one error: shift the labels of every video of the
# rendered street by one frame (`np.roll`). On how many frames do they now differ from
# the true labels? Why is that number twice the number of events?

# %% tags=["exercise"]
counts = [(np.roll(v.labels, 1) != v.labels).sum() for v in datasets["synthetic"]]
answer = int(sum(counts))
course.check_answer("01-2", answer, videos=datasets["synthetic"])

# %% [markdown] tags=["solution"]
# **Answer 01-2.** Each event has a beginning and an end, and each of the two moves by
# one frame.

# %% [markdown]
# ## Summary
#
# - What training does not show is abnormal. Each dataset draws that line elsewhere.
# - Anomalies cover a small part of the frame. The test set of Ped2 is mostly abnormal,
#   and four of its videos have frames of one class only.
# - The amount of motion is a cheap detector. Its AUC is the number to beat.
# - Ground truths differ. Results can be compared only if they name their ground truth.
#
# ## References
#
# - V. Mahadevan, W. Li, V. Bhalodia, N. Vasconcelos: *Anomaly Detection in Crowded
#   Scenes*, CVPR 2010,
#   [doi:10.1109/CVPR.2010.5539872](https://doi.org/10.1109/CVPR.2010.5539872) (Ped1,
#   Ped2)
# - C. Lu, J. Shi, J. Jia: *Abnormal Event Detection at 150 FPS in MATLAB*, ICCV 2013,
#   [doi:10.1109/ICCV.2013.338](https://doi.org/10.1109/ICCV.2013.338) (Avenue)
# - W. Luo, W. Liu, S. Gao: *A Revisit of Sparse Coding Based Anomaly Detection in
#   Stacked RNN Framework*, ICCV 2017,
#   [doi:10.1109/ICCV.2017.45](https://doi.org/10.1109/ICCV.2017.45) (ShanghaiTech)
