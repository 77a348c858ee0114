# %% [markdown]
# # Quickstart: from frames to an anomaly score
#
# A camera watches a street. Most of what happens is normal: people walk. Nobody can
# list everything that is *not* normal. So we train on normal videos only, and look for
# what the model cannot reconstruct. This notebook goes the whole way once:
#
# **frames → clips → pseudo-anomalies → model → errors → scores → evaluation.**
#
# **After it you can**
#
# - say what the model sees in training and what it is asked to do with it,
# - name four types of pseudo-anomaly and what each breaks: speed, order, picture,
#   object,
# - read a score curve and an ROC curve, and say against what an AUC must be compared,
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
# All that this suite needs is in one package, `vadlib`; `vad.` marks what comes from
# it.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# The videos show a rendered pedestrian street, which needs no download. Training videos
# hold only normal life: people walk to the right, a display flickers, a tree sways. In
# the test videos something else happens, too. Each test frame has a label: 0 normal, 1
# abnormal.
#
# > **On Ped2.** If the environment variable `VADLIB_DATA` names a folder that holds
# > `ped2/`, the notebook takes that dataset instead: a real walkway, filmed by a fixed
# > camera at the University of California in San Diego. There, cyclists, skaters and
# > carts are abnormal.

# %%
data = course.tutorial_data()
train = vad.load_videos(data, "train")
test = vad.load_videos(data, "test")[: 4 if course.profile() == "quick" else None]
print(f"{data}: {len(train)} training videos, {len(test)} test videos")

# %% [markdown]
# We will follow one test video to the end. Here are its first frame, which is normal,
# and one frame of each event, with the abnormal object outlined.
#
# **Predict:** what could a model measure in these pictures that tells the abnormal
# object from a pedestrian? Its shape, its speed, its direction?

# %%
video = test[3]
moments = course.event_frames(video)
course.show(
    vad.plots.plot_frames(video, [0, *moments]),
    f"Frames {[0, *moments]} of video {video.name}.",
)

# %% [markdown]
# On the street a child runs through the picture, twice. It is smaller than the others,
# so it does not stand out by the *amount* of motion. It stands out by its speed and its
# stride.
#
# ## 2 Clips
#
# A single picture shows a shape. Speed and direction need several. So the model works
# on *clips* of 16 consecutive frames. Most of a frame never changes, so training looks
# only at windows of 48 x 48 pixels in which something moves.

# %%
side, step = {"synthetic": (160, 96), "ped2": (240, 240)}[data]
config = vad.ClipConfig(length=16, crop=(48, 48), shorter_side=side, clip_step=step)
clips = vad.ClipDataset(train, config, vad.find_boxes(train))
print(f"{len(clips)} clips of shape {tuple(clips[0].tensor.shape)}")

# %% [markdown]
# The shape is: channels, frames, height, width. `clip_step` is the distance between the
# starts of two clips: a larger one means fewer clips. `find_boxes` finds what moves;
# one of the pseudo-anomalies needs it.
#
# ## 3 Pseudo-anomalies
#
# There are no anomalies to train on, so we make some: we break normal clips on purpose,
# in four ways. Each has a `strength` from 0 (the clip stays as it is) to 1.

# %%
skip = vad.SkipFrames(strength=0.5)
shuffle = vad.ShuffleMotion(strength=1.0)
noise = vad.AddNoise(strength=0.5)
paste = vad.PasteObjects("sprites", strength=1.0)

# %% [markdown]
# **Predict:** one of the four leaves every single picture as it was. A model that looks
# at one picture at a time could never notice it. Which one?

# %%
clip = clips[{"synthetic": 103, "ped2": 12}[data]]
generator = torch.Generator().manual_seed(2)
pseudo_clips = [kind(clip, generator) for kind in (skip, shuffle, noise, paste)]
course.show(
    course.plot_kinds(clip, pseudo_clips),
    "A normal clip, and the same clip corrupted in four ways.",
)

# %% [markdown]
# It is `shuffle`: the frames are those of the normal clip, in another order. `skip`
# takes later frames, so that everything moves too fast. `noise` breaks the picture and
# leaves the motion. `object` lets a foreign thing move along with a person.
#
# ## 4 The model
#
# One encoder `E` and two paths. Each path has a *memory* and a *decoder*. A memory is a
# table of learned feature vectors. What the encoder found is replaced by a mixture of
# the vectors that resemble it most.

# %%
course.show(
    course.plot_method(clip.tensor, pseudo_clips[-1].tensor),
    "The model: one encoder, and two paths with a memory and a decoder each.",
)

# %% [markdown]
# With probability `p` a training clip `x` is broken into `x'`. Then
#
# - the **normal path** must give back the *normal* clip `x`, whether it got `x` or
#   `x'`;
# - the **pseudo-anomaly path** gives back `x'`, with everything that is wrong in it.
#
# So `D_n` learns to show only what is normal. When a real anomaly comes, `D_n` should
# fail to show it, and its error is our score.
#
# ## 5 Training
#
# The training below takes half a minute: few clips, three times.

# %%
torch.manual_seed(0)
model = vad.DualPathAutoencoder(
    vad.ModelConfig.preset("fast", channels=len(clip.tensor))
)
mixer = vad.PseudoAnomalyMixer([skip, shuffle, noise, paste], p=0.5)
training = vad.TrainConfig(epochs=3, seed=0)
folder = course.run_folder(f"00_quickstart-{data}")
short_run = vad.fit(
    model, clips, mixer, training, folder, resume=True, dataset={"name": data}
)

# %% [markdown]
# Two errors of `D_n` are noted in each epoch: `rebuild`, of normal clips, and
# `inpaint`, of the normal clip that it should make of a broken one.
#
# **Predict:** do they fall to a tenth, to a half, or hardly?

# %%
history = course.read_history(short_run)
axes = course.plot_history(
    {"short training": short_run}, ["rebuild", "inpaint"], same_scale=True
)
course.show(axes, "Mean squared errors of D_n over the epochs of the short training.")

# %% [markdown]
# They fall, and they are far from their end. A detector needs more training than a
# lesson has time for: about twenty minutes on two cores. `vadlib` ships the result: the
# same network, with the same objective, trained on all clips.

# %%
run = vad.load_pretrained(data)
clip_count = run.config["dataset"]["clips"]
epochs = run.config["training"]["epochs"]
print(f"full training:  {clip_count} clips, {epochs} epochs")
print(f"short training: {len(clips)} clips, 3 epochs")

# %% [markdown]
# ## 6 From errors to scores
#
# `evaluate` sends the videos through both models. The **score** of a frame is the error
# of `D_n` in the window where it is largest: one small anomaly is enough.
#
# A score needs a **threshold**. We take it from a normal video on which neither model
# was trained: 99 of 100 of its frames lie below. (`fit` holds out every eighth video
# for such purposes; `train[4]` is one of them.)

# %%
thresholds, curves = {}, {}
for name, trained in (("short training", short_run), ("full training", run)):
    comparison = vad.evaluate(trained, [train[4], video])
    normal_scores = comparison.window_errors(train[4].name).max((1, 2))
    thresholds[name] = np.quantile(normal_scores, 0.99)
    curves[name] = comparison.window_errors(video.name).max((1, 2))

# %% [markdown]
# **Predict:** where will the curve after the short training be above its threshold, and
# where the one after the full training?

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
# What is above the threshold outside the shaded spans is a false alarm; what is below
# it inside them is a miss. After the short training the score on the street follows the
# flickering display, and no frame of the child is above the threshold. After the full
# training it rises with both events, but for one peak, which is the display again. The
# network is the same in both figures. Only the training is longer.
#
# ## 7 How good is it?
#
# Now all test videos, by the model after its full training. And beside it,
# **baselines** that learn nothing: how much a frame differs from the one before, how
# large the area is that moves, how large the area is that differs from the empty scene,
# and how much motion the liveliest window holds; each from one frame and from 16. A
# model that does not beat the best of them has not shown that its learning helps.

# %%
result = vad.evaluate(run, test)
scores = {v.name: result.window_errors(v.name).max((1, 2)) for v in test}
simple = course.baseline_scores(train, test)
baselines = vad.measure_baselines(simple, result.labels)
best = vad.best_baseline(baselines, "micro_auc_raw")

# %% [markdown]
# An ROC curve shows every threshold at once: the share of abnormal frames that are
# found (upwards) at the price of false alarms among the normal frames (to the right).
# The area under it, the **AUC**, is the probability that a random abnormal frame scores
# higher than a random normal one: 0.5 is chance, 1 is perfect.
#
# **Predict:** which anomalies of this dataset can a baseline find as well as a network,
# and which not at all?

# %%
ax = vad.plots.plot_roc(result.labels, {"model": scores, best: simple[best]})
course.show(
    ax, "ROC curves of the model and of the best baseline, over all test frames."
)

# %% [markdown]
# On the street the gap is wide: the baseline measures *how much* moves, and the display
# moves most. A person who walks the wrong way moves as much as everybody else; the
# model knows that nobody walks like that. (On the four videos of Ped2 that the quick
# profile takes, both curves are nearly level: there, what is abnormal also moves more.)
#
# > **Common mistake.** Reading an AUC as a grade: "0.85, that is good". It is good or
# > bad beside something: a baseline on the same videos, other scores of the same
# > frames, another seed. And it says nothing of a threshold: a model with a high AUC
# > may still raise an alarm every minute.
#
# And what does it get wrong? Here is what the threshold of section 6 does, video by
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
# frames stay below it: where somebody enters, little of them is to be seen, and a child
# is small. For an alarm, one frame of an event may be enough. The video with a bag that
# is left is not among these four: a thing that stands still is hardly found by a model
# that looks where something moves. (On Ped2 it is the other way round: nearly all is
# found, and two videos have many false alarms, since the held-out video does not show
# all that is normal.)
#
# ## 8 Why this frame?
#
# We take the frame of our video with the highest score. Left the frame, in the middle
# what `D_n` made of it, right the squared error. Where nothing moves, nothing was
# reconstructed: these places are hatched.
#
# **Predict:** where is the error largest: on the abnormal object, on people, or at
# edges?

# %%
peak = int(np.where(video.labels, scores[video.name], 0).argmax())
start = min(max(peak - 8, 0), len(video) - 16)
explanation = course.explain_clip(run, video, start)
course.show(
    course.plot_reconstruction(explanation, peak - start, f"frame {peak}"),
    f"Frame {peak}, its reconstruction by D_n, and a map of the squared error.",
)

# %% [markdown]
# On the street the error lights up in two places: on the child, which `D_n` leaves out,
# and behind it, where `D_n` paints a shadow of somebody who only walks. People who do
# walk have a small error, since `D_n` blurs them a little.
#
# ## 9 Watch it
#
# The whole video, with the error over the threshold as heat and the score as a bar.

# %%
text = "The test video with heat over high errors, and a bar of the score below."
course.show_annotated(video, result.window_errors(video.name), threshold, text)

# %% [markdown]
# Notebook 07 improves on this simple score: it compares both paths, averages over time,
# and calibrates each place.
#
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 00-1.** Four frames have been scored. The two abnormal ones got 0.9 and
# 0.4, the two normal ones 0.5 and 0.1. Compute the AUC by hand, as the share of pairs
# of an abnormal and a normal frame that are in the right order.

# %% tags=["exercise"]
answer = (2 + 1) / 4
course.check_answer("00-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 00-1.** 0.9 is above both normal scores, 0.4 above one of them: three of the
# four pairs are in the right order.

# %% [markdown]
# For the next one, the frames of all videos in one row:

# %%
pooled = np.concatenate([scores[v.name] for v in test])
truth = np.concatenate([v.labels for v in test])

# %% [markdown]
# **Exercise 00-2.** The threshold should cause about one false alarm in 100 normal
# frames. Does it on the *test* videos? Compute the **false-alarm rate**: the share of
# the normal test frames whose score is above `threshold`. Use `pooled` and `truth`. If
# it is far from 0.01: what may be the reason? (Notebook 07, section 5, comes back to
# that.)

# %% tags=["exercise"]
answer = (pooled[truth == 0] > threshold).mean()
course.check_answer("00-2", answer, scores=pooled, truth=truth, threshold=threshold)

# %% [markdown] tags=["solution"]
# **Answer 00-2.** The rate can differ much from 0.01: one held-out video does not show
# everything that is normal, and neighbouring frames are so alike that some hundred
# frames are far fewer independent examples.

# %% [markdown]
# ## Summary
#
# - Training sees normal videos only; pseudo-anomalies stand in for what is missing, and
#   each breaks one thing.
# - The normal path learns to give back normal clips. The score of a frame is its error
#   in the worst window.
# - An AUC means something beside the best baseline, a stated protocol and the number of
#   videos behind it.
# - A threshold comes from held-out normal videos, never from test labels, and must be
#   checked.
#
# `VADLIB_PROFILE=full` tests on all videos. From the command line, `vadlib run --out
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
