# %% [markdown]
# # Pseudo-anomalies in time: too fast, out of order
#
# We have no anomalies to train on, so we make some. This notebook breaks the *motion*
# of normal clips and leaves every single frame as the camera saw it. Two kinds do that:
# frame skipping and motion shuffling.
#
# **After it you can**
#
# - read an x-t slice, and tell speed, direction and order from it,
# - say what skipping and shuffling imitate, and what their strengths mean in frames,
# - name what would give a pseudo-anomaly away without any look at the motion, and check
#   that it does not.
#
# **You need** notebook 00, sections 1 to 3. **Time** 0.2 minutes of computing on two
# CPU cores in the quick profile, 25 minutes of reading. **Memory** 1 GB. **Download**
# nothing.
#
# **Words** [kind](glossary.md#kind), [strength](glossary.md#strength), [x-t
# slice](glossary.md#x-t-slice).
#
# A clip here is a window of 96 x 96 pixels and 16 frames. Windows in training are
# smaller; these show more of what is around.

# %%
import itertools

import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# Four training videos, cut into clips:

# %%
train = vad.load_videos(course.tutorial_data(), "train")[:4]
clips = vad.ClipDataset(train, vad.ClipConfig(length=16, crop=(96, 96), clip_step=16))
print(len(clips), "clips")

# %% [markdown]
# We look for a clip with much motion and with many frames after it in its video:
# skipping will need them.

# %%
every_fifth = [clips[i] for i in range(0, len(clips), 5)]
early = [clip for clip in every_fifth if len(clip.lookahead) == 64]
motion = [clip.tensor.std(1).mean().item() for clip in early]
clip = early[np.argmax(motion)]
print(
    f"video {clip.video}, frame {clip.start}; {len(clip.lookahead)} more frames follow"
)

# %% [markdown]
# ## 1 How to see time
#
# Take one row of pixels, and put its 16 moments below each other. In such an *x-t
# slice* what stands still is an upright line, and what walks is a slanted one. The left
# slice below is our clip.
#
# **Predict:** in the middle the clip plays twice as fast, on the right backwards. How
# will the slanted lines differ from those on the left?

# %%
fast = vad.SkipFrames(strength=0.25)(clip, torch.Generator())
slices = {
    "normal": clip.tensor,
    "twice as fast": fast.tensor,
    "backwards": clip.tensor.flip(1),
}
course.show(
    course.plot_xt_slices(slices),
    "x-t slices: the clip, twice as fast with flatter lines, "
    "and backwards with lines mirrored in time.",
)

# %% [markdown]
# Twice as fast: the lines are flatter, as more way is made from frame to frame.
# Backwards: mirrored top to bottom; a thing that came from the left now comes from the
# right.
#
# ## 2 Skipping: too fast
#
# `SkipFrames` shows every k-th frame of the *video*. It imitates running and riding:
# whatever is faster than a walk. Its strength maps onto the stride k: 0 is stride 1
# (the clip comes back unchanged), 0.25 the paper's stride 2, 1 stride 5. Where the
# video ends too early for that, the largest stride that fits is taken.

# %%
course.show(
    course.plot_strengths(clip, vad.SkipFrames, (0, 0.25, 1)),
    "Skipping at strengths 0, 0.25 and 1: the further down, "
    "the further everything moves between two frames.",
)

# %% [markdown]
# Before, after, difference and mask, at stride 3. The mask marks every pixel that
# differs at all.
#
# **Predict:** will the mask be white only where something moves?

# %%
skipped = vad.SkipFrames(strength=0.5)(clip, torch.Generator())
course.show(
    course.plot_pseudo(clip, skipped),
    f"A clip at stride {skipped.params['stride']}: the difference is large on what "
    "moves, and the mask is white on empty ground, too.",
)

# %% [markdown]
# It is white on much of the empty ground as well: another frame is another exposure,
# and the camera's noise is new in each. The *difference* is large only on what moves.
#
# Where do the frames come from? With stride 5 a clip of 16 frames spans 76, so skipping
# looks ahead in the video. Some code does not: at the end of the clip it repeats the
# last frame.
#
# **Predict:** which of the two slices below is frozen, and from which frame on?

# %%
frozen = clip.tensor[:, (3 * torch.arange(16)).clamp(max=15)]
course.show(
    course.plot_xt_slices({"first": skipped.tensor, "second": frozen}),
    "Two x-t slices at stride 3; in the second all lines are upright from frame 5 on.",
)

# %% [markdown]
# It is the second, from frame 5 on: 3 x 5 is the clip's last frame. A network learns
# such a frozen tail at once, and nothing about speed. Here a clip from which not even
# stride 2 is possible is not changed at all: the kind returns `None`, and the clip
# stays normal. It is counted, so that you know how many that are.

# %%
skip = vad.SkipFrames(strength=0.25)
ends = [skip(clips[i], torch.Generator()) is None for i in range(len(clips))]
print(f"{sum(ends)} of {len(clips)} clips end too late in their video to be skipped")

# %% [markdown]
# ## 3 Shuffling: out of order
#
# `ShuffleMotion` shows the same frames in another order: jerky, impossible motion, as
# in a scuffle or a fall, and unlike anything that walks. Strength is the share of the
# frames that change places. At 1 the whole clip is shuffled so that *no two neighbours
# stay neighbours*, as in the paper.

# %%
for strength in (0.25, 0.5, 1.0):
    shuffle = vad.ShuffleMotion(strength)
    pseudo = shuffle(clip, torch.Generator().manual_seed(0))
    print(f"strength {strength:4}:", *pseudo.params["order"])

# %% [markdown]
# The slices of those three. **Predict:** up to which strength could you still tell in
# which direction people walk?

# %%
slices = {"normal": clip.tensor}
for strength in (0.25, 0.5, 1.0):
    shuffle = vad.ShuffleMotion(strength)
    pseudo = shuffle(clip, torch.Generator().manual_seed(0))
    slices[f"strength {strength}"] = pseudo.tensor
course.show(
    course.plot_xt_slices(slices),
    "x-t slices of the clip and of three shuffled ones: "
    "the more frames move, the more torn the lines.",
)

# %% [markdown]
# At 0.5 some lines still lean to one side; at 1 there are no lines any more. A single
# picture would not tell: each is a frame of the clip.
#
# > **Common mistake.** Drawing a random order and calling it shuffled. Of 16 frames in
# > random order, about two pairs of neighbours stay together on average, and a short
# > clip may come back almost as it was. For 2 or 3 frames an order without kept
# > neighbours does not even exist; code that draws until it finds one never ends.
# > `ShuffleMotion` asks for at least 4 frames.
#
# ## 4 What would give it away?
#
# A model is lazy: if pseudo-anomalies differ in something simpler than motion, it
# learns that. So let us look at what has nothing to do with motion: the range of the
# pixels, their mean, the grain of the noise; `stillest` is the smallest change between
# two neighbouring frames. Besides ours there are two careless ones: the frozen clip,
# and one scaled to mean 0 and deviation 1 as the published code does.
#
# **Predict:** which number gives away which of the careless two?

# %%
shuffled = slices["strength 1.0"]
z_scored = (clip.tensor - clip.tensor.mean()) / clip.tensor.std()
tensors = {
    "normal": clip.tensor,
    "skip": skipped.tensor,
    "shuffle": shuffled,
    "frozen": frozen,
    "z-scored": z_scored,
}
for name, tensor in tensors.items():
    statistics = course.clip_statistics(tensor)
    print(f"{name:9}", *(f"{key} {value:6.3f} " for key, value in statistics.items()))

# %% [markdown]
# `stillest` is 0 for the frozen clip, and the range of the z-scored one is not the
# others'. Skipped and shuffled clips hold frames of the same video, bit for bit, so
# range, mean and grain differ from those of this clip by no more than any two moments
# of a video do. `stillest` is another matter: it is measured over time, so it sees
# motion, and it should, for motion is what these two break. A test of vadlib trains
# small classifiers on the other five numbers alone: on windows of Ped2 they tell
# skipped and shuffled clips from normal ones with an AUC below 0.6, and see through the
# careless ones at once.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 02-1.** A video has 120 frames. From which first frame on can a clip of 16
# frames no longer be skipped with stride 2?

# %% tags=["exercise"]
answer = 90
course.check_answer("02-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 02-1.** The clip needs the frames s, s + 2, ..., s + 30, and the last one
# that exists is 119. So s may be 89 at most.

# %% [markdown]
# **Exercise 02-2.** How many orders of 5 frames put no two neighbours in time next to
# each other, the one first or the other? Count them with `itertools.permutations`.

# %% tags=["exercise"]
answer = 0
for order in itertools.permutations(range(5)):
    steps = np.abs(np.diff(order))
    answer += int((steps != 1).all())
course.check_answer("02-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 02-2.** It is 14 of 120, about one in nine. So drawing orders until one fits
# does end soon, but for 2 and 3 frames it never would: there is none.

# %% [markdown]
# **Exercise 02-3.** By which factor does skipping change a clip more than shuffling
# does? Compare the mean absolute change of all pixels from `clip.tensor` to
# `skipped.tensor` with that to `shuffled`. And does it say which of the two is easier
# to notice?

# %% tags=["exercise"]
skip_change = (skipped.tensor - clip.tensor).abs().mean()
shuffle_change = (shuffled - clip.tensor).abs().mean()
answer = skip_change / shuffle_change
course.check_answer(
    "02-3", answer, clip=clip.tensor, skipped=skipped.tensor, shuffled=shuffled
)

# %% [markdown] tags=["solution"]
# **Answer 02-3.** Usually more than 1: in the end skipping shows other places of the
# same walk. That says little about what is easier: a shuffled clip goes forwards and
# backwards in every second frame, which no person does; a skipped one just walks fast.

# %% [markdown]
# ## Summary
#
# - An x-t slice makes time visible: slanted lines walk, flat ones are fast, torn ones
#   jump.
# - Skipping makes a clip fast; strength is the stride, and frames come from further on
#   in the video.
# - Shuffling breaks the order; at full strength no neighbours stay together.
# - Both keep every frame as it was, so that only motion tells them from normal clips.
#
# ## References
#
# - M. Astrid, M. Z. Zaheer, J.-Y. Lee, S.-I. Lee: *Learning Not to Reconstruct
#   Anomalies*, BMVC 2021 (skipped frames as pseudo-anomalies)
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
