# %% [markdown]
# # The laboratory of pseudo-anomalies
#
# Notebooks 02 and 03 showed the kinds one by one. Here you move the sliders: kind,
# strength, seed, clip, detector, patch source, and the probability p with which a
# training sample is turned.
#
# **After it you can**
#
# - choose strengths by eye: visible, and not absurd,
# - say what p means for a batch, an epoch, and a whole training,
# - foresee when a pseudo-anomaly cannot be made.
#
# **You need** notebooks 02 and 03. **Time** 0.3 minutes of computing on two CPU cores
# in the quick profile, 20 minutes of playing. **Memory** 1.5 GB. **Download** nothing.
#
# **Words** [p](glossary.md#p), [kind](glossary.md#kind),
# [strength](glossary.md#strength), [detector](glossary.md#detector), [patch
# source](glossary.md#patch-source).
#
# The sliders need a running kernel. Below the laboratory stand pictures of it at the
# minimum, the default and the maximum of each slider, for readers without one.

# %%
from functools import partial

import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# Two training videos, cut into windows of 96 x 96 pixels, once for each detector: the
# windows are the same, the boxes are not.

# %%
train = vad.load_videos(course.tutorial_data(), "train")[:2]
config = vad.ClipConfig(length=16, crop=(96, 96), clip_step=16)
clips = {}
for name in course.tutorial_detectors():
    clips[name] = vad.ClipDataset(train, config, vad.find_boxes(train, name))
patches = course.tutorial_patches()

# %% [markdown]
# The detectors and patch sources of this machine:

# %%
print(len(clips["motion"]), "clips")
print("detectors:", *clips)
print("patch sources:", *patches)

# %% [markdown]
# ## 1 The laboratory
#
# The film shows a clip, what became of it, and in white what changed; the strips below
# show it frame by frame. Among the strips, *difference* says by how many grey levels
# each pixel changed; its label says which change is white. Underneath, `p` and 48
# samples, drawn as a training over all these clips would draw them: framed is what was
# turned into a pseudo-anomaly (*turned*, for short).
#
# With the keyboard: Escape leaves the text of a cell, Tab goes from control to control,
# the space bar presses a button, arrow keys move a slider.
#
# **Predict**, then try:
#
# 1. Set the strength to 0. What will the mask show, and what will happen to the batch?
# 2. Set p to 0.01, one step above 0, as in the paper. How many of the 48 samples will
#    be turned? Try ten seeds.
# 3. Choose `object` and go through the clips. When is no object made?

# %%
course.Lab(clips, patches)

# %% [markdown]
# What you may have found: (1) at strength 0 nothing changes, so nothing is turned; a
# clip that did not change must not be trained as an anomaly. (2) Mostly none. (3) When
# the detector found nobody whose middle lies in the window.
#
# ## 2 Strength, on paper
#
# Each kind at strength 0, its default in the laboratory, and 1.
#
# **Predict:** which kind is hardest to see in still pictures?

# %%
detector, source = list(clips)[-1], patches[-1]
kinds = {
    "skip": vad.SkipFrames,
    "shuffle": vad.ShuffleMotion,
    "noise": vad.AddNoise,
    "object": partial(vad.PasteObjects, source),
}
every_third = [clips[detector][i] for i in range(0, len(clips[detector]), 3)]
ranks = [(len(clip.lookahead), len(clip.boxes[8])) for clip in every_third]
clip = every_third[ranks.index(max(ranks))]

# %% [markdown]
# The clip above has the most frames after it and, among those, the most people.

# %%
for name, kind in kinds.items():
    course.show(
        course.plot_strengths(clip, kind),
        f"The kind {name} at strengths 0, 0.5 and 1, as three strips over time.",
    )

# %% [markdown]
# Shuffling is: each still is normal. What is wrong appears only in time.
#
# ## 3 Seed, clip, detector, patch source, on paper
#
# An object at seeds 0, 50 and 99: person and picture are drawn anew; where few people
# are, it may be the same person.

# %%
sources = {name: vad.load_patches(name) for name in patches}
people = [len(clip.boxes[8]) for clip in clips[detector]]
number = int(np.argmax(people))
for seed in (0, 50, 99):
    settings = course.LabSettings("object", 1.0, number, seed, detector, source)
    course.show(*course.plot_lab(clips, sources, settings))

# %% [markdown]
# The first and the last clip. The last one may have no frames left to skip to.

# %%
for clip_number in (0, len(clips[detector]) - 1):
    settings = course.LabSettings("skip", 0.5, clip_number, 0, detector, source)
    course.show(*course.plot_lab(clips, sources, settings))

# %% [markdown]
# And with each detector and each patch source, at seed 7. `motion` takes what differs
# from the empty scene; `darknet`, where it is there, is a network that was trained to
# find people (notebook 03).
#
# **Predict:** with which detector will the pasted picture be larger?

# %%
for name in clips:
    for patch_source in patches:
        settings = course.LabSettings("object", 0.9, number, 7, name, patch_source)
        course.show(*course.plot_lab(clips, sources, settings))

# %% [markdown]
# `motion` may put one box around people who walk close together, and the picture fills
# the box. A detector of people tells them apart.
#
# ## 4 p, on paper
#
# The batch view at p = 0, 0.01, 0.2 and 1. Each sample draws on its own, from a
# generator that depends on the seed, the epoch and the sample alone: the same seed
# turns the same samples, however many processes read them.
#
# **Predict:** with p = 1, are all 48 framed?

# %%
all_kinds = [kind() for kind in kinds.values()]
for p in (0, 0.01, 0.2, 1):
    mixer = vad.PseudoAnomalyMixer(all_kinds, p)
    course.show(*course.plot_training_batch(clips[detector], mixer))

# %% [markdown]
# Not always: what cannot be made stays normal, in a dotted frame.
#
# How much is p = 0.01 over a training? The paper uses 0.01 and 0.02. `vadlib train`
# cuts about 14,000 clips from Ped2; each is used once an epoch.

# %%
for p in (0.01, 0.02, 0.2):
    batches = 1 - (1 - p) ** 8
    print(f"p = {p}: about {14000 * p:.0f} pseudo-anomalies per epoch;")
    print(f"    {batches:.0%} of the batches of 8 contain at least one")

# %% [markdown]
# > **Common mistake.** Reading a small p as "hardly any effect". It also decides how
# > often the two paths meet in one batch: terms of the loss that compare normal with
# > pseudo-anomalous clips (notebook 06) exist only in batches that hold both. The
# > exercise asks how many those are.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 04-1.** With batches of 2 and p = 0.01: what is the probability that a
# batch holds one normal and one pseudo-anomalous clip?

# %% tags=["exercise"]
answer = 2 * 0.01 * 0.99
course.check_answer("04-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 04-1.** Either the first or the second is turned, not both. Only such batches
# feed the paper's separation term: one in fifty.

# %% [markdown]
# **Exercise 04-2.** Which kind of the four is *not made* most often when p is 1? Take
# `clips[detector]` and `vad.PseudoAnomalyMixer` with the four `kinds`, each at strength
# 1. `mixer(clip, generator).outcome` says what became of a clip (let its number be the
# generator's seed), and `mixer.count` counts a list of outcomes. Give the kind's name.

# %% tags=["exercise"]
mixer = vad.PseudoAnomalyMixer([kind(1.0) for kind in kinds.values()], p=1.0)
outcomes = [
    mixer(clip, torch.Generator().manual_seed(i)).outcome
    for i, clip in enumerate(clips[detector])
]
failures = {name: mixer.count(outcomes)[f"not_made_{name}"] for name in kinds}
answer = max(failures, key=failures.get)
course.check_answer("04-2", answer, clips=clips[detector], kinds=kinds)

# %% [markdown] tags=["solution"]
# **Answer 04-2.** Skipping needs frames after the clip, pasting needs a person; which
# is scarcer depends on the videos and the detector.

# %% [markdown]
# ## Summary
#
# - Strength says how strong, p says how often; both can be seen before a training is
#   started.
# - The same seed makes the same pseudo-anomalies.
# - p = 0.01 turns a sample in a hundred: most small batches hold none.
#
# ## References
#
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
