# %% [markdown]
# # The dual-path model
#
# One encoder, two memories, two decoders: this notebook takes the model apart. You
# follow the shapes of a clip through it, read a memory by hand, see how a memory read
# can be empty, and look at what the two paths make of normal and of pseudo-anomalous
# clips.
#
# **After it you can**
#
# - say what goes in and out of `E`, `M_n`, `D_n`, `M_p` and `D_p`, and which parts have
#   most parameters,
# - compute a memory read by hand: cosine, softmax, shrinkage, mixture,
# - explain why a fixed shrinkage threshold zeroes the reads of a large memory, and how
#   an all-zero query can make training diverge,
# - say what each path is trained to reconstruct, and judge from numbers whether it
#   does.
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
# As in notebook 00, a clip is a window of 48 x 48 pixels and 16 frames in which
# something moves. Pasting objects needs boxes of people. The rendered street has its
# own; on Ped2 we detect them by motion.

# %%
data = course.tutorial_data()
side, step = {"synthetic": (160, 48), "ped2": (240, 96)}[data]
if course.profile() == "full":
    step = 4
config = vad.ClipConfig(length=16, crop=(48, 48), shorter_side=side, clip_step=step)

# %% [markdown]
# `hold_out` is the first step of `fit`: it sets whole training videos aside. No model
# of this course was trained on their clips, so we use them later to compare the paths.

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
# The figure comes from *forward hooks*, functions that are called with the output of a
# layer. So these are the real shapes, not those of a drawing. Below each box are its
# channels and T x H x W, and above each part is the number of its parameters. The boxes
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
# clip twelve times. A block of this size still has room to reconstruct much of an
# anomaly. The memory should limit the model: at each of the 4 x 6 x 6 places it returns
# only mixtures of its slots.
#
# Here is the paper's network (as in the first of the two releases of its code), with
# its clips of 256 x 256. The tensors behind this figure have a shape but no values, so
# nothing is computed. The dashed arrows are a *skip connection*: features that reach
# the decoders without passing the memory.
#
# **Predict:** which share of the parameters is in the two memories of 2000 slots: 8%,
# 30% or 60%?

# %%
paper = vad.DualPathAutoencoder(vad.ModelConfig.preset("paper"))
course.show(
    course.plot_network(paper, (1, 16, 256, 256)),
    "The network of the paper: three stages down and up; "
    "a skip connection goes around each memory.",
)
print(f"{sum(p.numel() for p in paper.parameters()):,} parameters in all")

# %% [markdown]
# 8%. The encoder has 47% and the two decoders 45%. Most parameters of the encoder are
# in its last stage: each convolution from 256 to 256 channels has 27 x 256 x 256
# weights.
#
# > **Common mistake.** Relying on the memory to stop anomalies although a skip
# > connection goes around it. Features on the skip connection were never compared with
# > a slot, so the decoder can reconstruct an anomaly from them. The paper's network has
# > one skip connection, one level above the memory (128 channels, 4 x 64 x 64). `fast`
# > has none.
#
# ## 2 A memory read by hand
#
# Take a memory of four slots with two values each, and one query. A read has four
# steps:
#
# 1. *Cosine*: how similar is the direction of the query to that of each slot? 1 is the
#    same direction, -1 the opposite one.
# 2. *Softmax* of `sharpness` times the cosines: positive weights that sum to 1.
# 3. *Shrinkage*: weights below `shrink` times the largest become 0, and the rest is
#    divided by its sum.
# 4. *Mixture*: the sum of the slots, each multiplied by its weight.
#
# **Predict:** the slots are (1, -0.3), (0.4, 0.9), (-0.7, 0.7) and (-0.3, -0.8),
# `sharpness` is 2 and `shrink` is 0.2. Which slots keep a weight if the query is (1.1,
# 0.4)?

# %%
slots = torch.tensor([[1.0, -0.3], [0.4, 0.9], [-0.7, 0.7], [-0.3, -0.8]])
query = torch.tensor([1.1, 0.4])
cosine = slots @ query / (slots.norm(dim=1) * query.norm())
softmax = torch.softmax(2 * cosine, 0)
large = torch.where(softmax >= 0.2 * softmax.max(), softmax, 0)
weights = large / large.sum()

# %% [markdown]
# The four rows are the cosine, the softmax, the weights computed by hand, and the
# result of the model's own function `address`. It adds a small number to each squared
# norm, so the last digits may differ.

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
# Slots 0 and 1 keep a weight. Slots 2 and 3 have positive weights after the softmax,
# but less than a fifth of the largest. The read is on the line between the tips of
# slots 0 and 1. The *length* of the query has no influence, because a cosine only
# depends on directions.
#
# A sharper softmax is closer to selecting one slot. `fast`, vadlib's own small network,
# uses `sharpness=10` and `shrink=0.05`.
#
# ## 3 How a memory read becomes empty
#
# The published memory (after MemAE, the first autoencoder with a memory for anomaly
# detection) computes its weights as `softmax(query . slot)` and sets all weights below
# 0.0025, a *fixed* threshold, to zero. If N slots are equally similar to the query,
# each weight is 1/N. For N = 2000 that is 0.0005, so a weight must be five times the
# average to stay. If none is, the read is all zeros, and the decoder gets nothing.
#
# How often does that happen at initialisation? As published, the slots are uniform in
# +-1/sqrt(C), with C = 256 values. The queries are random features after batch norm and
# ReLU: normally distributed numbers, with the negative ones set to 0.
#
# **Predict:** which share of the reads is empty at N = 2000? And at N = 50?

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
# In the figure, "relative" is the shrinkage of section 2: a share of the largest weight
# of the same query.

# %%
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(sizes, published, "o-", label="threshold 0.0025 (published)")
ax.plot(sizes, ours, "s--", label="relative threshold (ours)")
ax.set(xlabel="slots N", ylabel="share of empty reads", ylim=(-0.05, 1.05))
ax.legend()
course.show(
    figure,
    f"Share of empty reads against N: {published[5]:.0%} at 2000 "
    f"with the fixed threshold, {ours[5]:.0%} with ours.",
)

# %% [markdown]
# With the fixed threshold more than nine in ten reads are empty at N = 2000, and none
# at N = 50. The share depends on the queries. The paper's untrained encoder gives 93%
# if its input is noise. Normally distributed numbers without the ReLU are longer
# queries and give between 10% and 20%. But the curve never falls, because the average
# weight falls with N and the threshold does not. A relative threshold never empties a
# read, because the largest weight always stays.
#
# The second trap is the norm. ReLU sets values to 0. In flat or padded regions, or
# where channels have died, all values of a place can be 0. Then the query is zero, and
# dividing it by its length fails. PyTorch's `normalize` divides by at least 1e-12, so
# its *value* is finite. Our code adds `EPSILON` = 1e-4 to the squared length.
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
# A single such query among thousands is enough to derail the update or to produce NaNs:
# its gradient is 1e12 instead of 1e2.
#
# ## 4 What the two paths reconstruct
#
# The objective `inpaint` minimises three errors. `x` is a normal clip, and `x'` is a
# pseudo-anomaly made from it.
#
# | error | the task | trains |
# |---|---|---|
# | `(D_n M_n E x - x)^2` | the normal path reconstructs a normal clip | `E`, `M_n`, `D_n` |
# | `(D_n M_n E x' - x)^2` | the normal path *restores* the clip before the corruption | `E`, `M_n`, `D_n` |
# | `(D_p M_p E x' - x')^2` | the pseudo path reconstructs the pseudo-anomaly | `M_p`, `D_p` only |
#
# We use the model that ships with `vadlib`: this network after six epochs on all clips.
# Its p was 0.5, so both paths have seen many clips.

# %%
run = vad.load_pretrained(data)
model = run.model

# %% [markdown]
# We take 40 held-out clips.

# %%
last = len(unseen) - 1
normal = [clips[unseen[i * last // 39]] for i in range(40)]
samples = {"normal": dict(enumerate(normal))}

# %% [markdown]
# Each kind corrupts each of them, if it can. It cannot if there is nobody to paste
# onto, or no later frames for skipping.

# %%
for kind in [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]:
    samples[kind.name] = {}
    for i, original in enumerate(normal):
        pseudo = kind(original, torch.Generator().manual_seed(i))
        if pseudo is not None:
            samples[kind.name][i] = pseudo

# %% [markdown]
# Now three mean squared errors for each kind: output of `D_n` against its input, output
# of `D_n` against the normal clip, and output of `D_p` against its input.
#
# **Predict:** in which rows will the first column be larger than the second? (For
# normal clips the two are equal by definition.)

# %%
errors, mse = {}, torch.nn.functional.mse_loss
for name, group in samples.items():
    inputs = torch.stack([sample.tensor for sample in group.values()])
    originals = torch.stack([normal[i].tensor for i in group])
    d_n, d_p = [model(inputs, p).reconstruction.detach() for p in ("normal", "pseudo")]
    errors[name] = [mse(d_n, inputs), mse(d_n, originals), mse(d_p, inputs)]

# %% [markdown]
# As a table:

# %%
print(f"{'kind':9}{'clips':5}{'D_n, input':>13}{'D_n, normal':>13}{'D_p, input':>13}")
for name, row in errors.items():
    print(f"{name:9}{len(samples[name]):5}", *(f"{error:12.4f}" for error in row))

# %% [markdown]
# In every row except the first, the second column is smaller than the first: the output
# of `D_n` is closer to the clip before the corruption than to its input. So the normal
# path *restores*, as intended. Noise shows it best: the error of the output for a noisy
# clip, measured against the normal clip, is hardly larger than that for the normal clip
# itself.
#
# The row of normal clips shows how much of all these numbers is mere blur. A smaller
# second column alone proves little: a path that returned nothing but a blurred
# background would have it too.
#
# The third column is the pseudo path's own task. `D_p` reconstructs clips that play too
# fast clearly better than `D_n` does. It cannot reconstruct noise, because no slot and
# no decoder can know it in advance, and it reconstructs little of the pasted pictures.
#
# Now three figures: the clip that its pasted object changes most, once unchanged, once
# with the object, and once shuffled. They show 8 of the 16 frames. The error maps
# compare with the *input*, as scoring does, so a good normal path has a *bright* map on
# the object.
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
# Neither: both are bright. `D_n` paints a shadow of the ground and of the person in
# place of the object, as it should, and its map shows the whole object. `D_p` should
# reconstruct the object, but does not. It has seen too many different pictures, and
# each of them rarely.
#
# Plain yellow is 0.3 or more, so two yellow patches may differ. *Blur* is bright in
# both maps and in all three figures. It says nothing about anomalies. The normal clip
# shows how much of the error is blur. The shuffled clip has the same frames, so
# whatever is brighter there comes from their order.
#
# ## 5 Switches for ablations
#
# Does the model need two memories, two decoders, a skip connection? An *ablation*
# removes one part and measures again. `ModelConfig` has a switch for each. With one
# memory or one decoder, the pseudo path uses that of the normal path. With `memories=0`
# the features pass unchanged.
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
# Removing the second decoder. A skip connection *adds* parameters: the decoders'
# convolution at its level gets twice as many input channels.
#
# Parameters are not the only difference. With `inpaint` the error of `D_n` does not
# depend on what the pseudo path learns, because its gradient stops before `E`. (One
# indirect influence remains: if the gradient of *all* parameters together is longer
# than `max_gradient`, it is shortened, so a long gradient of `D_p` makes the step of
# the others smaller.) But vadlib's score compares the two errors, so `D_p` matters
# there. With the paper's `maximize`, `D_p` learns to fail, so there is nothing to
# compare. Then it matters only through `E`.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 05-1.** What is the smallest number of slots N for which a read *can* be
# empty with the threshold 0.0025, if weights of exactly 0.0025 become zero too? Think
# of the largest weight, and how small it can be.

# %% tags=["exercise"]
answer = 400
course.check_answer("05-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 05-1.** The largest of N weights that sum to 1 is at least 1/N. A read is
# empty only if 1/N <= 0.0025.

# %% [markdown]
# **Exercise 05-2.** How many parameters would the paper's network have with 500 slots
# in each memory and everything else unchanged? Use the figure of section 1. Do not
# build the network.

# %% tags=["exercise"]
answer = 12_394_722 - 2 * 1500 * 256
course.check_answer("05-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 05-2.** Each of the two memories loses 1500 slots of 256 values.
# `vad.ModelConfig.preset("paper", slots=500)` is its configuration.

# %% [markdown]
# ## Summary
#
# - Both paths start from the same features. Each has a memory and a decoder. Scores are
#   made of the error of `D_n` and, if `D_p` has learned something, of its ratio to the
#   error of `D_p`.
# - A read consists of cosine, softmax, shrinkage and mixture. Features on a skip
#   connection are never read.
# - A fixed threshold empties large memories at initialisation. A threshold relative to
#   the largest weight cannot.
# - A norm with a safe value may still have a gradient of 1e12.
# - The normal path should restore, and the memory should stop anomalies. These are
#   aims, so measure them.
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
