# %% [markdown]
# # The dual-path model
#
# One encoder, two memories, two decoders: this notebook takes the model apart. You
# follow the shapes of a clip through it, read a memory by hand, see how a memory can be
# empty, and look at what the two paths make of normal and of pseudo-anomalous clips.
#
# **After it you can**
#
# - say what goes in and out of `E`, `M_n`, `D_n`, `M_p` and `D_p`, and where most
#   parameters are,
# - compute a memory read by hand: cosine, softmax, cut, mixture,
# - explain why a fixed threshold empties a large memory, and why a zero query can end a
#   training,
# - say what each path is trained to give back, and judge from numbers whether it does.
#
# **You need** notebooks 00, 02 and 03. **Time** 0.3 minutes of computing on two CPU
# cores in the quick profile, 50 minutes of reading. **Memory** 2.5 GB. **Download**
# nothing.
#
# **Words** [autoencoder](glossary.md#autoencoder), [dual path](glossary.md#dual-path),
# [slot](glossary.md#slot), [read](glossary.md#read), [skip
# connection](glossary.md#skip-connection).

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# As in notebook 00 a clip is a window of 48 x 48 pixels and 16 frames in which
# something moves. `hold_out` is what `fit` calls first: it puts whole training videos
# aside. On clips of these, which no model of this course was trained on, we look at the
# paths later. The boxes of people are for pasting objects: the synthetic scene brings
# its own, on Ped2 they are found by motion.

# %%
data = course.tutorial_data()
side, step = {"synthetic": (160, 48), "ped2": (240, 96)}[data]
if course.profile() == "full":
    step = 4
config = vad.ClipConfig(length=16, crop=(48, 48), shorter_side=side, clip_step=step)

# %% [markdown]
# The clips, and the numbers of the held-out ones:

# %%
videos = vad.load_videos(data, "train")
detector = {"synthetic": "boxes", "ped2": "motion"}[data]
clips = vad.ClipDataset(videos, config, vad.find_boxes(videos, detector))
training_clips, _ = course.hold_out(clips)
unseen = np.setdiff1d(np.arange(len(clips)), training_clips)
print(f"{len(clips)} clips, {len(unseen)} of them held out")

# %% [markdown]
# ## 1 Shapes through the network
#
# The encoder `E` turns a clip into a block of features: fewer frames, fewer places,
# more channels. A memory replaces the features at each place by a mixture of its slots.
# A decoder turns the block back into a clip. Both paths start from the *same* features.
#
# The figure is made by *forward hooks*: functions that are called with what a layer has
# just returned. So these are the real shapes, not those of a drawing. Under each box
# stand its channels and T x H x W, above each part the number of its parameters; boxes
# of one part follow each other from left to right. The last box but one of `fast` holds
# the pixels of 2 x 2 places as channels, and the decoder spreads them out.
#
# **Predict:** does the block in the middle of `fast` hold more numbers than the clip,
# or fewer?

# %%
clip = clips[0].tensor
torch.manual_seed(0)
model = vad.DualPathAutoencoder(vad.ModelConfig.preset("fast", channels=len(clip)))
course.show(
    course.plot_network(model, clip.shape),
    "The network fast: an encoder, then a memory and a decoder for each of two paths.",
)
print("shape of a clip (channels, T, H, W):", *clip.shape)

# %% [markdown]
# Fewer: 64 x 4 x 6 x 6 = 9,216 numbers. A grey clip has four times as many, a colour
# clip twelve times. A block of this size still leaves room to rebuild much of an
# anomaly. What is to limit the model is the memory: at each of the 4 x 6 x 6 places it
# may return only mixtures of its slots.
#
# The same for the paper's network (as in the first of the two releases of its code),
# with its clips of 256 x 256. The tensors behind this figure have a shape and no
# values, so nothing is computed. The dashed arrows are a *skip connection*: features
# that reach the decoders past the memory.
#
# **Predict:** what share of the parameters is in the two memories of 2000 slots: 8, 30
# or 60 of 100?

# %%
paper = vad.DualPathAutoencoder(vad.ModelConfig.preset("paper"))
course.show(
    course.plot_network(paper, (1, 16, 256, 256)),
    "The network of the paper: three stages down and up; "
    "a skip connection goes around each memory.",
)
print(f"{sum(p.numel() for p in paper.parameters()):,} parameters in all")

# %% [markdown]
# 8 of 100. The encoder holds 47 and the two decoders 45. Most of the encoder's are in
# its last stage: each convolution from 256 to 256 channels has 27 x 256 x 256 weights.
#
# > **Common mistake.** Counting on the memory to stop anomalies while a skip connection
# > goes around it. Whatever the decoder gets over the skip was never compared with a
# > slot; an anomaly can be rebuilt from it. The paper's network has one skip, one level
# > above the memory (128 channels, 4 x 64 x 64); `fast` has none.
#
# ## 2 A memory read by hand
#
# A memory of four slots with two values each, and one query. A read takes four steps:
#
# 1. *cosine*: how similar is the direction of the query to that of each slot? 1 is the
#    same direction, -1 the opposite one;
# 2. *softmax* of `sharpness` times the cosines: positive weights that sum to 1;
# 3. *cut*: weights below `shrink` times the largest become 0; the rest is divided by
#    its sum;
# 4. *mixture*: the sum of the slots, each times its weight.
#
# **Predict:** the slots are (1, -0.3), (0.4, 0.9), (-0.7, 0.7) and (-0.3, -0.8),
# `sharpness` is 2 and `shrink` 0.2. Which slots keep a weight, if the query is (1.1,
# 0.4)?

# %%
slots = torch.tensor([[1.0, -0.3], [0.4, 0.9], [-0.7, 0.7], [-0.3, -0.8]])
query = torch.tensor([1.1, 0.4])
cosine = slots @ query / (slots.norm(dim=1) * query.norm())
softmax = torch.softmax(2 * cosine, 0)
large = torch.where(softmax >= 0.2 * softmax.max(), softmax, 0)
weights = large / large.sum()

# %% [markdown]
# The four rows: cosine, softmax, the weights computed by hand, and what the model's own
# function `address` returns. It adds a small number to each squared norm, so the last
# digits may differ.

# %%
rows = {"cosine": cosine, "softmax": softmax, "by hand": weights}
rows["address"] = course.address(query, slots, 2.0, 0.2)
for name, values in rows.items():
    print(f"{name:8}", *(f"{value:7.3f}" for value in values.tolist()))
course.show(
    course.plot_addressing(slots, query, 2.0, 0.2),
    "Slots and query as arrows; only slots 0 and 1 keep a weight, "
    "and the read is between them.",
)

# %% [markdown]
# Slots 0 and 1 are left: slots 2 and 3 have positive weights before the cut, but less
# than a fifth of the largest. The read lies on the line between the tips of slots 0 and
# 1. Note that the *length* of the query has no influence: a cosine sees directions
# only.
#
# A sharper softmax comes nearer to picking one slot. `fast`, vadlib's own small
# network, uses `sharpness=10` and `shrink=0.05`.
#
# ## 3 How a memory becomes empty
#
# The published memory (after MemAE, the first autoencoder with a memory for anomalies)
# weighs by `softmax(query . slot)` and cuts all weights below 0.0025, a *fixed* number.
# With N slots that are all alike to the query, each weight is 1/N. For N = 2000 that is
# 0.0005: a weight must be five times as large as the average to be kept. If none is,
# the read is all zeros, and the decoder gets nothing.
#
# How often does that happen at initialisation? Slots are uniform in +-1/sqrt(C), with C
# = 256 values, as published. Queries are what batch norm and ReLU leave of random
# features: normal numbers, the negative ones set to 0.
#
# **Predict:** what share of the reads is empty at N = 2000? And at N = 50?

# %%
sizes = [50, 200, 500, 1000, 1500, 2000, 3000, 4000]
memories, queries = {}, {}
for n in sizes:
    memories[n] = (2 * torch.rand(n, 256) - 1) / 16
    queries[n] = torch.randn(1000, 256).relu()

# %% [markdown]
# The share of empty reads with the published rule and with ours:

# %%
published, ours = [], []
for n in sizes:
    largest = (queries[n] @ memories[n].T).softmax(1).amax(1)
    published.append((largest <= 0.0025).float().mean().item())
    sums = course.address(queries[n], memories[n], 10.0, 0.05).sum(1)
    ours.append((sums == 0).float().mean().item())

# %% [markdown]
# In the figure, "relative" is the cut of section 2: a share of the largest weight of
# the same query.

# %%
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(sizes, published, "o-", label="cut at 0.0025 (published)")
ax.plot(sizes, ours, "s--", label="relative cut (ours)")
ax.set(xlabel="slots N", ylabel="share of empty reads", ylim=(-0.05, 1.05))
ax.legend()
course.show(
    figure,
    f"Share of empty reads against N: {published[5]:.0%} at 2000 with the fixed cut, "
    f"{ours[5]:.0%} with ours.",
)

# %% [markdown]
# More than nine in ten reads are empty at N = 2000 with the fixed cut, and none at N =
# 50. The share depends on the queries: the paper's untrained encoder itself, fed with
# noise, gives 93%; normal numbers without the ReLU are longer queries and give between
# 10 and 20%. But the curve never falls, since the average weight falls with N and the
# cut does not. The relative cut never empties a read: the largest weight is always
# kept.
#
# The second trap is the norm. ReLU sets values to 0; where it sets all values of a
# place to 0, in flat or padded regions or where channels have died, the query is zero,
# and dividing it by its length fails. PyTorch's `normalize` divides by at least 1e-12,
# so its *value* is finite. Ours adds `EPSILON` = 1e-4 to the squared length.
#
# **Predict:** how large is the gradient of each at a zero query?

# %%
zero = torch.zeros(256, requires_grad=True)
plain = torch.nn.functional.normalize(zero, dim=0)
safe = zero * torch.rsqrt(zero.square().sum() + course.EPSILON)
for name, unit in {"normalize": plain, "with EPSILON": safe}.items():
    gradient = torch.autograd.grad(unit.sum(), zero)[0]
    print(f"{name:13} largest gradient {gradient.max().item():.0e}")

# %% [markdown]
# One such query among thousands, and the step goes astray or ends in NaN: 1e12 against
# 1e2.
#
# ## 4 What the two paths give back
#
# With the objective `inpaint`, `x` a normal clip and `x'` the pseudo-anomaly made of
# it, three errors are made small:
#
# | error | asks | trains |
# |---|---|---|
# | `(D_n M_n E x - x)^2` | the normal path to rebuild a normal clip | `E`, `M_n`, `D_n` |
# | `(D_n M_n E x' - x)^2` | the normal path to *restore* what was there before | `E`, `M_n`, `D_n` |
# | `(D_p M_p E x' - x')^2` | the pseudo path to rebuild the pseudo-anomaly | `M_p`, `D_p` only |
#
# We take the model that ships with `vadlib`: this network after six epochs on all
# clips, with p = 0.5, so that both paths have seen much.

# %%
run = vad.load_pretrained(data)
model = run.model

# %% [markdown]
# Now 40 held-out clips, and what each kind makes of them. Some cannot be made: nobody
# to paste onto, no frames to skip to.

# %%
last = len(unseen) - 1
normal = [clips[unseen[i * last // 39]] for i in range(40)]
samples = {"normal": dict(enumerate(normal))}

# %% [markdown]
# We give each clip a number, and make all four pseudo-anomalies of it.

# %%
for kind in [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]:
    samples[kind.name] = {}
    for i, original in enumerate(normal):
        pseudo = kind(original, torch.Generator().manual_seed(i))
        if pseudo is not None:
            samples[kind.name][i] = pseudo

# %% [markdown]
# Three mean squared errors for each kind: of `D_n` from what went in, of `D_n` from the
# normal clip, and of `D_p` from what went in.
#
# **Predict:** in which rows will the first column be larger than the second? (For
# normal clips the two are equal by definition.)

# %%
errors, mse = {}, torch.nn.functional.mse_loss
for name, group in samples.items():
    inputs = torch.stack([sample.tensor for sample in group.values()])
    originals = torch.stack([normal[i].tensor for i in group])
    outputs = [
        model(inputs, path).reconstruction.detach() for path in ("normal", "pseudo")
    ]
    errors[name] = [
        mse(outputs[0], inputs).item(),
        mse(outputs[0], originals).item(),
        mse(outputs[1], inputs).item(),
    ]

# %% [markdown]
# As a table:

# %%
print(f"{'kind':9}{'clips':5}{'D_n, input':>13}{'D_n, normal':>13}{'D_p, input':>13}")
for name, row in errors.items():
    print(f"{name:9}{len(samples[name]):5}", *(f"{error:12.4f}" for error in row))

# %% [markdown]
# In every row of a kind the second column is smaller than the first: what `D_n` gives
# back is nearer to the clip before it was changed than to what went in. So the normal
# path *restores*, as it was asked to. Noise is the clearest: from the noisy clip it
# gets hardly further from the normal one than from the normal clip itself.
#
# The row of normal clips shows how much of all these numbers is mere blur. And a
# smaller second column alone proves little: a path that returned nothing but a blurred
# background would have it too.
#
# The third column is the pseudo path's own task. Clips that play too fast `D_p` gives
# back clearly better than `D_n` does. Noise it cannot give back, since no slot and no
# decoder can know it beforehand, and of pasted pictures it manages little.
#
# Now as three pictures: the clip that its pasted object changes most, as it was, with
# the object, and shuffled; 8 of its 16 frames. Error maps compare with what went *in*,
# as scoring does, so a good normal path shows a *bright* map on the object.
#
# **Predict:** in the second figure, will the map of `D_n` or that of `D_p` be brighter
# on the object?

# %%
changes = {}
for i, pseudo in samples["object"].items():
    changes[i] = (pseudo.tensor - normal[i].tensor).square().mean().item()
number = max(changes, key=changes.get)
for name in ("normal", "object", "shuffle"):
    course.show(
        course.plot_path_reconstructions(model, samples[name][number].tensor),
        f"A clip ({name}) over time, below it D_n and D_p and their errors.",
    )

# %% [markdown]
# Neither: both are bright. `D_n` paints a shadow of the ground and of the person where
# the object was, as it should, and its map shows the whole object. `D_p` should give
# the object back, and does not: it has seen too many different pictures, each of them
# seldom.
#
# Plain yellow is 0.3 or more: two yellow patches need not be equal. What only *blurs*
# is bright in both maps and in all three figures; it says nothing about anomalies. The
# normal clip shows how much of the error is such blur. The shuffled one has the same
# frames, so what is brighter there comes from their order.
#
# ## 5 Switches for ablations
#
# Does the model need two memories, two decoders, a skip? An *ablation* leaves out one
# part and measures again. `ModelConfig` has a switch for each. With one memory or one
# decoder, the pseudo path uses that of the normal path; with `memories=0` the features
# pass as they are.
#
# **Predict:** which *single* switch saves the most parameters?

# %%
variants = [{}, {"memories": 1}, {"memories": 0}, {"decoders": 1}]
variants += [{"memories": 0, "decoders": 1}, {"skip": True}]
for switches in variants:
    settings = vad.ModelConfig.preset("fast", channels=len(clip), **switches)
    parameters = vad.DualPathAutoencoder(settings).parameters()
    print(f"{sum(p.numel() for p in parameters):>9,}", switches or "fast as it is")

# %% [markdown]
# The second decoder. A skip *adds* parameters: the decoders' convolution at its level
# gets twice as many input channels.
#
# Parameters are not all that counts. With `inpaint` the pseudo path trains nothing that
# `D_n`'s error depends on: its gradient stops before `E`. (One indirect influence is
# left: if the gradient of *all* parameters together is longer than `max_gradient`, it
# is shortened, so a long gradient of `D_p` makes the step of the others smaller.) But
# vadlib's score compares the two errors, so there `D_p` counts. With the paper's
# `maximize`, which drives `D_p` to fail, there is nothing to compare; then it matters
# only by way of `E`.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 05-1.** From how many slots N on *can* a read be empty at all with the cut
# at 0.0025, if weights of 0.0025 are cut too? Think of the largest weight, and how
# small it can be.

# %% tags=["exercise"]
answer = 400
course.check_answer("05-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 05-1.** N weights that sum to 1 have a largest one of at least 1/N. A read is
# empty only if 1/N <= 0.0025.

# %% [markdown]
# **Exercise 05-2.** How many parameters would the paper's network have with 500 slots
# in each memory and all else the same? Work it out from the figure of section 1,
# without building the network.

# %% tags=["exercise"]
answer = 12_394_722 - 2 * 1500 * 256
course.check_answer("05-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 05-2.** Each of the two memories loses 1500 slots of 256 values.
# `vad.ModelConfig.preset("paper", slots=500)` builds it.

# %% [markdown]
# ## Summary
#
# - Both paths start from the same features; each has a memory and a decoder. Scores are
#   made of the error of `D_n`, and of how it compares with that of `D_p`, where `D_p`
#   has learned something.
# - A read: cosine, softmax, cut, mixture. What passes over a skip is never read.
# - A fixed cut empties large memories at initialisation; a cut relative to the largest
#   weight cannot.
# - A norm that is safe in its value may still have a gradient of 1e12.
# - That the normal path restores, and that the memory stops anomalies, are aims.
#   Measure them.
#
# ## References
#
# - D. Gong, L. Liu, V. Le, B. Saha, M. R. Mansour, S. Venkatesh, A. van den Hengel:
#   *Memorizing Normality to Detect Anomaly: Memory-augmented Deep Autoencoder for
#   Unsupervised Anomaly Detection*, ICCV 2019,
#   [doi:10.1109/ICCV.2019.00179](https://doi.org/10.1109/ICCV.2019.00179)
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
