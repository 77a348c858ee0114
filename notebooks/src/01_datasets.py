# %% [markdown]
# # Datasets: what is normal, what is not, and who says so
#
# Before any model: look at the data. What is called abnormal differs from dataset to
# dataset, how much of it there is differs even more, and for one of them two ground
# truths circulate. All of this decides what an AUC means.
#
# **After it you can**
#
# - say what is normal and what is abnormal in four public datasets, and how large they
#   are,
# - explain why an AUC on a test set that is mostly abnormal must be read with care,
# - tell how far the amount of motion alone gets,
# - check a copy of a dataset, and bring your own video.
#
# **You need** notebook 00, NumPy, and what an AUC is (notebook 00, section 6). **Time**
# 0.8 minutes of computing on two CPU cores in the quick profile, 30 minutes of reading.
# **Memory** 2 GB. **Download** nothing. Complete copies of the larger datasets take
# longer.
#
# **Words** [label](glossary.md#label), [mask](glossary.md#mask), [ground
# truth](glossary.md#ground-truth), [clip](glossary.md#clip),
# [baseline](glossary.md#baseline).
#
# Words used throughout: a *label* says of a frame whether it is abnormal (1) or normal
# (0); a *mask* says it of each pixel. Papers often call the videos of a dataset
# *clips*; here a clip is what notebook 00 cut, 16 frames.

# %% [markdown]
# ## 1 What is here?
#
# `load_test_videos` looks for copies of the datasets that vadlib knows, in the folder that
# the environment variable `VADLIB_DATA` names. The rendered street, `synthetic`, needs
# no files, so this notebook runs without any. `vadlib data list` says how to get the
# others.

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
# A normal and an abnormal frame of each dataset; abnormal pixels are outlined.
#
# **Predict:** which of the outlined things would you have found without the outline? In
# which dataset is that hardest?

# %%
names = " and ".join(datasets)
course.show(
    course.plot_examples(datasets),
    f"A normal and an abnormal frame from each of {names}, "
    "with the abnormal object outlined.",
)

# %% [markdown]
# Hardest is what looks like its surroundings: somebody on a skateboard among people on
# foot. A moment later, in motion, it is easier.
#
# What all have in common: fixed cameras, people who walk. What counts as abnormal is
# decided by what the *training* videos show: a bicycle is abnormal on these walkways
# because training shows people on foot only; had it shown cyclists, it would be normal.
# In UCSD's Ped1 and Ped2 bicycles, skateboards and carts are abnormal; in CUHK Avenue
# running, throwing things and walking the wrong way; in ShanghaiTech, filmed by
# thirteen cameras, bicycles, fights, running and more.
#
# The complete datasets, in numbers:
#
# | dataset | training videos, frames | test videos, frames | of these abnormal | width x height | frames a second |
# |---|---|---|---|---|---|
# | UCSD Ped1 | 34, 6,800 | 36, 7,200 | 4,045 | 238 x 158 | 10 |
# | UCSD Ped2 | 16, 2,550 | 12, 2,010 | 1,648 | 360 x 240 | 10 |
# | CUHK Avenue | 16, 15,328 | 21, 15,324 | 3,712 (`vol`) or 3,867 (`community`) | 640 x 360 | 25 |
# | ShanghaiTech | 330, 274,515 | 107, 40,791 | 17,326 | 856 x 480 | 24 |
#
# `vol` and `community` are two ground truths; section 6 is about them.
#
# ## 3 When?
#
# Each bar is a test video, its hatched parts are abnormal.
#
# **Predict:** a detector that calls *every* frame abnormal: on which share of the
# frames is it right?

# %%
for name, videos in datasets.items():
    share = np.concatenate([v.labels for v in videos]).mean()
    course.show(
        course.plot_timelines(videos, name),
        f"{name}: test videos over time, with abnormal spans hatched; "
        f"{share:.0%} of all frames are abnormal.",
    )

# %% [markdown]
# Look at the percentages on the right. A video with 100% (or 0%) has only one kind of
# frame. It has no AUC of its own: the AUC compares abnormal frames with normal ones.
# *Macro AUC*, the mean over the videos, must leave such videos out, and should say how
# many.

# %%
for name, videos in datasets.items():
    truth = np.concatenate([v.labels for v in videos])
    single = [v for v in videos if len(np.unique(v.labels)) == 1]
    print(name)
    print(f"  abnormal frames: {truth.sum()} of {len(truth)} ({truth.mean():.0%})")
    print(f"  videos with frames of one class only: {len(single)} of {len(videos)}")

# %% [markdown]
# > **Common mistake.** Accuracy. On the complete Ped2, 1,648 of 2,010 test frames are
# > abnormal, so "always abnormal" is right on 82% of them and tells nothing apart. An
# > AUC does not reward that: a constant score has an AUC of 0.5, since ties count half.
# > But it rests on the few: on Ped2, all that is known of false alarms comes from 362
# > normal frames.
#
# ## 4 Where?
#
# How large are abnormal things? The lines below say which share of the *frame* the
# masks cover, over the abnormal frames.
#
# **Predict:** if a model's error were averaged over all pixels of a frame, how much of
# that average could an anomaly move?

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
# So a mean over the frame drowns an anomaly in the rest of the picture, and its noise.
# That is why notebook 00 scored a frame by its *worst place*.
#
# Masks differ in style: outlines of a thing, boxes around it. Here are three moments of
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
# And not everything that you would call odd is outlined: somebody decided. Section 6
# comes back to that.
#
# ## 5 How much does it move?
#
# Many anomalies are fast. The simplest measure of motion there is: how much a frame
# differs from the one before, on average over all pixels.
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
# As a detector, this number has an AUC of its own. Below it are the eight *baselines*
# of notebook 00: this same change, the area that moves, the area that differs from the
# empty scene (here the median of each video's own frames), and the energy of motion in
# the window with the most of it.

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
# 0.5 would be chance; mind how few videos stand behind a number. So motion alone gets
# somewhere, and not everywhere equally far: many people who walk change as much of a
# picture as one who runs. Which baseline is the best depends on the data and on the
# metric, and the best one may be surprisingly good. Any model must be compared with it
# before its own number is called good.
#
# ## 6 Who says so? Avenue's two ground truths
#
# Avenue's authors gave masks; a frame is abnormal when any pixel of it is (`vol`).
# Copies that circulate come with a file of frame labels instead (`community`).
# `two_ground_truths` takes both wherever a copy of Avenue has them. Without such a copy the
# figure shows the rendered street; its second truth, `widened`, is made up: the first
# with each event widened by 5 frames on either side, as a more generous annotator might
# have drawn it.
#
# **Predict:** where in an event will two annotators differ: at its beginning, in the
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
# The videos that differ most. Black lines mark frames on which the two disagree.

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
# ends of events: `vol` has gaps where `community` goes on, and in video 02 `community`
# has an event of which `vol` knows nothing. Score one by the other, as if it were a
# detector's output: the AUC below is what a *perfect* copy of the first truth gets when
# the second one is the judge.

# %%
auc = vad.metrics.micro_auc(second, first)
print(f"AUC of {' measured by '.join(truths)}: {auc:.3f}")

# %% [markdown]
# So two papers that used different truths cannot be compared to the second decimal,
# even if both models were perfect. vadlib takes `vol` where it is there,
# `--ground-truth community` on request, and writes which one it was into every result.
#
# ## 7 Your own video
#
# Make a folder with two folders in it: `training` for videos in which nothing abnormal
# happens, `testing` for others. A video is a file (MP4, AVI, MKV and more) or a folder
# of images. Labels are optional; where you have some, `labels.csv` beside the two
# folders has a line for each event. Frames count from 0, and `end` is the first frame
# that is normal again:
#
# ```
# video,start,end
# tuesday,12,60
# ```
#
# To have something to show, we write a part of the rendered street as H.264 files.

# %%
folder = Path(tempfile.mkdtemp()) / "my_videos"
monday, tuesday = vad.load_videos("synthetic", "train")[0], datasets["synthetic"][1]
course.write_video(folder / "training" / "monday.mp4", monday.frames[:60], monday.fps)
events = f"video,start,end\ntuesday,{tuesday.labels.argmax()},60\n"
(folder / "labels.csv").write_text(events)
course.write_video(folder / "testing" / "tuesday.mp4", tuesday.frames[:60], tuesday.fps)

# %% [markdown]
# `vadlib data check folder --root my_videos` reads all of it and says what is there and
# what is wrong. In Python:

# %%
report = vad.check_dataset("folder", folder, progress=False)
print(course.describe_report(report).replace(str(folder), "my_videos"))

# %% [markdown]
# From here on, your videos are a dataset like any other. In Python
# `vad.load_videos("folder", "train", mine)` loads them; from the command line, `vadlib
# train --data folder --root my_videos --out runs/mine` trains on them.

# %%
for split in ("train", "test"):
    print(*vad.load_videos("folder", split, folder))

# %% [markdown]
# ## 8 Browse
#
# Choose a dataset and a video, and move through its frames. With the keyboard: Escape
# leaves the text of a cell, Tab goes from control to control, the space bar presses a
# button, arrow keys move a slider.

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
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
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
# of the picture. Such small things decide what a score of the whole frame can see:
# notebook 07 takes the worst window instead.

# %% [markdown]
# **Exercise 01-2.** An off-by-one: shift the labels of every video of the rendered
# street by one frame (`np.roll`). On how many frames do they now differ from the true
# ones? Why is that number even, and twice the number of events?

# %% tags=["exercise"]
answer = 0
for v in datasets["synthetic"]:
    answer += int((np.roll(v.labels, 1) != v.labels).sum())
course.check_answer("01-2", answer, videos=datasets["synthetic"])

# %% [markdown] tags=["solution"]
# **Answer 01-2.** Each event has a beginning and an end, and each of the two moves by
# one frame.

# %% [markdown]
# ## Summary
#
# - What is abnormal is what training does not show; each dataset draws that line
#   elsewhere.
# - Anomalies cover a small part of the frame; Ped2's test set is mostly abnormal, and
#   four of its videos have one kind of frame only.
# - The amount of motion is a cheap detector; its AUC is the bar.
# - Ground truths differ. A result without the name of its ground truth cannot be
#   compared.
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
