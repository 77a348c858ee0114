# %% [markdown]
# # Quickstart: from frames to an anomaly score
#
# A camera watches a street. Most of what happens is normal: people walk. Nobody can list everything that is *not* normal, so we
# train on normal videos only and look for what the model cannot explain. This notebook goes the whole way once:
#
# **frames → clips → pseudo-anomalies → dual-path autoencoder → errors → scores → evaluation.**
#
# **After it you can**
#
# - say what the model sees in training and what it is asked to do with it,
# - name four kinds of pseudo-anomaly and what each breaks: speed, order, picture, object,
# - read a score curve and an ROC curve, and say against what an AUC must be compared,
# - point at the place in a frame that caused a high score.
#
# **You need** Python and NumPy, and an idea of what a convolutional network and an autoencoder are. **Time** 2.1 minutes of computing on
# two CPU cores in the quick profile, 60 minutes of reading. **Memory** 2 GB. **Download** nothing.
#
# **Words** [anomaly](glossary.md#anomaly), [clip](glossary.md#clip), [pseudo-anomaly](glossary.md#pseudo-anomaly),
# [autoencoder](glossary.md#autoencoder), [memory](glossary.md#memory), [score](glossary.md#score), [AUC](glossary.md#auc),
# [baseline](glossary.md#baseline), [threshold](glossary.md#threshold).
#
# The method is that of J. Wei and others (see the references). Where `vadlib` departs from the paper, this notebook says so.

# %% [markdown]
# ## 1 The data
#
# All that this suite needs is in one package, `vadlib`; `vad.` marks what comes from it.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import vadlib as vad

# %% [markdown]
# Two datasets can be used here. **Ped2** (UCSD, 2010) is a real walkway filmed by a fixed camera; it is taken if the
# environment variable `VADLIB_DATA` names a folder that holds `ped2/`. Otherwise a small **synthetic** street is rendered, which
# needs nothing. In both, the training videos show only normal walking; the test videos have a label for each frame (0 normal,
# 1 abnormal).
#
# In the quick profile we test on the first four test videos only. The numbers below are then not comparable with published ones.

# %%
data, quick = vad.tutorial_data(), vad.profile() == "quick"
train, test = vad.load_videos(data, "train"), vad.load_videos(data, "test")[: 4 if quick else None]
print(f"dataset: {data}; profile: {vad.profile()}; training: {len(train)} videos, {sum(map(len, train))} frames")
print(f"testing: {len(test)} videos, {sum(map(len, test))} frames, {sum(int(v.labels.sum()) for v in test)} abnormal")

# %% [markdown]
# Here is one test video at three moments: its first frame, which is normal, and two abnormal ones. The outline is the ground truth for
# pixels. We will follow this video to the end. On Ped2 cyclists, skaters and carts are abnormal; on the synthetic street, among others, a
# cart, cyclists, runners, and people who walk the wrong way.
#
# **Predict:** what in these pictures could a model measure that tells the abnormal object from a pedestrian? Its shape, its speed, its
# direction?

# %%
shown, abnormal = test[3], np.flatnonzero(test[3].labels)
moments = [0, *abnormal[[10, len(abnormal) // 2]].tolist()]
vad.show(vad.plot_frames(shown, moments), f"Frames {moments} of a video; in the last two an outlined anomaly.")

# %% [markdown]
# ## 2 Clips
#
# A single picture shows the shape; speed and direction need several. So the model works on *clips* of 16 consecutive frames. Most of a
# frame never changes, so training looks only at windows of 48 x 48 pixels in which something moves. Pixels are scaled to [-1, 1].
# `find_boxes` finds the moving things by background subtraction; we need them for one of the pseudo-anomalies. `clip_step` is the
# distance between the starts of two clips: a larger one means fewer clips.

# %%
step = {"synthetic": 96, "ped2": 240}[data] if quick else 4
cutting = vad.DataConfig(length=16, crop=(48, 48), clip_step=step)
clips = vad.ClipDataset(train, cutting, vad.find_boxes(train))
clip = clips[12]
print(f"{len(clips)} clips; number 12 has shape {tuple(clip.tensor.shape)}: channels, frames, height, width")

# %% [markdown]
# ## 3 Pseudo-anomalies
#
# There are no anomalies to train on, so we make some: we break normal clips on purpose. Each kind has a `strength` from 0 (the clip comes
# back unchanged) to 1. The figures show a normal clip, what became of it, the difference (its label says which change, in grey levels, is
# white), and a mask: white where anything differs.
#
# The first kind skips frames, so that everything moves too **fast**.

# %%
skipped = vad.SkipFrames(strength=0.5)(clip, torch.Generator().manual_seed(0))
vad.show(vad.plot_pseudo(clip, skipped), f"A normal clip; below, {skipped.params['stride']} times as fast.")

# %% [markdown]
# Why is most of the mask white, even on the empty ground? Other frames are shown now, and the camera's noise
# differs from frame to frame. Only the first frame is the same as before.
#
# The second kind shuffles the frames: every single frame is normal, the **order** is not.
#
# **Predict:** could a model that sees one frame at a time notice this?

# %%
shuffled = vad.ShuffleMotion(strength=1.0)(clip, torch.Generator().manual_seed(0))
vad.show(vad.plot_pseudo(clip, shuffled), f"The clip, its frames in the order {shuffled.params['order']}.")

# %% [markdown]
# It could not: a shuffled clip contains exactly the frames of the normal one.
#
# The third kind adds noise: the **picture** is broken, the motion is not.

# %%
noisy = vad.AddNoise(strength=0.5)(clip, torch.Generator().manual_seed(0))
vad.show(vad.plot_pseudo(clip, noisy), f"The clip under noise of deviation {noisy.params['sigma']:.3f}.")

# %% [markdown]
# The fourth kind pastes a picture (grey here, if the video is grey) onto something that moves, and lets it move along: a foreign
# **object**. The mask now has a shape.

# %%
pasted = vad.PasteObjects(strength=1.0)(clip, torch.Generator().manual_seed(2))
vad.show(vad.plot_pseudo(clip, pasted), "A foreign picture covers what moves, and moves along.")

# %% [markdown]
# ## 4 The model
#
# One encoder `E` and two paths; `fast` is vadlib's own network, small enough for a CPU. The normal path is a memory `M_n` and a decoder
# `D_n`, the pseudo path `M_p` and `D_p`. A memory is a table of learned feature vectors, its *slots*. What the encoder found at a place
# is replaced by a mixture of the slots that resemble it most. The idea: if the slots hold parts of normal clips, an anomaly can only be
# rebuilt from normal parts, and so badly.

# %%
torch.manual_seed(0)
model = vad.DualPathAutoencoder(vad.ModelConfig.preset("fast", channels=len(clip.tensor)))
for name, part in model.named_children():
    print(f"{name:15}{sum(p.numel() for p in part.parameters()):>9,} parameters")

# %% [markdown]
# ## 5 Training
#
# With probability `p` a clip becomes a pseudo-anomaly, of a kind drawn by chance. From a normal clip the normal path rebuilds that
# clip. From a pseudo-anomaly the normal path must give back the **normal** clip it was made of, and the pseudo path rebuilds the
# pseudo-anomaly itself. This objective is called `inpaint`. The paper instead *maximises* the pseudo path's error.
#
# Some training videos are held out: they tell later how large errors are on normal videos the model has not seen.
#
# In the quick profile this takes well below a minute: few clips, three times. That is enough to see the errors fall, and far too
# little for a good detector. The run is kept in `build/runs`. If you run this cell again, the finished run is loaded instead of
# trained.

# %%
kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]
mixer = vad.PseudoAnomalyMixer(kinds, p=0.5)
training = vad.TrainConfig(epochs=3, seed=0)
folder = vad.run_folder(f"00_quickstart-{data}")
brief = vad.fit(model, clips, mixer, training, folder, resume=True, dataset={"name": data})

# %% [markdown]
# Each epoch's mean errors are in `history.csv`. Two of them matter here: `rebuild` (normal clips) and `inpaint` (the normal clip
# from the pseudo-anomalous one).
#
# **Predict:** three passes over so few clips: do the errors fall to a tenth, to a half, or hardly?

# %%
history = np.genfromtxt(brief.folder / "history.csv", delimiter=",", names=True)
figure, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
ax.plot(history["epoch"], history["rebuild"], "o-", history["epoch"], history["inpaint"], "s--")
ax.set(xlabel="epoch", xticks=history["epoch"], ylim=(0, None), ylabel="mean squared error", title="rebuild (dots) and inpaint (squares)")
vad.show(figure, f"Errors of training end at {history['rebuild'][-1]:.3f} and {history['inpaint'][-1]:.3f}.")

# %% [markdown]
# By a fifth on the rendered street, by half on Ped2: the network is still learning what the empty ground looks like. What the two errors
# have in common is what it blurs in *every* clip, and after so short a training that is most of either. With more training they part:
# `inpaint` is the harder task, since what a patch has covered must be guessed from its surroundings, and the right order of shuffled frames
# from what they show.
#
# ## 6 Evaluation
#
# A detector needs more training than a lesson has time for: twenty minutes to an hour on two cores. `vadlib` ships the result, a run of
# the same network with the same objective on *all* clips of the training videos. From here on we use it.

# %%
run = vad.load_pretrained(data)
print(f"{run.config['dataset']['clips']} clips, {run.config['training']['epochs']} times; ours: {len(clips)}, {training.epochs} times")

# %% [markdown]
# Every test video is rebuilt along both paths. A frame's score is the mean of two parts. One is the error of `D_n` at the frame's
# worst place. The other is the *contrast*: the ratio of `D_n`'s error to `D_p`'s, over the whole frame. `D_p` has learned to rebuild
# pseudo-anomalies, so where it does better than usual beside `D_n`, something is odd.
#
# A number alone says little. So we also score the videos with **baselines** that learn nothing. Four things are measured: how much a
# frame differs from the one before, the area that moves, the area that differs from the empty scene, and the *motion energy* in the
# window with the most of it. Each is taken from a single frame and from 16 frames. A model that does not beat the best of these eight
# has not shown that its learning helps.
#
# **Predict:** which anomalies of this dataset does a baseline find as well as a network could, and which not at all?

# %%
result = vad.evaluate(run, test)
simple = vad.baseline_scores(train, test)
baselines = vad.measure_baselines(simple, result.labels)

# %% [markdown]
# The AUC is the probability that a random abnormal frame scores higher than a random normal one, where a tie counts half: 0.5 is chance,
# 1 is perfect. *Micro* puts the frames of all videos together, under one threshold. *Raw* scores are made of the logarithms of both
# parts, and compared with nothing. *Per video* first stretches each video's scores to [0, 1], which needs the whole video, its future
# included. *Macro* is the mean over the videos' own AUCs. *Calibrated* scores compare both parts with what is usual in the held-out
# normal videos, in standard deviations. (The baselines are not calibrated.) The threshold and the score curve below are those of
# calibrated scores.

# %%
print(f"{'':22}{'model':>8}{'baseline':>10}  the best one")
for metric in ("micro_auc_raw", "micro_auc_per_video", "macro_auc"):
    best = vad.best_baseline(baselines, metric)
    print(f"{metric:22}{result.metrics[metric]:8.3f}{baselines[best][metric]:10.3f}  {best}")
print(f"{'micro_auc_calibrated':22}{result.metrics['micro_auc_calibrated']:8.3f}{'-':>10}")

# %% [markdown]
# Compare the columns; each row has its own best baseline. They must miss what moves as much as a pedestrian does: a person who walks
# the wrong way, or a skater who takes his time. Where a baseline comes close to the model, or ahead of it, so few videos cannot tell
# which is better.
#
# > **Common mistake.** Reading an AUC as a grade: "0.85, that is good". It is good or bad beside something: a baseline on the same
# > videos, other scores of the same frames, another seed. And it says nothing of a threshold: a model with a high AUC may still raise an
# > alarm every minute.
#
# The curve of our video, first by the model that we have just trained: shaded is what is abnormal by the ground truth. The dashed
# threshold was chosen without test labels: 99 of 100 held-out normal frames lie below it.
#
# **Predict:** after so short a training, where will the curve be high without reason?

# %%
early = vad.evaluate(brief, [shown])
vad.show(vad.plot_scores(early, shown.name), "Score over time after the short training, with its own threshold.")

# %% [markdown]
# What is above the threshold outside the shaded spans is a false alarm; what is below it inside them, a miss. `shown.frames[t]` shows
# what there was to see at frame t; there are 10 frames a second.
#
# And by the same network after the long training. (Each run has its own scale: scores are compared with its own held-out videos.)

# %%
above = np.count_nonzero(result.scores[shown.name] > result.threshold)
vad.show(vad.plot_scores(result, shown.name), f"Score after the long training; {above} of {len(shown)} frames exceed the threshold.")

# %% [markdown]
# This is the difference that training time makes; nothing else was changed but the number of clips.
#
# The ROC curve shows every threshold at once: how many abnormal frames are found (upwards) at
# the price of how many false alarms (to the right).
#
# **Predict:** a guard accepts false alarms on 5 of 100 normal frames. Which curve would you choose at that point? Is it the one with
# the largest area?

# %%
best = vad.best_baseline(baselines, "micro_auc_raw")
ax = vad.plot_roc(result, simple[best], label=best)
areas = f"{result.metrics['micro_auc_raw']:.3f} (raw score), {baselines[best]['micro_auc_raw']:.3f} ({best})"
vad.show(ax, f"ROC curves of the test frames; areas: {areas}.")

# %% [markdown]
# At 0.05 the highest curve is the best choice, whatever its area; a large area may have been won far to the right.
#
# ## 7 Why this frame?
#
# We take the abnormal frame of our video with the highest score, and for comparison the clip at the video's beginning, which is normal.

# %%
peak = int(np.where(shown.labels, result.scores[shown.name], -np.inf).argmax())
start = min(max(peak - 8, 0), len(shown) - 16)
strange, ordinary = vad.explain_clip(run, shown, start), vad.explain_clip(run, shown, 0)

# %% [markdown]
# Again by the model after the long training. Left the frame, in the middle what `D_n` made of it, right the squared error. Places where
# nothing moves are hatched: they were not rebuilt.
#
# **Predict:** where is the error largest: on the abnormal object, on people, or at edges?

# %%
pictures = vad.plot_rebuilt(strange, peak - start, f"{shown.name}, frame {peak}")
vad.show(pictures, f"Frame {peak}, what D_n rebuilt of it around what moves, and a map of the squared error.")

# %% [markdown]
# The largest errors lie on what looks or moves unlike anything in training. Weaker ones line people and edges of the background: `D_n`
# gives back the ground sharply, and people only as blurred shadows. Two things help against that. Both paths blur alike, so in the
# contrast most of the blur cancels out. And the calibrated score compares the error at each place with what is usual there in normal
# videos (with as few of them as here, mostly: anywhere in the picture).
#
# And the memory? *Entropy* says how evenly the slots are mixed at a place: 0 (nats) means that a single slot was read, ln 256 = 5.5 that
# all 256 were, each as much as the others. The right panel shows how often each slot was read, in the order of the normal clip. Notebook
# 08 looks into all this.

# %%
vad.show(vad.plot_attention(ordinary, strange), "Entropy of the memory in a normal and an abnormal clip; use of slots.")

# %% [markdown]
# If the two maps look alike, the memory does not tell this anomaly apart on its own; the reconstruction may still do so.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the point. In the students' edition (`make student`) each
# answer is still `None`: put yours in its place.
#
# **Exercise 00-1.** Four frames have been scored. The two abnormal ones got 0.9 and 0.4, the two normal ones 0.5 and 0.1. Compute the AUC
# by hand, as the share of pairs that section 6 describes.

# %% tags=["exercise"]
answer = (2 + 1) / 4
vad.check_answer("00-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 00-1.** 0.9 is above both normal scores, 0.4 above one of them: three of the four pairs are in the right order.

# %% [markdown]
# For the next one, the frames of all videos in one row:

# %%
scores, truth = (np.concatenate(list(part.values())) for part in (result.scores, result.labels))

# %% [markdown]
# **Exercise 00-2.** The threshold should cause about one false alarm in 100 normal frames. Does it on the *test* videos? Compute the
# **false-alarm rate**: the share of the normal test frames whose score is above `result.threshold`. Use `scores` and `truth`. If it is
# far from 0.01: what may be the reason? (Notebook 07, section 5, comes back to that.)

# %% tags=["exercise"]
answer = (scores[truth == 0] > result.threshold).mean()
vad.check_answer("00-2", answer, scores=scores, truth=truth, threshold=result.threshold)

# %% [markdown] tags=["solution"]
# **Answer 00-2.** The rate can differ much from 0.01: the few held-out videos do not show everything that is normal, and neighbouring
# frames are so alike that some hundred frames are far fewer independent examples.

# %% [markdown]
# ## Summary
#
# - Training sees normal videos only; pseudo-anomalies stand in for what is missing, and each breaks one thing.
# - The normal path gives back normal clips; scores come from its error at a frame's worst place, and from its error beside that of the
#   pseudo path.
# - An AUC means something beside the best baseline, a stated protocol and the number of videos behind it.
# - A threshold comes from held-out normal videos, never from test labels, and must be checked.
#
# `VADLIB_PROFILE=full` starts a clip every fourth frame and tests on all videos. From the command line,
# `vadlib run --out runs/demo` does all of
# this.
#
# ## References
#
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through Dual-Path Reconstruction and Diverse
#   Pseudo-Anomaly Generation*, The Visual Computer, 2026
# - T. Fawcett: *An introduction to ROC analysis*, Pattern Recognition Letters 27, 2006,
#   [doi:10.1016/j.patrec.2005.10.010](https://doi.org/10.1016/j.patrec.2005.10.010): what an AUC is
