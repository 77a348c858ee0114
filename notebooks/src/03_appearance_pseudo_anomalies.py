# %% [markdown]
# # Pseudo-anomalies in appearance: a broken picture, a foreign object
#
# The two kinds of notebook 02 break motion. The two here leave motion alone and change
# what is seen: noise over the whole picture, and a foreign thing on a person. For the
# second, people must be found first, so this notebook also meets detectors.
#
# **After it you can**
#
# - say what the sigma of a noise means relative to a clip, and why values must not be
#   clamped,
# - compare detectors by which share of what moves they cover,
# - explain why a pasted picture must follow its person, keep its pixels, and carry the
#   camera's noise.
#
# **You need** notebooks 00 and 02. **Time** 0.4 minutes of computing on two CPU cores
# in the quick profile, 30 minutes of reading. **Memory** 1.5 GB. **Download** nothing.
#
# **Words** [kind](glossary.md#kind), [strength](glossary.md#strength),
# [detector](glossary.md#detector), [patch source](glossary.md#patch-source),
# [mask](glossary.md#mask).

# %%
from functools import partial

import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# Two training videos will do. `tutorial_detectors` and `tutorial_patches` say what this
# machine has without a download; we come to both in section 2.

# %%
train = vad.load_videos(course.tutorial_data(), "train")[:2]
detectors, patches = course.tutorial_detectors(), course.tutorial_patches()
print("dataset:", course.tutorial_data())
print("detectors:", *detectors)
print("patch sources:", *patches)

# %% [markdown]
# ## 1 Noise: a broken picture
#
# `AddNoise` adds Gaussian noise. It imitates what cannot be explained by anything
# normal in *any* place. Strength maps onto sigma as a share of the clip's own
# deviation, from 0 to the paper's 0.81. So a dull clip gets less noise than one full of
# contrast.

# %%
config = vad.ClipConfig(length=16, crop=(96, 96), clip_step=16)
boxes = {name: vad.find_boxes(train, name) for name in detectors}
clips = vad.ClipDataset(train, config, boxes[detectors[-1]])
every_third = [clips[i] for i in range(0, len(clips), 3)]
people = [len(clip.boxes[8]) for clip in every_third]
clip = every_third[np.argmax(people)]

# %% [markdown]
# (The cell above also found people, once: the boxes are kept in the cache, and found
# again only if the frames or the detector change.)
#
# **Predict:** at which of these strengths could you no longer count the people?

# %%
course.show(
    course.plot_strengths(clip, vad.AddNoise, (0, 0.5, 1)),
    "Noise at strengths 0, 0.5 and 1: the stronger, the less of the people remains.",
)

# %% [markdown]
# People who stand out from their ground can still be counted at strength 1; those who
# hardly do are gone.
#
# This noise is drawn anew for each pixel. With `grain` it comes in soft blotches of
# that size, of the same sigma: less like a bad sensor, more like smoke. (The `grain` in
# notebook 02's table is another thing, the noise that a clip has.)

# %%
coarse = vad.AddNoise(strength=0.5, grain=8)(clip, torch.Generator().manual_seed(0))
course.show(
    course.plot_pseudo(clip, coarse),
    "A clip under blotches of noise, 8 pixels wide; the difference shows them.",
)

# %% [markdown]
# Pixels live in [-1, 1]. What noise pushes beyond must come back, and how it comes back
# matters. We fold the clip around its mean grey, so that many of its pixels are nearly
# black and noise pushes some of them out.
#
# **Predict:** if values are *clamped* to the border, about how many of the pixels will
# lie exactly on it?

# %%
dark = clip._replace(tensor=(clip.tensor - clip.tensor.mean()).abs() * 0.5 - 0.999)
noise = torch.randn(dark.tensor.shape, generator=torch.Generator().manual_seed(0))
clamped = (dark.tensor + 0.81 * dark.tensor.std() * noise).clamp(-1, 1)
reflected = vad.AddNoise(strength=1.0)(dark, torch.Generator().manual_seed(0)).tensor
tensors = {"before": dark.tensor, "clamped": clamped, "reflected": reflected}

# %% [markdown]
# The share of the pixels that are exactly -1 or 1:

# %%
for name, tensor in tensors.items():
    at_border = (tensor.abs() == 1).float().mean()
    print(f"{name:10}{at_border:.1%}")

# %% [markdown]
# Clamping piles pixels up on the border, and the pile gives the clip away. `AddNoise`
# *reflects* at the border instead, as light on a mirror.
#
# ## 2 Who is where? Detectors
#
# A foreign object has to be *on* someone. Four detectors can say where people are:
#
# - `motion`: what differs from the empty scene. Needs nothing, but people who walk side
#   by side become one box.
# - `boxes`: those that the dataset brings; only the rendered street has some.
# - `darknet`: a small YOLOv3, a network that draws a box around each thing it knows, in
#   the file format of its inventor (3.6 MB of weights).
# - `yolov3`: larger YOLOv3 networks from the ultralytics library (under AGPL-3.0).
#   `vad.find_boxes(train, "yolov3")` downloads their weights the first time, so it is
#   not used here.
#
# **Predict:** where will they disagree?

# %%
frame = len(train[0]) // 3
first_video = {name: boxes[name][train[0].name] for name in detectors}
course.show(
    course.plot_boxes(train[0], frame, first_video),
    f"Frame {frame} with the boxes of the detectors {' and '.join(detectors)}.",
)

# %% [markdown]
# How good is a detector here? Nobody labelled the people, but the camera stands still,
# so background subtraction knows what moves. `coverage` is the share of those moving
# things of which a detector's boxes cover at least half.

# %%
for name in detectors:
    shares = []
    for v in train:
        shares.append(course.coverage(boxes[name][v.name], boxes["motion"][v.name]))
    count = sum(len(np.concatenate(boxes[name][v.name])) for v in train)
    print(f"{name:8} covers {np.mean(shares):.0%} of what moves, with {count} boxes")

# %% [markdown]
# `motion` covers itself, of course: 100% is no praise. Where it takes other things for
# moving ones (on the rendered street a tree, a display and shadows), even perfect boxes
# of people cover less of it. A network that is trained on people also finds those who
# stand still, and tells apart those who walk together; it misses some who are small or
# half hidden, and now and then draws several boxes around one. People of Ped2 are 12 x
# 30 pixels; frames are enlarged for the network, or it would see fewer of them.
#
# ## 3 What is pasted? Patch sources
#
# `builtin` are crops of two photographs that scikit-learn ships; `sprites` are animals
# and things that are cut out; `cifar100` are small pictures of a hundred kinds of
# things (32 x 32 pixels); a folder of your own pictures does as well.

# %%
course.show(
    course.plot_patches({name: vad.load_patches(name) for name in patches}),
    f"Twelve pictures each of the patch sources {' and '.join(patches)}.",
)

# %% [markdown]
# In a grey video they become grey.
#
# ## 4 A foreign object
#
# `PasteObjects` blends a picture into a person's box: an ellipse, opaque at its centre,
# soft at its border. Strength maps onto opacity (0 to 1) and size (half to all of the
# box). Of eight draws we take the one that changes most; others may be hard to see.
#
# **Predict:** what is left of the person at strength 1?

# %%
paste = partial(vad.PasteObjects, patches[-1])
generators = [torch.Generator().manual_seed(seed) for seed in range(8)]
pseudo_clips = [paste(strength=1.0)(clip, generator) for generator in generators]
changes = [(pseudo.tensor - clip.tensor).abs().mean() for pseudo in pseudo_clips]
seed = int(np.argmax(changes))
course.show(
    course.plot_strengths(clip, paste, (0, 0.5, 1), seed),
    "Pasting at strengths 0, 0.5 and 1: "
    "a picture covers a person more and more, and moves along.",
)

# %% [markdown]
# What sticks out of the ellipse is left: often the feet, or an arm.
#
# Before, after, difference, and the mask, which has the shape of the patch now.

# %%
pasted = pseudo_clips[seed]
course.show(
    course.plot_pseudo(clip, pasted),
    "A clip, the clip with a pasted object, their difference, "
    "and the changed ellipse, which moves with its person.",
)

# %% [markdown]
# ## 5 What would give it away?
#
# The published code draws a new picture in every frame. Below the two are compared in
# an x-t slice through the object.
#
# **Predict:** how does a patch that is drawn anew in each frame look there?

# %%
one_box = clip._replace(boxes=[box[None] for box in pasted.params["track"]])
frames = []
for t in range(16):
    new_patch = paste(strength=1.0)(one_box, torch.Generator().manual_seed(t))
    frames.append(new_patch.tensor[:, t])
flickering = torch.stack(frames, dim=1)

# %% [markdown]
# The slice goes through the row of pixels of which most belongs to the patch.

# %%
row = int(pasted.mask.sum((0, 2)).argmax())
slices = {"normal": clip.tensor, "ours": pasted.tensor, "new patches": flickering}
course.show(
    course.plot_xt_slices(slices, row),
    "x-t slices: a person, a patch that moves as one band, "
    "and one that flickers from frame to frame.",
)

# %% [markdown]
# It flickers. A network would learn "flicker", which no bicycle does. Ours is one thing
# that moves: followed through the clip, shifted by fractions of a pixel.
#
# There is a quieter trap. A pasted picture is *clean*, while everything around it
# carries the camera's noise; a place without noise would be odd, too. How much noise
# that is differs: the films of Ped2 have been compressed, which leaves little on still
# ground. So `PasteObjects` measures the clip's noise and adds what the blending took
# away:

# %%
grey_levels = 127.5 * pasted.params["noise"]
print(f"noise of this clip, also added to the patch: {grey_levels:.2f} grey levels")

# %% [markdown]
# > **Common mistake.** Training on a clip in which nobody was found as if it were an
# > anomaly. The published code does. Here the kind returns `None` for it, the clip
# > stays normal, and the mixer counts it.
#
# The mixer draws for each sample whether it is turned (probability p), and which kind.
# What it made, and what it could not make:

# %%
mixer = vad.PseudoAnomalyMixer([vad.AddNoise(), paste()], p=0.5)
outcomes = []
for i in range(len(clips)):
    outcomes.append(mixer(clips[i], torch.Generator().manual_seed(i)).outcome)
print(f"{len(clips)} clips, {outcomes.count(0)} normal by chance")
print(mixer.count(outcomes))

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 03-1.** Which sigma, in grey levels (0 to 255), does noise of strength 0.5
# have on `clip`?

# %% tags=["exercise"]
answer = 0.81 * 0.5 * float(clip.tensor.std()) * 127.5
course.check_answer("03-1", answer, clip=clip.tensor)

# %% [markdown] tags=["solution"]
# **Answer 03-1.** Noise is relative to the clip's own deviation, up to 0.81 of it; and
# the range of 2, from -1 to 1, is 255 levels wide.

# %% [markdown]
# For the next one, smaller windows, of the size that is used in training:

# %%
small_config = vad.ClipConfig(length=16, crop=(48, 48), clip_step=192)
small = vad.ClipDataset(train, small_config, boxes[detectors[-1]])

# %% [markdown]
# **Exercise 03-2.** Of which share of the clips in `small` can no object be made, since
# no box has its centre in the window in the middle frame? Try every clip at strength 1.

# %% tags=["exercise"]
kind = paste(strength=1.0)
failures = [kind(small[i], torch.Generator()) is None for i in range(len(small))]
answer = np.mean(failures)
course.check_answer("03-2", answer, clips=small)

# %% [markdown] tags=["solution"]
# **Answer 03-2.** Another detector gives another share: build `small` with
# `boxes["motion"]` and compare.

# %% [markdown]
# ## Summary
#
# - Noise is measured by the clip's own deviation, and reflected at the borders of the
#   range.
# - Motion finds blobs; a network finds people. `coverage` compares them without labels.
# - A pasted object follows its person, keeps its pixels, ends softly, and carries the
#   camera's noise.
# - What cannot be made is not made, and is counted.
#
# ## References
#
# - J. Redmon, A. Farhadi: *YOLOv3: An Incremental Improvement*, arXiv 2018,
#   [arXiv:1804.02767](https://arxiv.org/abs/1804.02767)
# - A. Krizhevsky: *Learning Multiple Layers of Features from Tiny Images*, technical
#   report, 2009 (CIFAR-100)
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
