# %% [markdown]
# # Training: terms, curves, interruptions
#
# Notebook 00 trained a model in one line. Here we look inside that call: which terms
# make up the loss, what its curves tell and what they do not, on which hardware it
# runs, and what happens if you kill its process.
#
# **After it you can**
#
# - name each term of the objective, the clips it uses and the parameters it trains,
# - read loss curves, and say why a lower loss is not a better detector,
# - compare `inpaint`, `maximize` and `none` on held-out clips,
# - resume an interrupted run, and prove that it ends with the same weights.
#
# **You need** notebooks 00, 04 and 05: the probability `p`, the parts `E`, `M_n`,
# `D_n`, `M_p`, `D_p` of the model, and what a read is. **Time** 1.1 minutes of
# computing on two CPU cores in the quick profile, 60 minutes of reading. **Memory** 2
# GB. **Download** nothing.
#
# **Words** [objective](glossary.md#objective), [epoch](glossary.md#epoch),
# [checkpoint](glossary.md#checkpoint), [held-out videos](glossary.md#held-out-videos).

# %%
import torch
import vadlib as vad
from vadlib import course

# %% [markdown]
# The quick profile uses few clips, from frames shrunk to 160 rows, so that a training
# run takes some seconds. That is enough to see how curves behave, but far too little
# for a good detector. The network is that of the preset `short`, half as wide as
# `fast`.
#
# `hold_out` is the first step of `fit`: it sets whole training videos aside. The
# network never trains on their clips. We compare models on these clips, and so need no
# test labels.

# %%
data, quick = course.tutorial_data(), course.profile() == "quick"
size = {"clip_step": 256, "shorter_side": 160} if quick else {"clip_step": 4}
clip_config = vad.ClipConfig(length=16, crop=(48, 48), **size)
train = vad.load_videos(data, "train")
clips = vad.ClipDataset(train, clip_config, vad.find_boxes(train))
training_clips, _ = course.hold_out(clips)

# %% [markdown]
# ## 1 The loss, term by term
#
# `x` is a normal clip, and `x'` the pseudo-anomaly made from it. `sg` (stop gradient)
# means that a value is used, but nothing is learned through it. Squares are means over
# pixels.
#
# | term | formula | clips | trains |
# |---|---|---|---|
# | rebuild | `(D_n M_n E x - x)^2` | normal clips | `E`, `M_n`, `D_n` |
# | inpaint | `(D_n M_n E x' - x)^2` | pseudo-anomalies | `E`, `M_n`, `D_n` |
# | pseudo, with inpaint | `(D_p M_p sg(E x') - x')^2` | pseudo-anomalies | `M_p`, `D_p` |
# | maximize (the paper, bounded) | `max(0, m - (D_p M_p E x' - x')^2)` | pseudo-anomalies | `E`, `M_p`, `D_p` |
# | sparsity | entropy of the weights of each read | both | `E`, the memories |
# | separation | minus the distance of the two paths' mean features | batches with both | `E`, memories, decoders |
#
# The entropy is 0 if one slot has all the weight, and ln 256 = 5.5 if all 256 slots
# have the same weight. Separation compares the mean memory reads and the mean last
# decoder features of normal clips with those of pseudo-anomalies.
#
# Three *objectives* combine these terms. Their names say what they add. `none` only
# reconstructs normal clips, with sparsity. `inpaint` adds its two terms. `maximize`
# adds its one term. In the paper the maximised error has no bound, so the loss can fall
# without end. Here it counts only up to the margin `m`. With `inpaint`, sparsity and
# separation do not reach `E` through the pseudo path, because of `sg`.
#
# A batch as `fit` would draw it, but larger:

# %%
kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]
mixer = vad.PseudoAnomalyMixer(kinds, p=0.2)
samples = course.Samples(clips, training_clips, mixer, seed=0)
first_batch = samples.batches(0, 32)[:1]
batch = next(course.load_batches(samples, first_batch, workers=0, pin=False))
print(
    f"{len(clips)} clips, {len(training_clips)} to train on; {batch.is_pseudo.sum()} "
    f"of the {len(batch.outcomes)} in this batch became pseudo-anomalies"
)

# %% [markdown]
# Next we need an untrained model.

# %%
model_config = vad.ModelConfig.preset("short", channels=len(clips[0].tensor))
torch.manual_seed(0)
untrained = vad.DualPathAutoencoder(model_config)
tensors = (batch.normal, batch.inputs, batch.is_pseudo)

# %% [markdown]
# Here are the terms before any training, and the number of clips in each mean.
#
# **Predict:** the margin `m` is 0.5. Pixels are in [-1, 1], and an untrained decoder
# paints nearly uniform grey, 0. How large will `maximize` be: 0.5, less than that, or
# 0? (The mean square of the pixels is about 0.11 here.)

# %%
for objective in ("none", "inpaint", "maximize"):
    print(objective)
    terms = course.objective_terms(untrained, *tensors, objective)
    for term, (value, count) in terms.items():
        print(f"    {term:10} {value.item():.4f} ({count:.0f} clips)")

# %% [markdown]
# A decoder that paints grey has the error of the other terms, the mean square of the
# pixels. `maximize` is the difference from that error to the margin. So the pseudo path
# has to become *worse* than uniform grey. Is that hard to learn? Keep the question for
# section 3.
#
# `none` uses no pseudo-anomaly: `rebuild` is the mean over the normal versions of all
# 32 clips. Why can sparsity count more clips than the batch has? It uses every read,
# and with `inpaint` a pseudo-anomaly is read twice, by `M_n` and by `M_p`.
#
# The loss is the sum of the terms, each times its weight. The weight of the errors is
# 1. The weights of sparsity and separation are 0 unless you set `sparsity_weight` and
# `separation_weight`. Training does not compute a term of weight 0.
#
# ## 2 Curves
#
# We train for three short epochs with the objective `inpaint`. An incomplete last batch
# is left out.

# %%
torch.manual_seed(0)
model = vad.DualPathAutoencoder(model_config)
config = vad.TrainConfig(epochs=3, seed=0)
folder = course.run_folder(f"06_training-inpaint-{data}")
run = vad.fit(model, clips, mixer, config, folder, resume=True, dataset=data)

# %% [markdown]
# Each point is the mean over an epoch *while* the weights change. So the first point is
# worse than the model was at the end of the epoch.
#
# **Predict:** `rebuild` and `inpaint` give `D_n` different inputs, but the same target
# `x`. `pseudo` has the target `x'`, including patches and noise. Which of the three
# ends lowest, and which ends highest?

# %%
history = course.read_history(run)
columns = ["rebuild", "inpaint", "pseudo"]
course.show(
    course.plot_history({"inpaint": history}, columns, same_scale=True),
    f"Three errors by epoch; rebuild ends at {history['rebuild'][-1]:.3f}.",
)

# %% [markdown]
# `pseudo` is highest: noise cannot be reconstructed, and a foreign patch only by a
# decoder that has seen similar ones. But blur is part of all three errors, and after so
# few clips it is most of each. Which of the first two is lower says nothing here.
#
# The first epochs gain more than the last. There are two reasons: less is left to
# learn, and the learning rate falls to zero along a cosine. So a curve that is flat at
# its end does not prove that longer training would be useless. A *new* run with more
# epochs, and so a slower fall of the learning rate, would tell.
#
# ## 3 `p` and the objective at work
#
# Seconds of training do not show which objective is best. So three *full* runs ship
# with `vadlib`, with their curves and their errors on held-out clips. All were trained
# on the rendered street for six epochs, with the same initial weights and the same
# clips in the same order. Only the objective differs, and `p`, which is 0 for `none`
# and 0.5 for the others. `benchmarks/objectives.py` trained them.

# %%
histories, errors = course.read_objectives()
for objective, history in histories.items():
    changed = sum(history[key][0] for key in history if key.startswith("made"))
    failed = sum(history[key][0] for key in history if key.startswith("not_made"))
    print(
        f"{objective}: in the first epoch {changed:.0f} clips became pseudo-anomalies"
    )
    print(f"    and {failed:.0f} could not")

# %% [markdown]
# Some clips could not become pseudo-anomalies, because there was nobody to paste onto
# or no later frame for skipping. `inpaint` and `maximize` changed exactly the same
# number of clips: the random draws depend on the seed, the epoch and the clip, not on
# the objective.
#
# **Predict:** which of the three has the lowest `rebuild` at the end?

# %%
axes = course.plot_history(histories, ["rebuild", "inpaint", "maximize"])
course.show(axes, "Three terms by epoch, of three full runs with different objectives.")

# %% [markdown]
# - **rebuild.** `none` wins: it has twice as many normal clips and no other task.
# - **inpaint** stays higher. Its task is harder: the model must guess from the
#   surroundings what a patch covers.
# - **maximize** is zero from the second epoch on. Being wrong is easy, and once the
#   error of `D_p` has passed the margin the term has no gradient. From then on
#   `maximize` trains like `none` with half of the clips.
#
# With `maximize`, `D_p` takes no part in scoring. What the pseudo path learns matters
# only through the change in `E`. (With `inpaint` it has learned to reconstruct
# pseudo-anomalies, and vadlib's score compares `D_n` with it: notebook 07.)
#
# What matters for detection is the error of `D_n` on clips that it has not seen, normal
# and changed. As in scoring, the error compares the reconstruction with the input,
# including the pasted object.
#
# **Predict:** a good detector has a small error on normal clips and a large one on the
# others. For which kind is the ratio largest? For which objective?

# %%
for objective, by_kind in errors.items():
    print(objective)
    for kind, error in by_kind.items():
        print(f"    {kind:8} {error.mean() / by_kind['normal'].mean():.2f}")
course.show(
    course.plot_clip_errors(errors),
    "Errors of D_n on held-out clips, normal and changed, of three full runs.",
)

# %% [markdown]
# The marker is the median, and the bar covers the middle half of the clips. The numbers
# are mean errors divided by that of normal clips: 1 means that `D_n` does not notice
# the kind at all.
#
# `none` reconstructs normal clips best, and yet `inpaint` is the better detector of
# pasted objects and skipped frames. Their errors are about five and four times that of
# normal clips, and with the other objectives hardly three times. `D_n` has learned to
# paint what *should* be there, so the pasted object is missing from its reconstruction.
# There is a price: noise and shuffled motion stand out a little more with `none`,
# because its error on normal clips is smaller. `maximize` gains nothing over `none`
# here, as its curve suggested.
#
# Is this comparison fair? The held-out clips were changed in the same ways that
# `inpaint` has practised, which favours it. Notebook 10 asks whether it also detects
# *real* anomalies. And these are single runs: another seed changes the ratios.
#
# > **Common mistake.** Reading a lower loss as a better detector. A network that copies
# > its input has a `rebuild` of zero, on anomalies too, and detects nothing. The
# > difference between normal and abnormal counts. A second mistake follows from it:
# > choosing the epoch or the objective by the AUC on *test* videos. Then the labels
# > have taken part in training, and the AUC is too good. Held-out normal videos with
# > pseudo-anomalies, as here, need no labels.
#
# ## 4 Devices and memory
#
# `TrainConfig(device="auto", precision="auto")` uses a GPU if there is one. It uses
# bf16 (16 bits: the range of float32, but only 2 to 3 decimal digits) if the hardware
# multiplies it natively. Weights, sums and errors stay in float32.
#
# How large may a batch be? The backward pass needs the output of each layer of the
# forward pass, for each clip. So memory grows with the batch.

# %%
device = course.pick_device("auto")
print("device:", device)
print("precision:", course.pick_precision("auto", device) or torch.float32)

# %% [markdown]
# A batch that fits is not always better: with the same number of epochs, larger batches
# mean fewer steps. If the batch does not fit, `fit` stops and says so.
#
# What a GPU changes:
#
# | topic | on a CPU | on a CUDA GPU |
# |---|---|---|
# | precision `auto` | bf16 on CPUs with AVX512-BF16 or AMX, else float32 | bf16 autocast if native, else float32 |
# | memory for batches | pageable | pinned, copied while the GPU computes |
# | reader processes, `workers=None` | none: reading would take cores from computing | up to 4 |
# | `TrainConfig(compile=True)` | a minute at the beginning, and slower steps | a minute at the beginning; measure the steps |
# | profile of the notebooks | quick | full |
#
# The code was written for the GPU column, but the automatic tests of this course run on
# CPUs. So measure it yourself.
#
# Several processes, for example on two GPUs, share each batch. The loss is that of the
# whole batch, so the result is the same except for rounding. (`compact` and `paper`,
# the presets after the two releases of the paper's code, are an exception: their batch
# norm sees the share of each process.)
#
# ```
# torchrun --standalone --nproc-per-node 2 -m vadlib train --data ped2 --out runs/two
# ```
#
# ## 5 Pull the plug
#
# `fit` writes a checkpoint, `state.pt`, at the end of each epoch and once a minute. It
# holds the weights, the state of Adam, the step, and the sums of the epoch so far. We
# now start the run of section 2 again, in a separate process: `--config` takes that
# run's `config.json`, which names its dataset and holds all its settings. One second
# after the first checkpoint we kill it.
#
# `course.kill_after` starts Python, waits for a file, and then kills the process.
#
# **Predict:** will the resumed run end with the same weights as the undisturbed one,
# with similar ones, or with others?

# %%
copy = course.run_folder(f"06_training-killed-{data}", fresh=True)
command = ["-m", "vadlib", "train", "--config", folder / "config.json", "--out", copy]
status = course.kill_after(command, copy / "state.pt", seconds=1)
print("exit status:", status)
print("files:", *sorted(path.name for path in copy.iterdir()))
print("steps in the checkpoint:", torch.load(copy / "state.pt")["step"])

# %% [markdown]
# There is a checkpoint but no `model.safetensors`, so the run is not finished. A killed
# process saves nothing: the steps since the checkpoint must be repeated. `resume=True`
# continues, and the progress bar does not start at zero.

# %%
model = vad.DualPathAutoencoder(model_config)
vad.fit(model, clips, mixer, config, copy, resume=True, dataset=data)
undisturbed = (folder / "model.safetensors").read_bytes()
resumed = (copy / "model.safetensors").read_bytes()
print("same weights as the undisturbed run:", resumed == undisturbed)

# %% [markdown]
# Not similar: the same. That works because no random number depends on earlier draws.
# The window of a clip, its corruption and the order of an epoch are derived from (seed,
# epoch, position). If you see `False`, the two runs did not compute identically. Sums
# in another order round differently, and another number of threads, another machine or
# a GPU adds in another order. A run of section 2 that was loaded from an earlier day
# may differ for the same reason. Then train it again, with `course.run_folder(...,
# fresh=True)`.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 06-1.** With the objective `maximize` and p = 1, every clip of a batch may
# become a pseudo-anomaly. Which parts of the model learn from the errors of such a
# batch, as long as the margin is not reached? (Ignore sparsity and separation.) Answer
# with a set of names from `encoder`, `normal_memory`, `pseudo_memory`,
# `normal_decoder`, `pseudo_decoder`.

# %% tags=["exercise"]
answer = {"encoder", "pseudo_memory", "pseudo_decoder"}
course.check_answer("06-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 06-1.** Neither `M_n` nor `D_n`, whose error is the score. So with `maximize`
# pseudo-anomalies change a score only through the encoder.

# %% [markdown]
# **Exercise 06-2.** An epoch has 46 steps. You kill a run on a fast machine half a
# minute after its start, when 137 steps are done. After how many steps does it
# continue?

# %% tags=["exercise"]
answer = 2 * 46
course.check_answer("06-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 06-2.** The last checkpoint was written at the end of the second epoch,
# because a minute had not passed yet.

# %% [markdown]
# ## Summary
#
# - Each term has its own clips and trains its own parts. Scores are made of the error
#   of `D_n`, and with `inpaint` also of its ratio to that of `D_p`.
# - `maximize` has an effect only below its margin, and on scores only through `E`.
# - A curve shows that training works, not that the detector does. Compare errors on
#   held-out clips, normal and changed.
# - A killed run continues from its checkpoint and ends with the same bytes.
#
# ## References
#
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
# - D. Gong and others: *Memorizing Normality to Detect Anomaly: Memory-augmented Deep
#   Autoencoder for Unsupervised Anomaly Detection*, ICCV 2019,
#   [doi:10.1109/ICCV.2019.00179](https://doi.org/10.1109/ICCV.2019.00179): the memory
#   and its sparsity
# - M. Astrid, M. Z. Zaheer, J.-Y. Lee, S.-I. Lee: *Learning Not to Reconstruct
#   Anomalies*, BMVC 2021: pseudo-anomalies whose normal original is the target, as in
#   `inpaint`
