# %% [markdown]
# # Quickstart: from frames to an anomaly score
#
# A camera watches a street. Most of what happens is normal: people walk. Nobody can
# list everything that is *not* normal. So we train on normal videos only, and look for
# what the model cannot reconstruct. This notebook runs the complete pipeline once:
#
# **frames → clips → pseudo-anomalies → model → errors → scores → evaluation.**
#
# **After it you can**
#
# - say what the model sees in training and what it learns to do with it,
# - name four kinds of pseudo-anomaly and what each corrupts: speed, order, picture,
#   object,
# - read a score curve and an ROC curve, and say what an AUC must be compared with,
# - point at the place in a frame that caused a high score.
#
# **You need** Python and NumPy, and an idea of what a convolutional network and an
# autoencoder are. **Time** 2.1 minutes of computing on two CPU cores in the quick
# profile, 60 minutes of reading. **Memory** 2 GB. **Download** nothing.
#
# **Words** [anomaly](glossary.md#anomaly), [clip](glossary.md#clip),
# [pseudo-anomaly](glossary.md#pseudo-anomaly), [autoencoder](glossary.md#autoencoder),
# [memory](glossary.md#memory), [score](glossary.md#score), [AUC](glossary.md#auc),
# [baseline](glossary.md#baseline), [threshold](glossary.md#threshold).
#
# The method is that of J. Wei and others (see the references).

# %% [markdown]
# ## 1 The data
#
# Everything comes from one package, `vadlib`, imported as `vad`. Its subpackage
# `course` holds what only the notebooks use, such as figures.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# The videos show a rendered pedestrian street, which needs no download. The training
# videos show only normal life: people walk to the right, a display flickers, a tree
# sways. In the test videos something else happens, too. Each test frame has a label: 0
# is normal, 1 is abnormal.
#
# > **On Ped2.** If the environment variable `VADLIB_DATA` names a folder that holds
# > `ped2/`, the notebook uses that dataset instead: a real walkway, filmed by a fixed
# > camera at the University of California in San Diego. There, cyclists, skaters and
# > carts are abnormal.

# %%
data = course.tutorial_data()
train = vad.load_videos(data, "train")
test = vad.load_videos(data, "test")[: 4 if course.profile() == "quick" else None]
print(f"{data}: {len(train)} training videos, {len(test)} test videos")

# %% [markdown]
# We follow one test video to the end. Here is its first frame, which is normal, and one
# frame of each event, with the abnormal object outlined.
#
# **Predict:** what could a model measure in these pictures that distinguishes the
# abnormal object from a pedestrian? Its shape, its speed, its direction?

# %%
video = test[3]
moments = course.event_frames(video)
course.show(
    vad.plots.plot_frames(video, [0, *moments]),
    f"Frames {[0, *moments]} of video {video.name}.",
)

# %% [markdown]
# On the street a child runs through the picture, twice. It is smaller than the other
# people, so the *amount* of motion does not reveal it. Its speed and its stride do.
#
# ## 2 Clips
#
# A single picture shows a shape. Speed and direction need several pictures. So the
# model works on *clips* of 16 consecutive frames. Most of a frame never changes, so
# training only uses windows of 48 x 48 pixels in which something moves.

# %%
side, step = {"synthetic": (160, 96), "ped2": (240, 240)}[data]
config = vad.ClipConfig(length=16, crop=(48, 48), shorter_side=side, clip_step=step)
clips = vad.ClipDataset(train, config, vad.find_boxes(train))
print(f"{len(clips)} clips of shape {tuple(clips[0].tensor.shape)}")

# %% [markdown]
# The shape is: channels, frames, height, width. `clip_step` is the distance between the
# starts of two clips. A larger step gives fewer clips. `find_boxes` finds what moves;
# one of the pseudo-anomalies needs it.
#
# ## 3 Pseudo-anomalies
#
# There are no anomalies to train on, so we make some. We corrupt normal clips on
# purpose, in four ways. Each has a `strength` from 0 (the clip stays as it is) to 1.

# %%
skip = vad.SkipFrames(strength=0.5)
shuffle = vad.ShuffleMotion(strength=1.0)
noise = vad.AddNoise(strength=0.5)
paste = vad.PasteObjects("sprites", strength=1.0)

# %% [markdown]
# **Predict:** one of the four leaves every single picture unchanged. A model that looks
# at one picture at a time could never notice it. Which one?

# %%
clip = clips[{"synthetic": 103, "ped2": 12}[data]]
generator = torch.Generator().manual_seed(2)
pseudo_clips = []
for kind in (skip, shuffle, noise, paste):
    pseudo_clips.append(kind(clip, generator))
course.show(
    course.plot_kinds(clip, pseudo_clips),
    "A normal clip, and the same clip corrupted in four ways.",
)

# %% [markdown]
# It is `shuffle`: it shows the frames of the normal clip in another order. `skip` uses
# later frames, so that everything moves too fast. `noise` corrupts the picture and
# keeps the motion. `object` pastes a foreign object that moves along with a person.
#
# ## 4 The model
#
# The model has one encoder `E` and two paths. Each path has a *memory* and a *decoder*.
# A memory is a table of learned feature vectors. It replaces each feature of the
# encoder by a mixture of the vectors that resemble it most.

# %%
course.show(
    course.plot_method(clip.tensor, pseudo_clips[-1].tensor),
    "The model: one encoder, and two paths with a memory and a decoder each.",
)

# %% [markdown]
# With probability `p`, training corrupts a clip `x` into `x'`. Then
#
# - the **normal path** must reconstruct the *normal* clip `x`, both from `x` and from
#   `x'`;
# - the **pseudo-anomaly path** reconstructs `x'`, including everything that is wrong in
#   it.
#
# So `D_n` learns to show only what is normal. When a real anomaly comes, `D_n` should
# fail to show it. Its error is our score.
#
# ## 5 Training
#
# The training run below is short: few clips, three epochs. It takes half a minute.

# %%
torch.manual_seed(0)
model = vad.DualPathAutoencoder(
    vad.ModelConfig.preset("fast", channels=len(clip.tensor))
)
mixer = vad.PseudoAnomalyMixer([skip, shuffle, noise, paste], p=0.5)
training = vad.TrainConfig(epochs=3, seed=0)
folder = course.run_folder(f"00_quickstart-{data}")
short_run = vad.fit(model, clips, mixer, training, folder, resume=True, dataset=data)

# %% [markdown]
# Training records two errors of `D_n` in each epoch. `rebuild` is the error on normal
# clips. `inpaint` compares the output for a corrupted clip with the normal clip.
#
# **Predict:** do they fall to a tenth, to a half, or hardly at all?

# %%
history = course.read_history(short_run)
runs = {"short training": history}
axes = course.plot_history(runs, ["rebuild", "inpaint"], same_scale=True)
course.show(axes, "Mean squared errors of D_n over the epochs of the short training.")

# %% [markdown]
# They fall, but they are far from converged. A detector needs more training than a
# lesson has time for: about twenty minutes on two cores. `vadlib` ships the result. It
# is the same network with the same objective, trained on all clips.

# %%
run = vad.load_pretrained(data)
epochs = run.config.training.epochs
print(f"full training:  {run.config.clip_count} clips, {epochs} epochs")
print(f"short training: {len(clips)} clips, 3 epochs")

# %% [markdown]
# ## 6 From errors to scores
#
# `evaluate` sends the videos through a model. The **score** of a frame is the error of
# `D_n` in the window where it is highest, because an anomaly is often small.
#
# An alarm needs a **threshold**. We take it from a normal video that neither model was
# trained on: 99 of 100 of its frames score below the threshold. (`fit` holds out every
# eighth video for such purposes. `train[4]` is one of them.)

# %%
thresholds, curves = {}, {}
for name, trained in (("short training", short_run), ("full training", run)):
    comparison = vad.evaluate(trained, [train[4], video])
    normal_scores = comparison.window_errors(train[4].name).max((1, 2))
    thresholds[name] = np.quantile(normal_scores, 0.99)
    curves[name] = comparison.window_errors(video.name).max((1, 2))

# %% [markdown]
# **Predict:** where will the curve after the short training be above its threshold, and
# where will the curve after the full training be?

# %%
figure, axes = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
for ax, name in zip(axes, curves, strict=True):
    curve = {video.name: curves[name]}
    vad.plots.plot_scores(comparison, video.name, ax, curve, thresholds[name])
    ax.set_title(f"{name}, video {video.name}", loc="left")
course.show(
    figure,
    "The score of one video after the short and after the full training, "
    "with the abnormal spans shaded.",
)

# %% [markdown]
# A score above the threshold outside the shaded spans is a false alarm. A score below
# it inside them is a miss. After the short training the score on the street follows the
# flickering display, and no frame of the child is above the threshold. After the full
# training the score rises with both events. The one other peak is the display again.
# The network is the same in both figures. Only the training is longer.
#
# ## 7 How good is it?
#
# Now we score all test videos with the fully trained model, and compare it with
# **baselines** that learn nothing. They measure how much a frame differs from the
# previous one, how large the moving area is, how large the area is that differs from
# the empty scene, and how much motion the liveliest window holds. Each exists for one
# frame and for 16. If the model cannot beat the best of them, the learning has not paid
# off.

# %%
result = vad.evaluate(run, test)
test_names = list(result.labels)
scores = {name: result.window_errors(name).max((1, 2)) for name in test_names}
simple = course.baseline_scores(train, test)
baselines = vad.measure_baselines(simple, result.labels)
best = vad.best_baseline(baselines, "micro_auc_raw")

# %% [markdown]
# An ROC curve shows every threshold at once: the share of abnormal frames that are
# detected (upwards) against the share of normal frames with a false alarm (to the
# right). The area under it, the **AUC**, is the probability that a random abnormal
# frame scores higher than a random normal one. 0.5 is chance, 1 is perfect.
#
# **Predict:** which anomalies of this dataset can a baseline detect as well as a
# network, and which not at all?

# %%
ax = vad.plots.plot_roc(result.labels, {"model": scores, best: simple[best]})
course.show(
    ax, "ROC curves of the model and of the best baseline, over all test frames."
)

# %% [markdown]
# On the street the gap is wide. The baseline measures *how much* moves, and the display
# moves most. A person who walks the wrong way moves as much as everyone else, but the
# model has learned that nobody walks like that. (On the four videos of Ped2 that the
# quick profile uses, both curves are nearly level, because there abnormal objects also
# move more.)
#
# > **Common mistake.** Reading an AUC as a grade: "0.85, that is good". An AUC is good
# > or bad compared with something: a baseline on the same videos, other scores of the
# > same frames, another seed. And it says nothing about a threshold: a model with a
# > high AUC may still raise an alarm every minute.
#
# What does the model get wrong? Here is what the threshold of section 6 does in each
# video.

# %%
threshold = thresholds["full training"]
for v in test:
    alarms = scores[v.name] > threshold
    detected, false = alarms[v.labels == 1].mean(), alarms[v.labels == 0].mean()
    events = ", ".join(dict.fromkeys(filter(None, v.kinds or [])))
    print(f"{v.name}: {detected:4.0%} detected, {false:4.0%} false alarms  {events}")

# %% [markdown]
# On the street false alarms are rare, as the threshold demands. But many abnormal
# frames stay below it: when someone enters the picture, little of them is visible, and
# a child is small. For an alarm, one frame of an event may be enough. The video with an
# abandoned bag is not among these four: a model that looks where something moves hardly
# detects a static object. (On Ped2 it is the opposite: nearly everything is detected,
# but two videos have many false alarms, because the held-out video does not show
# everything that is normal.)
#
# ## 8 Why this frame?
#
# We look at the frame of our video with the highest score. The upper row shows the
# frame and its reconstructions by `D_n` and `D_p`. The lower row shows how much the two
# differ, and the squared error of each. Look at `D_n`. Where nothing moves, nothing was
# reconstructed. These places are hatched.
#
# **Predict:** where is the error largest: on the abnormal object, on people, or at
# edges?

# %%
peak = int(np.where(video.labels, scores[video.name], 0).argmax())
start = min(max(peak - 8, 0), len(video) - 16)
explanation = course.explain_clip(run, video, start)
course.show(
    course.plot_reconstruction(explanation, f"frame {start + 8}"),
    f"Frame {start + 8}, its reconstructions by both paths, difference and errors.",
)

# %% [markdown]
# On the street the error is large in two places: on the child, which `D_n` omits, and
# behind it, where `D_n` paints a shadow of someone who only walks. Walking people have
# a small error, because `D_n` blurs them a little.
#
# ## 9 Watch it
#
# The whole video, with heat where the error is above the threshold, and a bar for the
# score.

# %%
text = "The test video with heat over high errors, and a bar of the score below."
course.show_annotated(video, result.window_errors(video.name), threshold, text)

# %% [markdown]
# Notebook 07 improves this simple score: it compares both paths, averages over time,
# and calibrates each place.
#
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 00-1.** Four frames have scores. The two abnormal frames have 0.9 and 0.4,
# the two normal frames 0.5 and 0.1. Compute the AUC by hand, as the share of pairs of
# an abnormal and a normal frame that are in the right order.

# %% tags=["exercise"]
answer = (2 + 1) / 4
course.check_answer("00-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 00-1.** 0.9 is above both normal scores, 0.4 is above one of them. Three of
# the four pairs are in the right order.

# %% [markdown]
# The next exercise needs the frames of all videos in one array:

# %%
pooled = np.concatenate(list(scores.values()))
truth = np.concatenate(list(result.labels.values()))

# %% [markdown]
# **Exercise 00-2.** The threshold should cause about one false alarm in 100 normal
# frames. Does it on the *test* videos? Compute the **false-alarm rate**, the share of
# the normal test frames whose score is above `threshold`. Use `pooled` and `truth`. If
# it is far from 0.01, what may be the reason? (Notebook 07, section 5, returns to this
# question.)

# %% tags=["exercise"]
answer = (pooled[truth == 0] > threshold).mean()
course.check_answer("00-2", answer, scores=pooled, truth=truth, threshold=threshold)

# %% [markdown] tags=["solution"]
# **Answer 00-2.** The rate can differ a lot from 0.01. One held-out video does not show
# everything that is normal, and neighbouring frames are so similar that some hundred
# frames are far fewer independent examples.

# %% [markdown]
# ## Summary
#
# - Training sees normal videos only. Pseudo-anomalies stand in for the missing
#   anomalies, and each corrupts one thing.
# - The normal path learns to reconstruct normal clips. The score of a frame is its
#   error in the highest-error window.
# - An AUC has a meaning only beside the best baseline, a stated protocol and the number
#   of videos.
# - A threshold comes from held-out normal videos, never from test labels, and must be
#   checked.
#
# `VADLIB_PROFILE=full` tests on all videos. On the command line, `vadlib run --out
# runs/demo` does all of this.
#
# ## References
#
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
# - T. Fawcett: *An introduction to ROC analysis*, Pattern Recognition Letters 27, 2006,
#   [doi:10.1016/j.patrec.2005.10.010](https://doi.org/10.1016/j.patrec.2005.10.010):
#   what an AUC is
