# %% [markdown]
# # The pseudo-anomaly lab
#
# Notebooks 02 and 03 showed the kinds one by one. Here you move the sliders: kind,
# strength, seed, clip, detector, patch source, and the probability p that a training
# sample becomes a pseudo-anomaly.
#
# **After it you can**
#
# - choose strengths by eye: visible, but not absurd,
# - say what p means for a batch, an epoch, and a whole training run,
# - predict when a pseudo-anomaly cannot be generated.
#
# **You need** notebooks 02 and 03. **Time** 0.3 minutes of computing on two CPU cores
# in the quick profile, 20 minutes of playing. **Memory** 1.5 GB. **Download** nothing.
#
# **Words** [p](glossary.md#p), [kind](glossary.md#kind),
# [strength](glossary.md#strength), [detector](glossary.md#detector), [patch
# source](glossary.md#patch-source).
#
# The sliders need a running kernel. Below the lab are pictures of it at the minimum,
# the default and the maximum of each slider, for readers without one.

# %%
from functools import partial

import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# We cut two training videos into windows of 96 x 96 pixels, once for each detector. The
# windows are the same, only the boxes differ.

# %%
train = vad.load_videos(course.tutorial_data(), "train")[:2]
config = vad.ClipConfig(length=16, crop=(96, 96), clip_step=16)
clips = {}
for name in course.tutorial_detectors():
    clips[name] = vad.ClipDataset(train, config, vad.find_boxes(train, name))
patches = course.tutorial_patches()

# %% [markdown]
# This machine has these detectors and patch sources:

# %%
print(len(clips["motion"]), "clips")
print("detectors:", *clips)
print("patch sources:", *patches)

# %% [markdown]
# ## 1 The lab
#
# The video shows a clip, its pseudo-anomaly, and what changed (white). The strips below
# show it frame by frame. The strip *difference* shows by how many grey levels each
# pixel changed; its label says which change is white. Below are `p` and 48 samples,
# drawn as a training run on all these clips would draw them. The samples with a frame
# became pseudo-anomalies.
#
# With the keyboard: Escape leaves the text of a cell, Tab moves to the next control,
# the space bar presses a button, and the arrow keys move a slider.
#
# **Predict**, then try:
#
# 1. Set the strength to 0. What will the mask show, and what will happen to the batch?
# 2. Set p to 0.01, one step above 0, as in the paper. How many of the 48 samples will
#    become pseudo-anomalies? Try ten seeds.
# 3. Choose `object` and go through the clips. When is no object pasted?

# %%
course.Lab(clips, patches)

# %% [markdown]
# You may have seen this: (1) At strength 0 nothing changes, so there is no
# pseudo-anomaly; a clip that did not change must not be trained as an anomaly. (2)
# Mostly none. (3) When the detector found nobody whose centre is in the window.
#
# ## 2 Strength, as pictures
#
# Each kind at strength 0, at its default in the lab, and at strength 1. We use a clip
# with many later frames and, among these, the most people.
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
# The three strips of each kind:

# %%
for name, kind in kinds.items():
    course.show(
        course.plot_strengths(clip, kind),
        f"The kind {name} at strengths 0, 0.5 and 1, as three strips over time.",
    )

# %% [markdown]
# Shuffling is the hardest: each still picture is normal. The anomaly appears only in
# time.
#
# ## 3 Seed, clip, detector and patch source, as pictures
#
# An object at seeds 0, 50 and 99. Each seed draws a person and a picture. Where few
# people are, it may be the same person.

# %%
sources = {name: vad.load_patches(name) for name in patches}
people = [len(clip.boxes[8]) for clip in clips[detector]]
number = int(np.argmax(people))
for seed in (0, 50, 99):
    settings = course.LabSettings("object", 1.0, number, seed, detector, source)
    course.show(*course.plot_lab(clips, sources, settings))

# %% [markdown]
# The first and the last clip. The last one may have no later frames for skipping.

# %%
for clip_number in (0, len(clips[detector]) - 1):
    settings = course.LabSettings("skip", 0.5, clip_number, 0, detector, source)
    course.show(*course.plot_lab(clips, sources, settings))

# %% [markdown]
# Each detector and each patch source, at seed 7. `motion` detects whatever differs from
# the empty scene. `darknet`, if this machine has it, is a network trained to detect
# people (notebook 03).
#
# **Predict:** with which detector will the pasted picture be larger?

# %%
for name in clips:
    for patch_source in patches:
        settings = course.LabSettings("object", 0.9, number, 7, name, patch_source)
        course.show(*course.plot_lab(clips, sources, settings))

# %% [markdown]
# `motion` may put one box around people who walk close together, and the picture fills
# the box. A person detector separates them.
#
# ## 4 The probability p, as pictures
#
# The batch view at p = 0, 0.01, 0.2 and 1. Each sample draws on its own, from a
# generator that depends only on the seed, the epoch and the sample. The same seed
# corrupts the same samples, no matter how many processes read them.
#
# **Predict:** with p = 1, do all 48 samples have a frame?

# %%
all_kinds = [kind() for kind in kinds.values()]
for p in (0, 0.01, 0.2, 1):
    mixer = vad.PseudoAnomalyMixer(all_kinds, p)
    course.show(*course.plot_training_batch(clips[detector], mixer))

# %% [markdown]
# Not always. A clip that cannot be corrupted stays normal and has a dotted frame.
#
# How many pseudo-anomalies does p = 0.01 give in a training run? The paper uses 0.01
# and 0.02. `vadlib train` cuts about 14,000 clips from Ped2, and uses each once per
# epoch.

# %%
for p in (0.01, 0.02, 0.2):
    batches = 1 - (1 - p) ** 8
    print(f"p = {p}: about {14000 * p:.0f} pseudo-anomalies per epoch;")
    print(f"    {batches:.0%} of the batches of 8 contain at least one")

# %% [markdown]
# > **Common mistake.** Reading a small p as "hardly any effect". It also decides how
# > often the two paths meet in one batch. Terms of the loss that compare normal with
# > pseudo-anomalous clips (notebook 06) exist only in batches with both. Exercise 04-1
# > asks how many those are.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 04-1.** With batches of 2 and p = 0.01, what is the probability that a
# batch holds one normal and one pseudo-anomalous clip?

# %% tags=["exercise"]
answer = 2 * 0.01 * 0.99
course.check_answer("04-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 04-1.** Either the first or the second clip is corrupted, but not both. Only
# such batches contribute to the paper's separation term: one in fifty.

# %% [markdown]
# **Exercise 04-2.** Which of the four kinds *fails* most often when p is 1? Use
# `clips[detector]` and a `vad.PseudoAnomalyMixer` with the four `kinds`, each at
# strength 1. `mixer(clip, generator).outcome` says what happened to a clip (use the
# number of the clip as the generator's seed), and `mixer.count` counts a list of
# outcomes. Answer with the name of the kind.

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
# **Answer 04-2.** Skipping needs frames after the clip, and pasting needs a person.
# Which is rarer depends on the videos and the detector.

# %% [markdown]
# ## Summary
#
# - Strength says how strong, p says how often. You can see both before you start a
#   training run.
# - The same seed gives the same pseudo-anomalies.
# - With p = 0.01 one sample in a hundred is corrupted: most small batches hold none.
#
# ## References
#
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
