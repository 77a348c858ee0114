# %% [markdown]
# # Pseudo-anomalies in appearance: noise and foreign objects
#
# The two kinds of notebook 02 corrupt motion. The two kinds here keep the motion and
# change what you see: noise over the whole picture, and a foreign object on a person.
# The second kind needs the positions of people, so this notebook also introduces person
# detectors.
#
# **After it you can**
#
# - explain how the noise level sigma is scaled to each clip, and why values must not be
#   clamped,
# - compare person detectors by the share of moving objects that they cover,
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
# We use two training videos. `tutorial_detectors` and `tutorial_patches` list what this
# machine has without a download. Sections 2 and 3 explain both.

# %%
train = vad.load_videos(course.tutorial_data(), "train")[:2]
detectors, patches = course.tutorial_detectors(), course.tutorial_patches()
print("dataset:", course.tutorial_data())
print("detectors:", *detectors)
print("patch sources:", *patches)

# %% [markdown]
# ## 1 Noise
#
# `AddNoise` adds Gaussian noise. It imitates things that nothing normal can explain,
# anywhere in the picture. Strength sets sigma as a share of the clip's own standard
# deviation, from 0 to the paper's 0.81. So a dull clip gets less noise than a clip full
# of contrast.

# %%
config = vad.ClipConfig(length=16, crop=(96, 96), clip_step=16)
boxes = {name: vad.find_boxes(train, name) for name in detectors}
clips = vad.ClipDataset(train, config, boxes[detectors[-1]])
every_third = [clips[i] for i in range(0, len(clips), 3)]
people = [len(clip.boxes[8]) for clip in every_third]
clip = every_third[np.argmax(people)]

# %% [markdown]
# (The cell above also detected people. Their boxes are kept in the cache, until the
# frames or the detector change.)
#
# **Predict:** at which of these strengths can you no longer count the people?

# %%
course.show(
    course.plot_strengths(clip, vad.AddNoise, (0, 0.5, 1)),
    "Noise at strengths 0, 0.5 and 1: the stronger, the less of the people remains.",
)

# %% [markdown]
# People with a high contrast to the ground can still be counted at strength 1. The
# others have disappeared.
#
# This noise is independent for each pixel. With `grain` it comes in soft blotches of
# that size, with the same sigma: less like a bad sensor, more like smoke. (The `grain`
# in notebook 02 is something else, the noise that a clip already has.)

# %%
coarse = vad.AddNoise(strength=0.5, grain=8)(clip, torch.Generator().manual_seed(0))
course.show(
    course.plot_pseudo(clip, coarse),
    "A clip under blotches of noise, 8 pixels wide; the difference shows them.",
)

# %% [markdown]
# Pixels are in [-1, 1]. Values that noise pushes out of this range must come back, and
# the way they come back matters. As an example we darken the clip, so that many of its
# pixels are nearly black and noise pushes some of them out of the range.
#
# **Predict:** if values are *clamped* to the range, about how many of the pixels will
# be exactly at a border?

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
# Clamping collects pixels at the border, and these pixels give the clip away.
# `AddNoise` *reflects* values at the border instead, as a mirror reflects light.
#
# ## 2 Detecting people
#
# A foreign object has to be *on* someone. Four detectors can say where people are:
#
# - `motion`: whatever differs from the empty scene. It needs nothing, but people who
#   walk side by side become one box.
# - `boxes`: the boxes of the dataset. Only the rendered street has some.
# - `darknet`: a small YOLOv3, a network that draws a box around each object it knows,
#   in the file format of its inventor (3.6 MB of weights).
# - `yolov3`: larger YOLOv3 networks from the ultralytics library (under AGPL-3.0).
#   `vad.find_boxes(train, "yolov3")` downloads their weights the first time, so we do
#   not use it here.
#
# **Predict:** where will the detectors disagree?

# %%
frame = len(train[0]) // 3
first_video = {name: boxes[name][train[0].name] for name in detectors}
course.show(
    course.plot_boxes(train[0], frame, first_video),
    f"Frame {frame} with the boxes of the detectors {' and '.join(detectors)}.",
)

# %% [markdown]
# How good is a detector here? Nobody labelled the people, but the camera does not move,
# so background subtraction knows what moves. `coverage` is the share of the moving
# objects of which a detector's boxes cover at least half.

# %%
for name in detectors:
    shares = []
    for v in train:
        shares.append(course.coverage(boxes[name][v.name], boxes["motion"][v.name]))
    count = sum(len(np.concatenate(boxes[name][v.name])) for v in train)
    print(f"{name:8} covers {np.mean(shares):.0%} of what moves, with {count} boxes")

# %% [markdown]
# `motion` covers itself, so 100% is no achievement. On the rendered street it also
# detects a tree, a display and shadows, so even perfect boxes of people cover less. A
# network trained on people also detects people who do not move, and separates people
# who walk together. It misses some who are small or half hidden, and sometimes draws
# several boxes around one person. People in Ped2 are 12 x 30 pixels. vadlib enlarges
# the frames for the network, which would otherwise detect fewer of them.
#
# ## 3 Patch sources
#
# `builtin` contains crops of two photographs that come with scikit-learn. `sprites`
# contains animals and objects that are cut out. `cifar100` contains small pictures of a
# hundred classes (32 x 32 pixels). A folder of your own pictures also works.

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
# `PasteObjects` blends a picture into a person's box: an ellipse, opaque at its centre
# and soft at its border. Strength sets the opacity (0 to 1) and the size (half to all
# of the box). Of eight random draws we use the one that changes the most. Others may be
# hard to see.
#
# **Predict:** how much of the person is left at strength 1?

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
# Only what is outside the ellipse is left: often the feet, or an arm.
#
# Below are the clip before and after, the difference, and the mask, which now has the
# shape of the patch.

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
# The published code draws a new picture in every frame. Below we compare the two in an
# x-t slice through the object.
#
# **Predict:** how does a patch look there that is drawn again in each frame?

# %%
one_box = clip._replace(boxes=[box[None] for box in pasted.params["track"]])
frames = []
for t in range(16):
    new_patch = paste(strength=1.0)(one_box, torch.Generator().manual_seed(t))
    frames.append(new_patch.tensor[:, t])
flickering = torch.stack(frames, dim=1)

# %% [markdown]
# The slice goes through the row of pixels with the largest part of the patch.

# %%
row = int(pasted.mask.sum((0, 2)).argmax())
slices = {"normal": clip.tensor, "ours": pasted.tensor, "new patches": flickering}
course.show(
    course.plot_xt_slices(slices, row),
    "x-t slices: a person, a patch that moves as one band, "
    "and one that flickers from frame to frame.",
)

# %% [markdown]
# It flickers. A network would learn "flicker", which no bicycle does. Our patch is one
# object that moves. It follows its person through the clip, shifted by fractions of a
# pixel.
#
# There is a less obvious trap. A pasted picture is *clean*, while everything around it
# has camera noise. A place without noise would stand out, too. The amount of noise
# differs: the videos of Ped2 were compressed, which leaves little noise on static
# ground. So `PasteObjects` measures the noise of the clip and adds what the blending
# removed:

# %%
grey_levels = 127.5 * pasted.params["noise"]
print(f"noise of this clip, also added to the patch: {grey_levels:.2f} grey levels")

# %% [markdown]
# > **Common mistake.** Training on a clip without any detected person as if it were an
# > anomaly, as the published code does. Here the kind returns `None`, the clip stays
# > normal, and the mixer counts it.
#
# For each sample the mixer decides with probability p whether to corrupt it, and with
# which kind. Here is what it made, and what it could not make:

# %%
mixer = vad.PseudoAnomalyMixer([vad.AddNoise(), paste()], p=0.5)
outcomes = []
for i in range(len(clips)):
    outcomes.append(mixer(clips[i], torch.Generator().manual_seed(i)).outcome)
normal = [outcome for outcome in outcomes if outcome.kind is None]
print(f"{len(normal)} of {len(clips)} clips normal by chance; {mixer.count(outcomes)}")

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 03-1.** Which sigma, in grey levels (0 to 255), does noise of strength 0.5
# have on `clip`?

# %% tags=["exercise"]
answer = 0.81 * 0.5 * float(clip.tensor.std()) * 127.5
course.check_answer("03-1", answer, clip=clip.tensor)

# %% [markdown] tags=["solution"]
# **Answer 03-1.** Noise is relative to the clip's own standard deviation, up to 0.81 of
# it. The range from -1 to 1 has a width of 2, which corresponds to 255 levels.

# %% [markdown]
# The next exercise uses smaller windows, of the size used in training:

# %%
small_config = vad.ClipConfig(length=16, crop=(48, 48), clip_step=192)
small = vad.ClipDataset(train, small_config, boxes[detectors[-1]])

# %% [markdown]
# **Exercise 03-2.** For which share of the clips in `small` can no object be pasted,
# because no box has its centre in the window in the middle frame? Try every clip at
# strength 1.

# %% tags=["exercise"]
kind = paste(strength=1.0)
failures = [kind(small[i], torch.Generator()) is None for i in range(len(small))]
answer = np.mean(failures)
course.check_answer("03-2", answer, clips=small)

# %% [markdown] tags=["solution"]
# **Answer 03-2.** Another detector gives another share. Build `small` with
# `boxes["motion"]` and compare.

# %% [markdown]
# ## Summary
#
# - Noise is relative to the clip's own standard deviation, and reflected at the borders
#   of the range.
# - Motion detects blobs; a network detects people. `coverage` compares them without
#   labels.
# - A pasted object follows its person, keeps its pixels, has a soft border, and carries
#   the camera's noise.
# - A clip that cannot be corrupted stays normal, and is counted.
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
