# %% [markdown]
# # What the memory reads
#
# A score says that a frame is strange, not why. This notebook looks inside: what both
# paths make of a clip, which slots of the memories are read where, what a slot stands
# for, and what is lost without it. And it asks whether the reads alone could tell an
# anomaly; be prepared for a sober answer.
#
# **After it you can**
#
# - compare the two paths' pictures, errors and x-t slices of a clip,
# - read a map of entropy and a map of a slot's attention, and say what a hatched place
#   means,
# - say what a slot stands for, from what it decodes to and from the windows that read
#   it,
# - test whether abnormal clips read other slots than normal ones, with a fair
#   comparison,
# - measure what a slot is worth by removing it.
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
# trained for longer and on all clips. Of the training videos we need a few windows, to
# see later which of them read a slot.

# %%
data, quick = course.tutorial_data(), course.profile() == "quick"
run = vad.load_pretrained(data)
test = vad.load_videos(data, "test")
if quick:
    test = test[:4]

# %% [markdown]
# Training windows, cut as the model knows them:

# %%
size = {"crop": run.data.crop, "shorter_side": run.data.shorter_side}
config = vad.ClipConfig(length=16, clip_step=16, **size)
clips = vad.ClipDataset(vad.load_videos(data, "train"), config)

# %% [markdown]
# ## 1 Both paths, over the whole frame
#
# `explain_clip` rebuilds one clip of 16 frames along both paths, with the windows that
# scoring uses. We take the video of notebook 00: the clip in whose middle the anomaly
# is largest, and for comparison the video's first clip, which is normal.

# %%
video = test[3]
mask_sizes = [video.masks[t].sum() for t in range(len(video))]
start = int(np.clip(np.argmax(mask_sizes) - 8, 0, len(video) - 16))
abnormal = course.explain_clip(run, video, start)
normal = course.explain_clip(run, video, 0)

# %% [markdown]
# First the normal clip. Above: a frame, and what `D_n` and `D_p` made of it. Below: how
# far these two are apart, and the squared error of each. A hatched place was not
# rebuilt, since nothing moved there; it holds no number, also not zero.
#
# **Predict:** `D_p` was trained on pseudo-anomalies only, one clip in two. Can it
# rebuild people who just walk?

# %%
course.show(
    course.plot_reconstruction(normal, title="normal frame", both=True),
    "A normal frame as D_n and D_p reconstruct it; difference and errors.",
)

# %% [markdown]
# It can; how well, the numbers below will say. Pseudo-anomalies are made of normal
# clips, they show the same ground and the same people, and with `inpaint` `D_p` is
# asked to rebuild them too. So `D_p` is not a decoder *of anomalies*.
#
# Now the abnormal clip, what is abnormal outlined (it may be more than one thing), and
# the mean errors of both paths: over all that was rebuilt of the normal frame, and on
# the outlined pixels.
#
# **Predict:** which path comes nearer to the anomaly? Is `D_p` better on the anomaly
# than on normal frames, compared with `D_n`?

# %%
mask = abnormal.fit(video.masks[start + 8])
course.show(
    course.plot_reconstruction(abnormal, title="abnormal frame", both=True, mask=mask),
    "A frame with an outlined anomaly as D_n and D_p reconstruct it; "
    "their difference and errors.",
)
regions = (("normal frame", normal, normal.seen), ("anomaly", abnormal, mask))

# %% [markdown]
# The mean squared errors:

# %%
for title, explanation, region in regions:
    d_n = np.nanmean(explanation.error[8][region])
    d_p = np.nanmean(explanation.pseudo.error[8][region])
    print(f"{title:12} D_n {d_n:.4f}, D_p {d_p:.4f}, ratio D_p / D_n {d_p / d_n:.2f}")

# %% [markdown]
# As intended, `D_n` would paint the anomaly away and `D_p` would keep it. So compare
# the *ratios*: above 1 in the normal frame, below 1 on the anomaly. This crossing is
# the sign that the paths have parted. If both ratios are alike, one decoder is just the
# better one. And it is one frame only: a ratio that is nearly 1 could be chance.
#
# The anomaly's errors are also much larger than those of the normal frame, on both
# paths. Mind this when you compare the maps: the scale of each figure ends where only
# one pixel in 200 is brighter.
#
# A frame is a moment. An **x-t slice** takes one row of pixels and lets time run
# downwards: what stands still leaves an upright line, what walks a slanted one. The row
# below runs through the anomaly.
#
# **Predict:** how will a line look that a blurring model has rebuilt: thinner, paler,
# or at another slant?

# %%
row = int(np.argwhere(mask)[:, 0].mean())
course.show(
    course.plot_reconstruction_over_time(abnormal, row),
    f"Row {row} over time: frames, D_n, D_p and errors; "
    "the errors are largest along lines that were not reconstructed.",
)

# %% [markdown]
# Lines become pale and wide, and thin ones vanish; a moving thing leaves a smear where
# its shape was not found. Look at the slant, too: another slant would mean another
# speed, and one to the other side another direction. Where what was rebuilt slants
# otherwise than the frames, the model did not find the motion. The error is large where
# a line is missing, and on both sides of a line that is only blurred.
#
# ## 2 Where no slot fits
#
# At each place of 8 x 8 pixels the memory mixes slots. The **entropy** of the weights,
# in nats (that is, with the natural logarithm), is 0 if a single slot is read, and ln
# 256 = 5.5 if all are mixed evenly. `exp` of it says how many slots it would be if all
# had the same weight. One hopes: what is normal finds its slot, what is abnormal finds
# none, and so has a high entropy.
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
# Look for edges and for borders between two grounds: there the entropy is high in
# *both* clips, for such a place is a mixture. Flat ground that is seen often (walkway,
# road) has a lower one, though even there several slots are mixed. So it is a map of
# how *complicated* a place is. The anomaly does not stand out as higher; parts of it
# may even be lower than what surrounds them. Section 5 measures it with many windows.
#
# The curve on the right falls steeply: a few slots do much of the work.
#
# ## 3 Which slots are read where
#
# The five slots of `M_n` that are read most in the abnormal clip, and their mean weight
# at each place. Each map has its own scale.
#
# **Predict:** do you expect a slot for "person", or something else?

# %%
course.show(
    course.plot_slot_maps(abnormal),
    "A frame and five maps: where each of the most read slots of M_n is read.",
)

# %% [markdown]
# Mostly something else: ground, wall or lawn, edges. The first slots are those of the
# background, since most places *are* background. People may share many slots of small
# weight; five maps do not show that.
#
# The same for `M_p`. In `vadlib` the slots of both memories begin as features of the
# first batch, drawn at random (notebook 05 shows the published beginning: random
# numbers). Those of `M_p` were drawn and then learned apart from those of `M_n`. So
# slot 17 of `M_n` has nothing to do with slot 17 of `M_p`.

# %%
course.show(
    course.plot_slot_maps(abnormal.pseudo),
    "The same frame and where the most read slots of M_p are read.",
)

# %% [markdown]
# No feature is drawn twice: two equal slots would get equal gradients, stay equal for
# ever, and do the work of one.
#
# ## 4 A slot atlas
#
# What does a slot *mean*? Two ways to find out. We fill the whole bottleneck with that
# slot and let `D_n` decode it: the left column. And we look, among 300 training
# windows, for those whose middle (the square) reads it with the largest weight: the
# other columns.
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
# All places hold the same, one place stands for 8 x 8 pixels, and the decoder does the
# same everywhere; only at the border it sees where the picture ends. So a slot is a
# piece of *texture*: a shade, an edge, a stripe. Shapes arise from neighbouring places.
#
# The rows are the six slots that are read most. A weight near 1 would mean that a place
# is *made of* its slot. Where the largest weight of a row is a third or less, the slot
# is one ingredient of several.
#
# ## 5 Do anomalies read other slots?
#
# Now many windows, cut from the test videos. *Abnormal* shall be a window with more
# than a tenth of its pixels abnormal in its middle frame. With what do we compare?
# Anomalies do not happen just anywhere: a cart keeps to where it can drive. So abnormal
# windows show other *ground* than normal ones on average, and any difference might be
# that. The fair partner is a normal window at the **same place** of the frame, at
# another time. `paired_windows` finds two such partners for each abnormal window, and
# as many normal windows of any place.

# %%
config = vad.ClipConfig(length=16, clip_step=8, **size)
windows = vad.ClipDataset(test, config, vad.find_boxes(test))
pairs = course.paired_windows(windows, most=100)
kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]

# %% [markdown]
# One more group, **pseudo**: the normal windows, turned into pseudo-anomalies by the
# four kinds in turn. Where one cannot be made, the window is left out.

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
# Many windows, but of few events: several show the same anomaly at another place or
# moment. They are not so many independent cases.
#
# Usage is the share of all reads that goes to each slot. Shown are the slots that
# normal windows read most. Bars always differ a little; how much is much? The legend
# says which share of the reads, also of slots not shown, would have to *move* to other
# slots to be as in the normal windows. "Normal again", the second partners, show what
# chance alone moves.
#
# **Predict:** which will have moved more, pseudo or abnormal? Will it be clearly more
# than "normal again"?

# %%
usage = {}
for name in ("normal", "normal again", "pseudo", "abnormal"):
    usage[name] = course.slot_usage(run, groups[name])
axes = course.plot_slot_usage(usage)
legends = [ax.get_legend().get_texts() for ax in axes]
texts = [text.get_text() for text in np.concatenate(legends)]

# %% [markdown]
# The shares, and in the legend how much of them moved:

# %%
course.show(axes, "Shares of the reads, M_n then M_p: " + ", ".join(texts))

# %% [markdown]
# Only what exceeds "normal again" has to do with anomalies. Pseudo-anomalies mostly
# read what the normal windows read that they are made of; abnormal windows tend to have
# moved further. And even a clear difference is one of *many windows together*: it need
# not tell a single window.
#
# So we rank single windows, by the mean entropy of `M_n` and, for comparison, by the
# error of `D_n`. The AUC is the probability that an abnormal window ranks above a
# normal one.
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
# 0.5 is guessing; below 0.5 the abnormal windows have the *lower* entropy, the opposite
# of what one hopes for: what no slot fits need not be mixed of many. Whoever turns the
# measure round after seeing this has chosen it on test labels. Either way it tells
# windows apart worse than the error does: in this run it is the reconstruction that
# finds anomalies. Other measures of the reads might do better. (The error is not
# innocent either: what is large and moves fast has a large error, normal or not.)
#
# > **Common mistake.** Showing one attention map with a bright anomaly, and calling it
# > an explanation. A map shows what is read, not what would be read if all were normal.
# > Compare with normal clips *at the same place*, count over many, and give a baseline.
# > Where the first and the last line above differ, you see how much the choice of the
# > normal windows alone can do.
#
# ## 6 What is lost without a slot
#
# Attention shows what is read, not whether it *matters*: another slot might serve as
# well. So we remove slots, one at a time, from a copy of `M_n`, and rebuild again, to
# save time only every second window. The bars on the right are the reverse: all slots
# but the six are removed. Each panel has its own scale, in percent.
#
# **Predict:** the most read slot gets a large share of all reads. Will its removal
# raise the error by a similar share?

# %%
order = np.argsort(usage["normal"]["M_n"])[::-1]
removals = {f"{slot}": [slot] for slot in order[:6]}
removals["all but the six"] = order[6:]
losses = {}
for name in usage:
    losses[name] = course.removal_errors(run, groups[name][::2], removals)

# %% [markdown]
# The change of the errors, and the errors before:

# %%
course.show(
    course.plot_slot_removal(losses, ["all but the six"]),
    "Change of each group's error without single slots of M_n, "
    "and without all but six.",
)
for name, errors in losses.items():
    print(f"{name:13} error before: {errors['nothing'].mean():.3f}")

# %% [markdown]
# Usually by less: its neighbours step in. How much is read and how much is lost need
# not have the same order either.
#
# Compare the kinds on the right. Slots that hold normal parts should be missed by
# normal windows most. But mind the percent: an abnormal window was rebuilt badly
# before, so the same loss is a smaller share of its error. So was a pseudo window: its
# error is that against the pseudo-anomaly itself, which `D_n` is not meant to rebuild.
# A bar below zero would mean that windows are rebuilt *better* without the slot.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 08-1.** How many of the 256 slots of `M_n` get less than a thousandth of
# the reads of the normal windows?

# %% tags=["exercise"]
answer = (usage["normal"]["M_n"] < 0.001).sum()
course.check_answer("08-1", answer, usage=usage)

# %% [markdown] tags=["solution"]
# **Answer 08-1.** Such slots cost memory and time, and hardly anything else.

# %% [markdown]
# **Exercise 08-2.** How many slots of `M_n`, the most read first, are needed for 90% of
# the reads of the normal windows?

# %% tags=["exercise"]
answer = np.searchsorted(np.cumsum(np.sort(usage["normal"]["M_n"])[::-1]), 0.9) + 1
course.check_answer("08-2", answer, usage=usage)

# %% [markdown] tags=["solution"]
# **Answer 08-2.** `np.cumsum` of the sorted shares says how much the first slots get
# together; `np.searchsorted` finds the first place that reaches 0.9, and places are
# counted from 0.

# %% [markdown]
# **Exercise 08-3.** We remove the slot of `M_p` that the pseudo windows
# (`groups["pseudo"]`) read most. How large is the mean error of `D_p` on them then: new
# error / old error? `course.removal_errors` takes the path `"pseudo"`.

# %% tags=["exercise"]
slot = usage["pseudo"]["M_p"].argmax()
without = course.removal_errors(run, groups["pseudo"], {"it": [slot]}, "pseudo")
answer = without["it"].mean() / without["nothing"].mean()
course.check_answer("08-3", answer, run=run, windows=groups["pseudo"], usage=usage)

# %% [markdown] tags=["solution"]
# **Answer 08-3.** Compare the rise with the slot's share of the reads: neighbours step
# in.

# %% [markdown]
# ## Summary
#
# - Both paths rebuild normal clips; only the difference on the anomaly would show that
#   they have parted.
# - Slots are pieces of texture, not things. A few do most of the work, and background
#   takes the most read ones.
# - Entropy shows how complicated a place is. Whether it tells anomalies must be
#   measured, against normal windows at the same place.
# - To know what a slot is worth, remove it.
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
