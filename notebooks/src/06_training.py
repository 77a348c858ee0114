# %% [markdown]
# # Training: terms, curves, interruptions
#
# Notebook 00 trained a model in one line. Here you open that line: what is added up to
# the loss, what its curves tell and what they do not, on which hardware it runs, and
# what happens when its process is killed in the middle.
#
# **After it you can**
#
# - name each term of the objective, the clips it is made of and the parameters it
#   trains,
# - read loss curves, and say why a lower loss is not a better detector,
# - compare `inpaint`, `maximize` and `none` on clips that were held out,
# - resume an interrupted training, and prove that it ends with the same weights.
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
# The quick profile takes few clips, of frames shrunk to 160 rows, so that a training
# run lasts some seconds. That is enough to see how curves behave, and far too little
# for a good detector. The network is that of the preset `short`, half as wide as
# `fast`.
#
# `hold_out` is what `fit` calls first: it sets whole training videos aside. The network
# never trains on their clips. We will compare models on these, and so need no test
# labels.

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
# `x` is a normal clip, `x'` the pseudo-anomaly made of it. `sg` (stop gradient) means:
# this value is used, but nothing is learned through it. Squares are means over pixels.
#
# | term | formula | made of | trains |
# |---|---|---|---|
# | rebuild | `(D_n M_n E x - x)^2` | normal clips | `E`, `M_n`, `D_n` |
# | inpaint | `(D_n M_n E x' - x)^2` | pseudo-anomalies | `E`, `M_n`, `D_n` |
# | pseudo, with inpaint | `(D_p M_p sg(E x') - x')^2` | pseudo-anomalies | `M_p`, `D_p` |
# | maximize (the paper, bounded) | `max(0, m - (D_p M_p E x' - x')^2)` | pseudo-anomalies | `E`, `M_p`, `D_p` |
# | sparsity | entropy of the weights of each read | both | `E`, the memories |
# | separation | minus the distance of the two paths' mean features | batches that hold both | `E`, memories, decoders |
#
# The entropy is 0 if one slot has all the weight, and ln 256 = 5.5 if all 256 slots
# have the same. Separation compares the means of what the memories return and of the
# decoders' last features; "both" are normal clips and pseudo-anomalies.
#
# Three *objectives* choose among these terms. They are named after what they add:
# `none` only rebuilds, with sparsity; `inpaint` adds its two terms; `maximize` adds its
# one. In the paper the maximised error has no bound, so the loss can fall without end;
# here it counts only up to the margin `m`. With `inpaint`, sparsity and separation do
# not reach `E` by way of the pseudo path, which is behind `sg`.
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
# And its terms, before any training. Each term is a mean over its own clips.
#
# **Predict:** the margin `m` is 0.5. Pixels lie in [-1, 1], and an untrained decoder
# paints nearly plain grey, 0. How large will `maximize` be: 0.5, less than that, or 0?
# (The mean square of the pixels is about 0.11 here.)

# %%
model_config = vad.ModelConfig.preset("short", channels=len(clips[0].tensor))
torch.manual_seed(0)
untrained = vad.DualPathAutoencoder(model_config)
tensors = (batch.normal, batch.inputs, batch.is_pseudo)

# %% [markdown]
# The terms of each objective, and the number of clips in each mean:

# %%
for objective in ("none", "inpaint", "maximize"):
    print(objective)
    terms = course.objective_terms(untrained, *tensors, objective)
    for term, (value, count) in terms.items():
        print(f"    {term:10} {value.item():.4f} ({count:.0f} clips)")

# %% [markdown]
# A decoder that paints grey has the error that the other terms show, the mean square of
# the pixels; `maximize` is what is missing to the margin. So the pseudo path has to
# become *worse* than plain grey. Is that hard to learn? Keep the question for section
# 3.
#
# With `none` no pseudo-anomaly is used: `rebuild` is the mean over the normal versions
# of all 32 clips. Why can sparsity count more clips than the batch has? It is taken of
# every read, and with `inpaint` a pseudo-anomaly is read twice, by `M_n` and by `M_p`.
#
# The loss is the sum of the terms, each times its weight. Errors weigh 1. Sparsity and
# separation weigh nothing unless you set `sparsity_weight` and `separation_weight`, and
# a term of weight 0 is not computed in training.
#
# ## 2 Curves
#
# Three short epochs with the objective `inpaint`. A last, incomplete batch is left out.
# Before it starts, `fit` prints where it computes and how much memory it will take at
# most.

# %%
torch.manual_seed(0)
model = vad.DualPathAutoencoder(model_config)
config = vad.TrainConfig(epochs=3, seed=0)
folder = course.run_folder(f"06_training-inpaint-{data}")
run = vad.fit(model, clips, mixer, config, folder, resume=True, dataset={"name": data})

# %% [markdown]
# Each point is the mean over an epoch *while* the weights change. So the first point is
# worse than the model was at the epoch's end.
#
# **Predict:** `rebuild` and `inpaint` give `D_n` different inputs, but the same target
# `x`; `pseudo` has the target `x'`, patches and noise included. Which of the three ends
# lowest, which highest?

# %%
history = course.read_history(run)
course.show(
    course.plot_history(
        {"inpaint": run}, ["rebuild", "inpaint", "pseudo"], same_scale=True
    ),
    f"Three errors by epoch; rebuild ends at {history['rebuild'][-1]:.3f}.",
)

# %% [markdown]
# `pseudo` is highest: noise cannot be reconstructed, and a foreign patch only by a
# decoder that has seen its like. But blur is in all three errors, and after so few
# clips it is most of each. Which of the first two is lower says nothing here.
#
# More is gained in the first epochs than in the last. The flattening has two causes:
# there is less left to learn, and the learning rate falls to zero along a cosine. A
# curve that is flat at the end therefore does not prove that longer training would be
# useless; a *new* run with more epochs, and so a slower fall, would tell.
#
# ## 3 `p` and the objective at work
#
# Which objective is best cannot be seen after seconds of training. So three *full* runs
# ship with `vadlib`: their curves, and their errors on held-out clips. All were trained
# on the rendered street for six epochs, with the same first weights and the same clips
# in the same order; only the objective differs, and `p`, which is 0 for `none` and 0.5
# for the others. `benchmarks/objectives.py` made them.

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
# Some clips could not: there was nobody to paste onto, or no later frame to skip to.
# `inpaint` and `maximize` changed exactly the same number of clips: what is drawn
# depends on the seed, the epoch and the clip, not on the objective.
#
# **Predict:** which of the three has the lowest `rebuild` at the end?

# %%
axes = course.plot_history(histories, ["rebuild", "inpaint", "maximize"])
course.show(axes, "Three terms by epoch, of three full runs with different objectives.")

# %% [markdown]
# - **rebuild.** `none` wins: it has twice as many normal clips and nothing else to do.
# - **inpaint** stays higher. It is the harder task: what a patch has covered must be
#   guessed from its surroundings.
# - **maximize** is zero from the second epoch on: to be wrong is easy, and once the
#   error of `D_p` has passed the margin the term has no gradient. From then on
#   `maximize` trains like `none` with half of the clips.
#
# With `maximize`, `D_p` takes no part in scoring: what the pseudo path learns matters
# only through the change in `E`. (With `inpaint` it has learned to reconstruct
# pseudo-anomalies, and vadlib's score compares `D_n` with it: notebook 07.)
#
# What matters for detection is the error of `D_n` on clips it has not seen, normal and
# changed. Here as in scoring, the error compares what `D_n` made of a clip with that
# clip itself, pasted object included.
#
# **Predict:** a good detector makes a small error on normal clips and a large one on
# the others. For which type is the distance largest? For which objective?

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
# The marker is the median, the bar holds the middle half of the clips. The numbers are
# mean errors, divided by that of normal clips: 1 means that `D_n` does not notice the
# type at all.
#
# `none` reconstructs normal clips best, and yet `inpaint` is the better detector of
# pasted objects and skipped frames: their error is about five and four times that of
# normal clips, and with the others hardly three times. `D_n` has learned to paint what
# *should* be there, so whatever was pasted is missing from its reconstruction. The
# price: noise and shuffled motion stand out a little more with `none`, because its
# error on normal clips is smaller. `maximize` gains nothing over `none` here, as its
# curve foretold.
#
# Is this fair? The held-out clips were changed in the same ways that `inpaint` has
# practised, which flatters it. Whether it also finds *real* anomalies is the question
# of notebook 10. And these are single runs: another seed moves the ratios.
#
# > **Common mistake.** Reading a lower loss as a better detector. A network that copies
# > its input has a `rebuild` of zero, on anomalies too, and finds nothing. What counts
# > is the distance between normal and abnormal. The second mistake follows from it:
# > choosing epoch or objective by the AUC on *test* videos. Then the labels have taken
# > part in training, and the AUC is too good. Held-out normal videos with
# > pseudo-anomalies, as here, cost no labels.
#
# ## 4 Where it computes
#
# `TrainConfig(device="auto", precision="auto")` takes a GPU if there is one, and bf16
# (16 bits: the range of float32, but only 2 to 3 decimal digits) where the hardware
# multiplies it natively. Weights, sums and errors stay in float32.
#
# How large may a batch be? The backward pass needs what each layer put out in the
# forward pass, for each clip. `estimate_footprint` runs two clips forwards and counts.

# %%
device = course.pick_device("auto")
print("device:", device)
print("precision:", course.pick_precision("auto", device) or torch.float32)
trainer = course.Trainer(untrained.to(device), samples, config, device, folder)
needs = course.estimate_footprint(trainer, batch)
print(
    f"{needs.free / 1e9:.1f} GB are free; weights, gradients and Adam take "
    f"{needs.fixed / 1e6:.0f} MB, a clip {needs.clip / 1e6:.0f} MB: "
    f"{needs.largest_batch} clips would fit"
)

# %% [markdown]
# A batch that fits need not be better: with the same number of epochs, larger batches
# mean fewer steps. If it does not fit, `fit` says so before it starts.
#
# What a GPU changes:
#
# | what | on a CPU | on a CUDA GPU |
# |---|---|---|
# | precision `auto` | bf16 on CPUs with AVX512-BF16 or AMX, else float32 | bf16 autocast where it is native, else float32 |
# | memory for batches | pageable | pinned, copied while the GPU computes |
# | reader processes, `workers=None` | none: reading would take cores from computing | up to 4 |
# | `TrainConfig(compile=True)` | a minute at the beginning, and slower steps | a minute at the beginning; measure the steps |
# | profile of the notebooks | quick | full |
#
# The GPU column is what the code is written for. The automatic tests of this suite run
# on CPUs: take it as intent, and time it yourself.
#
# Several processes, for example on two GPUs, share each batch. The loss is that of the
# whole batch, so the result is the same but for rounding (not with `compact` and
# `paper`, the presets after the two releases of the paper's code: their batch norm sees
# each process's share):
#
# ```
# torchrun --standalone --nproc-per-node 2 -m vadlib train --data ped2 --out runs/two
# ```
#
# ## 5 Pull the plug
#
# `fit` writes a checkpoint, `state.pt`, at the end of each epoch and once a minute:
# weights, the state of Adam, the step, the sums of the epoch so far. We now start the
# training of section 2 once more, as a process of its own: `--config` takes that run's
# `config.json`, which names its dataset and holds all its settings. One second after
# the first checkpoint we kill it.
#
# `course.kill_after` starts Python, waits for a file, and then kills.
#
# **Predict:** resumed, will it end with the same weights as the undisturbed training,
# with similar ones, or with others?

# %%
copy = course.run_folder(f"06_training-killed-{data}", fresh=True)
command = ["-m", "vadlib", "train", "--config", folder / "config.json", "--out", copy]
status = course.kill_after(command, copy / "state.pt", seconds=1)
print("exit status:", status)
print("files:", *sorted(path.name for path in copy.iterdir()))
print("steps in the checkpoint:", torch.load(copy / "state.pt")["step"])

# %% [markdown]
# There is a checkpoint, but no `model.safetensors`: the run is not finished. A killed
# process saves nothing; what was learned since the checkpoint must be done again.
# `resume=True` goes on; the bar does not start at zero. `source` is what the command
# noted in its `config.json` of where the clips come from.

# %%
source = {"name": data, "preset": "fast", "detector": "motion"}
model = vad.DualPathAutoencoder(model_config)
vad.fit(model, clips, mixer, config, copy, resume=True, dataset=source)
undisturbed = (folder / "model.safetensors").read_bytes()
resumed = (copy / "model.safetensors").read_bytes()
print("same weights as the undisturbed run:", resumed == undisturbed)

# %% [markdown]
# Not similar: the same. That works since no random number depends on what was drawn
# before: a clip's window, its turning and the order of an epoch are derived from (seed,
# epoch, position). If you see `False`, the two runs did not compute alike: sums in
# another order round differently, and another number of threads, another machine or a
# GPU adds in another order. A run of section 2 that was loaded, from an earlier day,
# may differ for the same reason: train it again, with `course.run_folder(...,
# fresh=True)`.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 06-1.** With the objective `maximize` and p = 1, every clip of a batch may
# become a pseudo-anomaly. Which parts of the model learn from the errors of such a
# batch, as long as the margin is not reached? (Leave sparsity and separation aside.)
# Give a set of names, out of `encoder`, `normal_memory`, `pseudo_memory`,
# `normal_decoder`, `pseudo_decoder`.

# %% tags=["exercise"]
answer = {"encoder", "pseudo_memory", "pseudo_decoder"}
course.check_answer("06-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 06-1.** Neither `M_n` nor `D_n`, whose error is scored. So with `maximize`
# pseudo-anomalies change a score only by way of the encoder.

# %% [markdown]
# **Exercise 06-2.** An epoch has 46 steps. A training on a fast machine is killed half
# a minute after its start, when 137 steps are done. After how many steps does it go on?

# %% tags=["exercise"]
answer = 2 * 46
course.check_answer("06-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 06-2.** The last checkpoint is that of the end of the second epoch; the
# minute was not over yet.

# %% [markdown]
# ## Summary
#
# - Each term has its own clips and trains its own parts. Scores are made of the error
#   of `D_n`; with `inpaint` also of how it compares with that of `D_p`.
# - `maximize` has an effect only below its margin, and on scores only by way of `E`.
# - A curve shows that training works, not that the detector does: compare errors on
#   held-out clips, normal and changed.
# - A killed training goes on from its checkpoint and ends with the same bytes.
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
#   Anomalies*, BMVC 2021: pseudo-anomalies whose normal original is to be rebuilt, as
#   in `inpaint`
