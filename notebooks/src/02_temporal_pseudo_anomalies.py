# %% [markdown]
# # Pseudo-anomalies in time: too fast, out of order
#
# We have no anomalies to train on, so we make some. This notebook corrupts the *motion*
# of normal clips and leaves every single frame as the camera saw it. Two kinds of
# pseudo-anomaly do that: frame skipping and motion shuffling.
#
# **After it you can**
#
# - read speed, direction and order from an x-t slice,
# - say what skipping and shuffling imitate, and what their strengths mean in frames,
# - name the shortcuts that would give a pseudo-anomaly away without looking at motion,
#   and check that they are absent.
#
# **You need** notebook 00, sections 1 to 3. **Time** 0.2 minutes of computing on two
# CPU cores in the quick profile, 25 minutes of reading. **Memory** 1 GB. **Download**
# nothing.
#
# **Words** [kind](glossary.md#kind), [strength](glossary.md#strength), [x-t
# slice](glossary.md#x-t-slice).
#
# A clip here is a window of 96 x 96 pixels and 16 frames. The windows in training are
# smaller. These show more of the surroundings.

# %%
import itertools

import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# We cut four training videos into clips.

# %%
train = vad.load_videos(course.tutorial_data(), "train")[:4]
clips = vad.ClipDataset(train, vad.ClipConfig(length=16, crop=(96, 96), clip_step=16))
print(len(clips), "clips")

# %% [markdown]
# Now we look for a clip with much motion and with many later frames in its video,
# because skipping needs them.

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
# Take one row of pixels and stack its 16 moments from top to bottom. In such an *x-t
# slice*, a static object is an upright line and a walking person is a slanted one. The
# left slice below is our clip.
#
# **Predict:** the middle slice plays twice as fast, the right one backwards. How will
# the slanted lines differ from those on the left?

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
# Twice as fast: the lines are flatter, because everything moves further per frame.
# Backwards: the slice is mirrored top to bottom. An object that came from the left now
# comes from the right.
#
# ## 2 Skipping: too fast
#
# `SkipFrames` shows every k-th frame of the *video*. It imitates running, riding and
# everything else that is faster than walking. Its strength sets the stride k: 0 is
# stride 1 (the clip does not change), 0.25 is the paper's stride 2, and 1 is stride 5.
# If the video ends too early, the largest stride that fits is used.

# %%
course.show(
    course.plot_strengths(clip, vad.SkipFrames, (0, 0.25, 1)),
    "Skipping at strengths 0, 0.25 and 1: the further down, "
    "the further everything moves between two frames.",
)

# %% [markdown]
# Below are the clip before and after, the difference and the mask, at stride 3. The
# mask marks every pixel that differs at all.
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
# It is white on much of the empty ground as well. Another frame is another exposure,
# with new camera noise. The *difference* is large only where something moves.
#
# Where do the frames come from? With stride 5 a clip of 16 frames spans 76 frames, so
# skipping looks ahead in the video. Some code does not look ahead and repeats the last
# frame at the end of the clip.
#
# **Predict:** which of the two slices below is frozen, and from which frame on?

# %%
frozen = clip.tensor[:, (3 * torch.arange(16)).clamp(max=15)]
course.show(
    course.plot_xt_slices({"first": skipped.tensor, "second": frozen}),
    "Two x-t slices at stride 3; in the second all lines are upright from frame 5 on.",
)

# %% [markdown]
# The second one, from frame 5 on: 3 x 5 is the clip's last frame. A network learns such
# a frozen tail at once, and nothing about speed. If not even stride 2 is possible,
# `SkipFrames` returns `None` and the clip stays normal. The mixer counts these clips.

# %%
skip = vad.SkipFrames(strength=0.25)
ends = [skip(clips[i], torch.Generator()) is None for i in range(len(clips))]
print(f"{sum(ends)} of {len(clips)} clips end too late in their video to be skipped")

# %% [markdown]
# ## 3 Shuffling: out of order
#
# `ShuffleMotion` shows the same frames in another order. The motion becomes jerky and
# impossible, as in a scuffle or a fall, and unlike walking. Strength is the share of
# the frames that change places. At 1 the whole clip is shuffled so that *no two
# neighbours stay neighbours*, as in the paper.

# %%
for strength in (0.25, 0.5, 1.0):
    shuffle = vad.ShuffleMotion(strength)
    pseudo = shuffle(clip, torch.Generator().manual_seed(0))
    print(f"strength {strength:4}:", *pseudo.params["order"])

# %% [markdown]
# The slices of these three clips.
#
# **Predict:** up to which strength can you still see in which direction people walk?

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
# At 0.5 some lines still lean to one side. At 1 there are no lines left. A single
# picture would not reveal it, because each is a frame of the clip.
#
# > **Common mistake.** Drawing a random order and calling it shuffled. In a random
# > order of 16 frames, about two pairs of neighbours stay together on average, and a
# > short clip may come back almost unchanged. For 2 or 3 frames no order separates all
# > neighbours, so code that draws until it finds one never ends. `ShuffleMotion`
# > requires at least 4 frames.
#
# ## 4 What would give it away?
#
# A model is lazy: if pseudo-anomalies differ in something simpler than motion, it
# learns that. So let us look at properties that have nothing to do with motion: the
# range of the pixels, their mean and standard deviation, and the grain of the noise.
# Two numbers are measured over time: `change`, the noise between frames, and
# `stillest`, the smallest change between two consecutive frames. Besides our two kinds
# there are two careless ones: the frozen clip, and a clip scaled to mean 0 and standard
# deviation 1 as in the published code.
#
# **Predict:** which number gives away which of the two careless kinds?

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
# `stillest` is 0 for the frozen clip, and the z-scored clip has another range than the
# others. Skipped and shuffled clips consist of frames of the same video, bit for bit.
# Their range, mean and grain differ from those of this clip no more than any two
# moments of a video differ. `stillest` sees motion, because it is measured over time.
# It may differ: motion is what these two kinds corrupt.
#
# A test of vadlib trains small classifiers on `lowest`, `highest`, `mean`, `deviation`
# and `grain` alone. On windows of Ped2 they distinguish skipped and shuffled clips from
# normal ones with an AUC below 0.6. They recognise the careless kinds at once.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 02-1.** A video has 120 frames. From which first frame on is a clip of 16
# frames too late to be skipped with stride 2?

# %% tags=["exercise"]
answer = 90
course.check_answer("02-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 02-1.** The clip needs the frames s, s + 2, ..., s + 30, and the last
# existing frame is 119. So s may be 89 at most.

# %% [markdown]
# **Exercise 02-2.** In how many orders of 5 frames are no two consecutive frames
# adjacent, in either direction? Count them with `itertools.permutations`.

# %% tags=["exercise"]
separated = []
for order in itertools.permutations(range(5)):
    steps = np.abs(np.diff(order))
    separated.append((steps != 1).all())
answer = int(sum(separated))
course.check_answer("02-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 02-2.** There are 14 among 120, about one in nine. So drawing orders until
# one fits ends soon. For 2 and 3 frames it never would, because there is no such order.

# %% [markdown]
# **Exercise 02-3.** By which factor does skipping change a clip more than shuffling
# does? Divide the mean absolute change of all pixels from `clip.tensor` to
# `skipped.tensor` by that from `clip.tensor` to `shuffled`. Does it say which of the
# two is easier to notice?

# %% tags=["exercise"]
skip_change = (skipped.tensor - clip.tensor).abs().mean()
shuffle_change = (shuffled - clip.tensor).abs().mean()
answer = skip_change / shuffle_change
course.check_answer(
    "02-3", answer, clip=clip.tensor, skipped=skipped.tensor, shuffled=shuffled
)

# %% [markdown] tags=["solution"]
# **Answer 02-3.** The factor is usually above 1, because at its end a skipped clip
# shows other places of the same walk. It says little about which is easier to notice. A
# shuffled clip jumps forwards and backwards, which no person does. A skipped clip just
# walks fast.

# %% [markdown]
# ## Summary
#
# - An x-t slice makes time visible: slanted lines walk, flat lines are fast, torn lines
#   jump.
# - Skipping makes a clip fast. Its strength is the stride, and its frames come from
#   later in the video.
# - Shuffling corrupts the order. At full strength no neighbours stay together.
# - Both keep every frame unchanged, so that only motion distinguishes them from normal
#   clips.
#
# ## References
#
# - M. Astrid, M. Z. Zaheer, J.-Y. Lee, S.-I. Lee: *Learning Not to Reconstruct
#   Anomalies*, BMVC 2021 (skipped frames as pseudo-anomalies)
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
