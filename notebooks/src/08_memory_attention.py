# %% [markdown]
# # What the memory reads
#
# A score says that a frame is unusual, not why. This notebook looks inside: how both
# paths reconstruct a clip, which slots of the memories are read where, what a slot
# represents, and what is lost without it. It also asks whether the reads alone could
# detect an anomaly. The answer is sobering.
#
# **After it you can**
#
# - compare the reconstructions, errors and x-t slices of the two paths,
# - read a map of entropy and a map of a slot's attention, and say what a hatched place
#   means,
# - say what a slot represents, from its decoded picture and from the windows that read
#   it,
# - test with a fair comparison whether abnormal clips read other slots than normal
#   ones,
# - measure the contribution of a slot by removing it.
#
# **You need** notebooks 00 and 05: the parts `E`, `M_n`, `D_n`, `M_p`, `D_p`, and what
# a read is. **Time** 0.7 minutes of computing on two CPU cores in the quick profile, 60
# minutes of reading. **Memory** 2 GB. **Download** nothing.
#
# **Words** [memory](glossary.md#memory), [slot](glossary.md#slot),
# [read](glossary.md#read), [entropy](glossary.md#entropy), [x-t
# slice](glossary.md#x-t-slice).

# %%
import numpy as np
import torch
import vadlib as vad
from sklearn.metrics import roc_auc_score
from vadlib import course

# %% [markdown]
# `load_pretrained` loads a model that ships with `vadlib`: the network of notebook 00,
# trained for longer and on all clips.

# %%
data, quick = course.tutorial_data(), course.profile() == "quick"
run = vad.load_pretrained(data)
test = vad.load_videos(data, "test")
if quick:
    test = test[:4]

# %% [markdown]
# We also need windows of the training videos, to see later which of them read a slot.
# They have the size that the model was trained on.

# %%
size = {
    "crop": run.config.clips.crop,
    "shorter_side": run.config.clips.shorter_side,
}
config = vad.ClipConfig(length=16, clip_step=16, **size)
clips = vad.ClipDataset(vad.load_videos(data, "train"), config)

# %% [markdown]
# ## 1 Both paths, over the whole frame
#
# `explain_clip` reconstructs one clip of 16 frames along both paths, with the windows
# that scoring uses. We take the video of notebook 00: the clip whose middle shows the
# largest anomaly, and for comparison the first clip of the video, which is normal.

# %%
video = test[3]
mask_sizes = [video.masks[t].sum() for t in range(len(video))]
start = int(np.clip(np.argmax(mask_sizes) - 8, 0, len(video) - 16))
abnormal = course.explain_clip(run, video, start)
normal = course.explain_clip(run, video, 0)

# %% [markdown]
# First the normal clip. The upper row shows a frame and its reconstructions by `D_n`
# and `D_p`. The lower row shows how much the two differ, and the squared error of each.
# A hatched place was not reconstructed, because nothing moved there. It has no value,
# not even zero.
#
# **Predict:** `D_p` was trained only on pseudo-anomalies, one clip in two. Can it
# reconstruct people who just walk?

# %%
course.show(
    course.plot_reconstruction(normal, "normal frame"),
    "A normal frame as D_n and D_p reconstruct it; difference and errors.",
)

# %% [markdown]
# It can, and the numbers below say how well. Pseudo-anomalies are made from normal
# clips. They show the same ground and the same people, and with `inpaint` `D_p` learns
# to reconstruct them too. So `D_p` is not a decoder *of anomalies*.
#
# Now the abnormal clip, with everything abnormal outlined (it may be more than one
# object).
#
# **Predict:** which path is closer to the anomaly? Compared with `D_n`, is `D_p` better
# on the anomaly than on normal frames?

# %%
mask = abnormal.fit(video.masks[start + 8])
course.show(
    course.plot_reconstruction(abnormal, "abnormal frame", mask),
    "A frame with an outlined anomaly as D_n and D_p reconstruct it; "
    "their difference and errors.",
)
regions = (("normal frame", normal, normal.seen), ("anomaly", abnormal, mask))

# %% [markdown]
# The mean squared errors of both paths, over all reconstructed pixels of the normal
# frame and over the outlined pixels:

# %%
for title, explanation, region in regions:
    d_n = np.nanmean(explanation.error[8][region])
    d_p = np.nanmean(explanation.pseudo.error[8][region])
    print(f"{title:12} D_n {d_n:.4f}, D_p {d_p:.4f}, ratio D_p / D_n {d_p / d_n:.2f}")

# %% [markdown]
# As intended, `D_n` should paint the anomaly away and `D_p` should keep it. So compare
# the *ratios*: above 1 in the normal frame, below 1 on the anomaly. When the ratio
# crosses 1, the two paths have specialised. If both ratios are similar, one decoder is
# simply better. And this is one frame only: a ratio of nearly 1 could be chance.
#
# The errors of the anomaly are also much larger than those of the normal frame, on both
# paths. Keep this in mind when you compare the maps: the scale of each figure ends
# where only one pixel in 200 is brighter.
#
# A frame is a moment. An **x-t slice** takes one row of pixels, with time from top to
# bottom: a static object leaves an upright line, a walking person a slanted one. The
# row below crosses the anomaly.
#
# **Predict:** how does a line look after a blurry reconstruction: thinner, paler, or
# with another slant?

# %%
row = int(np.argwhere(mask)[:, 0].mean())
course.show(
    course.plot_reconstruction_over_time(abnormal, row),
    f"Row {row} over time: frames, D_n, D_p and errors; "
    "the errors are largest along lines that were not reconstructed.",
)

# %% [markdown]
# Lines become pale and wide, and thin ones disappear. A moving object leaves a smear
# where its shape was not reconstructed. Look at the slant, too: another slant would
# mean another speed, and the opposite slant another direction. Where the reconstruction
# slants differently from the frames, the model did not reconstruct the motion. The
# error is large where a line is missing, and on both sides of a line that is only
# blurred.
#
# ## 2 Where no slot fits
#
# At each place of 8 x 8 pixels the memory mixes slots. The **entropy** of the weights,
# in nats (with the natural logarithm), is 0 if a single slot is read, and ln 256 = 5.5
# if all are mixed evenly. Its exponential is the number of equally weighted slots with
# the same entropy. The hope is that normal content finds its slot, while abnormal
# content finds none and so has a high entropy.
#
# **Predict:** will the anomaly stand out in the middle map, that of the abnormal clip?
# Where else may the entropy be high?

# %%
course.show(
    course.plot_attention(normal, abnormal),
    "Entropy of M_n in a normal and an abnormal clip, and how often each slot is read.",
)
entropy, inside = abnormal.entropy, mask[4::8, 4::8]
print(f"mean entropy on the anomaly:          {np.nanmean(entropy[inside]):.2f} nats")
print(f"mean entropy elsewhere in its clip:   {np.nanmean(entropy[~inside]):.2f} nats")

# %% [markdown]
# Look at edges and at borders between two types of ground. There the entropy is high in
# *both* clips, because such a place is a mixture. Flat ground that occurs often
# (walkway, road) has a lower entropy, although several slots are mixed even there. So
# this is a map of how *complicated* a place is. The anomaly does not stand out. Parts
# of it may even be lower than their surroundings. Section 5 measures this on many
# windows.
#
# The curve on the right falls steeply: a few slots do much of the work.
#
# ## 3 Which slots are read where
#
# Here are the five slots of `M_n` that are read most in the abnormal clip, with their
# mean weight at each place. Each map has its own scale.
#
# **Predict:** do you expect a slot for "person", or something else?

# %%
course.show(
    course.plot_slot_maps(abnormal),
    "A frame and five maps: where each of the most read slots of M_n is read.",
)

# %% [markdown]
# Mostly something else: ground, wall or lawn, edges. The first slots are those of the
# background, because most places *are* background. People may share many slots of small
# weight, which five maps do not show.
#
# Now the same for `M_p`. In `vadlib` the slots of both memories start as randomly drawn
# features of the first batch (notebook 05 shows the published start: random numbers).
# Those of `M_p` were drawn and then learned separately from those of `M_n`. So slot 17
# of `M_n` has nothing to do with slot 17 of `M_p`.

# %%
course.show(
    course.plot_slot_maps(abnormal.pseudo),
    "The same frame and where the most read slots of M_p are read.",
)

# %% [markdown]
# No feature is drawn twice. Two equal slots would get equal gradients, stay equal
# forever, and do the work of one.
#
# ## 4 A slot atlas
#
# What does a slot *mean*? There are two ways to find out. We fill the whole bottleneck
# with that slot and decode it with `D_n`: this is the left column. And among 300
# training windows we look for those whose centre (the square) reads it with the largest
# weight: these are the other columns.
#
# **Predict:** why must the pictures on the left repeat every 8 pixels?

# %%
sample = [clips[int(i)].tensor for i in np.linspace(0, len(clips) - 1, 300)]
shares = course.slot_usage(run, sample)["M_n"]
top = np.argsort(shares)[::-1][:6]
course.show(
    course.plot_slot_atlas(course.slot_atlas(run, sample, top), sample),
    f"Slots {top.tolist()} decoded, and windows that read them.",
)

# %% [markdown]
# All places hold the same slot, one place stands for 8 x 8 pixels, and the decoder does
# the same everywhere. Only near the border does it see where the picture ends. So a
# slot is a piece of *texture*: a shade, an edge, a stripe. Shapes arise from
# neighbouring places.
#
# The rows are the six slots that are read most. A weight near 1 would mean that a place
# consists *of* its slot. Where the largest weight of a row is a third or less, the slot
# is one ingredient among several.
#
# ## 5 Do anomalies read other slots?
#
# Now we use many windows of the test videos. A window is *abnormal* if more than a
# tenth of its pixels are abnormal in its middle frame. What should we compare it with?
# Anomalies do not happen everywhere: a cart keeps to the places where it can drive. So
# abnormal windows show other *ground* than normal ones on average, and any difference
# might come from the ground. The fair partner is a normal window at the **same place**
# of the frame, at another time. `paired_windows` finds two such partners for each
# abnormal window, and as many normal windows from any place.

# %%
config = vad.ClipConfig(length=16, clip_step=8, **size)
windows = vad.ClipDataset(test, config, vad.find_boxes(test))
pairs = course.paired_windows(windows, most=100)
kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]

# %% [markdown]
# One more group is **pseudo**: the normal windows, corrupted by the four kinds in turn.
# If a window cannot be corrupted, it is left out.

# %%
pairs["pseudo"] = []
for i, clip in enumerate(pairs["normal"]):
    pseudo = kinds[i % 4](clip, torch.Generator().manual_seed(i))
    if pseudo is not None:
        pairs["pseudo"].append(pseudo)

# %% [markdown]
# The size of each group:

# %%
groups = {}
for name, group in pairs.items():
    groups[name] = [clip.tensor for clip in group]
    print(f"{name:13}{len(group):4} windows")
videos = {clip.video for clip in pairs["abnormal"]}
print("videos with abnormal windows:", len(videos))

# %% [markdown]
# There are many windows but few events: several windows show the same anomaly at
# another place or moment. They are not that many independent cases.
#
# Usage is the share of all reads that goes to each slot. The figure shows the slots
# that normal windows read most. Bars always differ a little, so how much is much? The
# legend says which share of the reads, including slots that are not shown, would have
# to *move* to other slots to match the normal windows. "Normal again", the second
# partners, shows how much moves by chance alone.
#
# **Predict:** which will have moved more, pseudo or abnormal? Will it be clearly more
# than "normal again"?

# %%
usage = {}
for name in ("normal", "normal again", "pseudo", "abnormal"):
    usage[name] = course.slot_usage(run, groups[name])

# %% [markdown]
# The shares, and in the legend how much of them moved:

# %%
axes = course.plot_slot_usage(usage)
legends = [ax.get_legend().get_texts() for ax in axes]
texts = [text.get_text() for text in np.concatenate(legends)]
course.show(axes, "Shares of the reads, M_n then M_p: " + ", ".join(texts))

# %% [markdown]
# Only what exceeds "normal again" has to do with anomalies. Pseudo-anomalies mostly
# read the same slots as the normal windows they are made from. Abnormal windows tend to
# have moved further. And even a clear difference belongs to *many windows together*. It
# may not classify a single window.
#
# So we rank single windows, by the mean entropy of `M_n` and, for comparison, by the
# error of `D_n`. The AUC is the probability that an abnormal window ranks above a
# normal one. Each row names the normal windows.
#
# **Predict:** will the entropy reach the AUC of the error? And does it matter whether
# the normal windows come from the same places or from elsewhere?

# %%
measures = {name: course.window_measures(run, group) for name, group in groups.items()}
truth = np.repeat([0, 1], len(groups["abnormal"]))
for name in ("normal", "normal again", "elsewhere"):
    for measure in ("entropy", "error"):
        values = np.append(measures[name][measure], measures["abnormal"][measure])
        print(f"{name:13} {measure:8} AUC {roc_auc_score(truth, values):.2f}")

# %% [markdown]
# 0.5 is chance. Below 0.5 the abnormal windows have the *lower* entropy, the opposite
# of the hope: content that no slot fits is not always a mixture of many. Flipping the
# sign of the measure after seeing this result would be tuning on the test labels.
# Either way it separates windows worse than the error does. In this run it is the
# reconstruction that detects anomalies. Other measures of the reads might do better.
# (The error is not innocent either: a large, fast object has a large error, normal or
# not.)
#
# > **Common mistake.** Showing one attention map with a bright anomaly and calling it
# > an explanation. A map shows what is read, not what would be read if everything were
# > normal. Compare with normal clips *at the same place*, count over many, and give a
# > baseline. The difference between the first and the last group above shows how much
# > the choice of the normal windows alone can do.
#
# ## 6 What is lost without a slot
#
# Attention shows what is read, not whether it *matters*: another slot might serve as
# well. So we remove slots, one at a time, from a copy of `M_n`, and reconstruct again
# (every second window, to save time). The bars on the right are the reverse: all slots
# except the six are removed. Each panel has its own scale, in percent.
#
# **Predict:** the most read slot gets a large share of all reads. Will its removal
# increase the error by a similar share?

# %%
order = np.argsort(usage["normal"]["M_n"])[::-1]
removals = {f"{slot}": [slot] for slot in order[:6]}
removals["all but the six"] = order[6:]
losses = {}
for name in usage:
    losses[name] = course.removal_errors(run, groups[name][::2], removals)

# %% [markdown]
# The change of the errors, and the errors before the removal:

# %%
course.show(
    course.plot_slot_removal(losses, ["all but the six"]),
    "Change of each group's error without single slots of M_n, "
    "and without all but six.",
)
for name, errors in losses.items():
    print(f"{name:13} error before: {errors['nothing'].mean():.3f}")

# %% [markdown]
# Usually by less, because its neighbours replace it. The slots that are read most are
# not always the ones that are missed most.
#
# Compare the groups on the right. Normal windows should miss slots that hold normal
# parts the most. But these are percentages: the reconstruction of an abnormal window
# was bad before, so the same loss is a smaller share of its error. The same holds for a
# pseudo window: its error is measured against the pseudo-anomaly itself, which `D_n`
# should not reconstruct. A bar below zero would mean that windows are reconstructed
# *better* without the slot.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 08-1.** How many of the 256 slots of `M_n` get less than a thousandth of
# the reads of the normal windows?

# %% tags=["exercise"]
answer = (usage["normal"]["M_n"] < 0.001).sum()
course.check_answer("08-1", answer, usage=usage)

# %% [markdown] tags=["solution"]
# **Answer 08-1.** Such slots cost memory and time, and contribute almost nothing.

# %% [markdown]
# **Exercise 08-2.** How many slots of `M_n`, the most read first, are needed for 90% of
# the reads of the normal windows?

# %% tags=["exercise"]
shares = np.sort(usage["normal"]["M_n"])[::-1]
answer = np.searchsorted(np.cumsum(shares), 0.9) + 1
course.check_answer("08-2", answer, usage=usage)

# %% [markdown] tags=["solution"]
# **Answer 08-2.** `np.cumsum` of the sorted shares gives the joint share of the first
# slots. `np.searchsorted` finds the first place that reaches 0.9, and places count from
# 0.

# %% [markdown]
# **Exercise 08-3.** We remove the slot of `M_p` that the pseudo windows
# (`groups["pseudo"]`) read most. What is the ratio of the new to the old mean error of
# `D_p` on these windows? Call `course.removal_errors` with the path `"pseudo"`.

# %% tags=["exercise"]
slot = usage["pseudo"]["M_p"].argmax()
errors = course.removal_errors(run, groups["pseudo"], {"it": [slot]}, "pseudo")
answer = errors["it"].mean() / errors["nothing"].mean()
course.check_answer("08-3", answer, run=run, windows=groups["pseudo"], usage=usage)

# %% [markdown] tags=["solution"]
# **Answer 08-3.** Compare the rise with the slot's share of the reads: its neighbours
# replace it.

# %% [markdown]
# ## Summary
#
# - Both paths reconstruct normal clips. Only the difference on the anomaly would show
#   that they have specialised.
# - Slots are pieces of texture, not objects. A few do most of the work, and the
#   background uses the most read ones.
# - Entropy shows how complicated a place is. Measure whether it detects anomalies
#   against normal windows at the same place.
# - To know the contribution of a slot, remove it.
#
# ## References
#
# - D. Gong and others: *Memorizing Normality to Detect Anomaly: Memory-augmented Deep
#   Autoencoder for Unsupervised Anomaly Detection*, ICCV 2019,
#   [doi:10.1109/ICCV.2019.00179](https://doi.org/10.1109/ICCV.2019.00179)
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
# - S. Jain, B. C. Wallace: *Attention is not Explanation*, NAACL 2019,
#   [doi:10.18653/v1/N19-1357](https://doi.org/10.18653/v1/N19-1357): why attention must
#   be tested
