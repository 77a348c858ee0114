# %% [markdown]
# # Ablations: what is each part worth?
#
# A method has many parts, and its paper says that each of them helps. An *ablation* takes one part away, or changes it, leaves all else
# as it is, trains again and measures again. Here you read a table of such trainings, make one of its rows anew, and ask of every
# difference: is it more than chance?
#
# **After it you can**
#
# - say which question a row answers, and what has to stay the same for that,
# - tell a difference that another seed might have made from one that it would not,
# - read the interval of a *difference*, and say what it does not cover,
# - notice when one change brings a second one with it,
# - compare what a paper says with what a table shows.
#
# **You need** notebooks 00 and 06, and section 4 of notebook 07: what micro AUC, calibrated and an interval over videos are. **Time** 2
# to 3 minutes of computing on two recent CPU cores in the quick profile; 40 minutes of reading. **Memory** about 2 GB.
#
# **Words** [ablation](glossary.md#ablation), [seed](glossary.md#seed), [interval](glossary.md#interval),
# [contrast](glossary.md#contrast).

# %%
import numpy as np
from scipy import stats

import vadlib as vad
from vadlib import ablation
from vadlib.evaluation.evaluate import Result

# %% [markdown]
# ## 1 A table of trainings
#
# `vadlib ablate --data ped2` made this table in an hour. It ships with `vadlib`, so you can read it without Ped2. Each row is a training
# of its own, from new weights, and a test on all twelve videos of Ped2. To have them all in an hour, each is small: a third of the clips
# and a third of the epochs of vadlib's default, so a ninth of its steps.
#
# | row | what is changed |
# |---|---|
# | `yardstick` | nothing is learned: motion energy (notebook 00) |
# | `default` | nothing: `inpaint`, p = 0.5, all four kinds, two memories, two decoders, seed 0 |
# | `seed 1`, `seed 2` | the seed, so nothing but chance |
# | `p = ...` | how many clips are turned into pseudo-anomalies |
# | `only ...` | a single kind of pseudo-anomaly |
# | `maximize`, `none` | the objective (notebook 06) |
# | `no memory`, `one memory` | none at all; one that both paths share |
# | `one decoder` | both paths share `D_n` |
#
# What stays the same: the clips and their order, the number of steps, the network's other parts, how it is scored, the test videos. The
# seed too, so where the network is the same it starts from the same weights.
#
# **Predict:** before you run the cell, write down the three rows that you expect to lose most, and which will be best.

# %%
table = vad.read_ablation()
print(ablation.describe_ablation(table))

# %% [markdown]
# The last but one column is an interval: 95% of the differences to `default`, of the raw AUC, if other videos had been filmed.
# More of it in section 3.
#
# The same as a picture. The dashed line is `default`, the grey band spans the three seeds. A bar is that interval, laid around
# the dashed line. It is orange, with a diamond, if it does not touch the line.

# %%
rows = {row["row"]: row for row in table}
best = max(rows, key=lambda name: rows[name]["micro_auc_raw"])
vad.show(vad.plot_ablation(table), f"Raw AUC of {len(table)} rows with intervals around the default; the highest dot is {best}.")

# %% [markdown]
# A hurried reader looks at the dots, sorts them, and writes: "this part brings so many points, that one so many". The rest of
# this notebook is about why that would be too fast.
#
# ## 2 Chance, first part: the seed
#
# `seed 1` and `seed 2` change nothing but random numbers: first weights, the order of clips, which of them are turned and how. What they
# differ by is luck. Any row has such luck in it.
#
# How far may *one more* run of the default fall from the mean of these three? If such luck is bell-shaped: by `t * s * sqrt(1 + 1/3)`.
# `s` is the standard deviation of the three; the 1/3 is there since their mean is lucky, too; and `t` grows, the fewer they are.
#
# **Predict:** with endlessly many seeds, `t` is 1.96 for 95%. How large is it with three?

# %%
seeds = [rows[name]["micro_auc_raw"] for name in ("default", "seed 1", "seed 2")]
t, s = stats.t.ppf(0.975, df=len(seeds) - 1), np.std(seeds, ddof=1)
reach = t * s * np.sqrt(1 + 1 / len(seeds))
print(f"t = {t:.2f}; s = {s:.4f}; one more run of the default: {np.mean(seeds):.3f} ± {reach:.3f}")
print("outside:", ", ".join(f"{n} {r['micro_auc_raw']:.3f}" for n, r in rows.items() if abs(r["micro_auc_raw"] - np.mean(seeds)) > reach))

# %% [markdown]
# With three seeds `t` is 4.3: three runs know little about how much luck there is. Rows that are not named could be the default under
# another seed. A row that is named changed more than the seed does, as far as twelve videos can tell; the next section is about
# "as far as". (Strictly, each row has its own luck, of which we know nothing: one seed each. Papers seldom give more.)
#
# ## 3 Chance, second part: the videos
#
# Now make a row yourself: `default` and `p = 0`, that is, with pseudo-anomalies and without. In the quick profile the trainings are
# smaller still, one epoch of few clips; the full profile trains as for the table. They are done on the dataset that you have.
#
# **Predict:** the table has a number for `p = 0` beside `default`. Will yours show a difference of the same sign?

# %%
data = vad.tutorial_data()
size = {"data": {"clip_step": 24}, "training": {"epochs": 1}} if vad.profile() == "quick" else ablation.SMALL
folder = vad.run_folder(f"10_ablations-{data}")
live = vad.ablate(folder, data, rows=["default", "p = 0"], size=size)
print(ablation.describe_ablation(live))

# %% [markdown]
# Each of the two AUCs has an interval: draw as many test videos as there are, with replacement; compute the AUC; do it 2,000 times;
# take the middle 95%. For the interval of the *difference* both are computed on the same drawing, and subtracted.
#
# **Predict:** will the interval of the difference be as wide as that of one number, wider, or narrower?

# %%
default, without = (Result.load(folder / name) for name in ("default", "p_0"))
spans = {"default": vad.bootstrap(default.raw, default.labels), "p = 0": vad.bootstrap(without.raw, without.labels)}
spans["difference"] = vad.bootstrap(without.raw, without.labels, base=default.raw)
print(*(f"{name:12} {low:+.3f} to {high:+.3f}, {high - low:.3f} wide" for name, (low, high) in spans.items()), sep="\n")

# %% [markdown]
# A drawing with many hard videos is hard for both models, and that cancels out: how much, depends on how alike they are. So compare two
# methods by the interval of their difference on the same videos, never by whether their own intervals overlap.
#
# If the interval holds 0, these videos do not say which is better. That is not the same as "there is no difference": with twelve
# videos, or eight, only large ones can be seen. And the interval says nothing of seeds: these are two particular trainings.
#
# > **Common mistake.** To call a row "significant" by one kind of chance, and to forget the other. An interval over videos holds for one
# > pair of trainings, a spread over seeds for one set of videos. A part that helps should pass both; better still, on a second dataset.
#
# ## 4 One change at a time?
#
# Take `p = 0` once more. No pseudo-anomalies, so `D_p` learns nothing. But the default score asks `D_p`: half of it is the contrast of
# `D_n`'s error and `D_p`'s. Where there is nothing to compare with, `vadlib` scores without it. So this row changes *two* things: what
# the encoder and `D_n` have learned, and how frames are scored.
#
# The column `plain_calibrated` takes the second one out: all rows by `D_n`'s error alone.
#
# **Predict:** what is the gain of the default over `p = 0` made of: a better `D_n`, or the contrast?

# %%
pair = [(n, r["micro_auc_calibrated"], r["plain_calibrated"]) for n, r in rows.items() if r["plain_calibrated"] is not None]
print(f"{'calibrated AUC':24}  default score  D_n's error alone", *(f"{n:24}{a:15.3f}{b:19.3f}" for n, a, b in pair), sep="\n")

# %% [markdown]
# Where both columns agree to the last digit, the row was scored without contrast in the first place.
#
# As a picture, by `D_n`'s error alone:

# %%
ax = vad.plot_ablation(table, "plain_calibrated")
low, high = min(b for *_, b in pair), max(b for *_, b in pair)
vad.show(ax, f"Calibrated AUC of each row by D_n's error alone, from {low:.3f} to {high:.3f}; the three seeds as a band.")

# %% [markdown]
# Compare `default` and `p = 0` in both columns: `D_n` alone gains next to nothing from pseudo-anomalies, less than seeds would explain.
# What they bring here, they bring by way of `D_p` and the contrast. Compare `only skip`: by `D_n`'s error alone it is the best row, by
# the default score one of the bad ones; its `D_p` has seen one kind only, and makes a poor partner. Who had looked at one column only
# would tell another story. And `none` is `p = 0` once more, to the last digit: with that objective no clip is turned. So ask of each row
# what else it changes: the score, the number of steps, the number of parameters, the time.
#
# ## 5 Many rows, many chances
#
# An interval of 95% misses in one case of twenty. This table has many rows, and three AUCs for each.
#
# **Predict:** suppose that *no* change mattered at all. In a table of as many rows, how likely is at least one interval without 0?

# %%
changed = [row for row in table if row.get("micro_auc_raw_low") is not None and row["row"] != "yardstick"]
clear = [row["row"] for row in changed if row["micro_auc_raw_low"] > 0 or row["micro_auc_raw_high"] < 0]
print(f"{len(clear)} of {len(changed)} intervals hold no 0: {', '.join(clear) or 'none'}")
print(f"by chance alone, at least one, if rows were independent: {1 - 0.95 ** len(changed):.0%}")

# %% [markdown]
# (They are not independent: all are compared with one `default`. If that run was lucky, all the others look bad.) Whoever tries many
# things and reports the best has not found much. Say how many you tried; or decide beforehand which row the question is about.
#
# Mind the two verdicts. Section 2 named many rows: a seed would hardly have moved them so far. Here few are left: with other videos, many
# a sign might turn round. Only what passes both is a finding. The yardstick is no exception: one cannot even say, from these trainings
# and these videos, that a small default beats motion energy. (The full default has six epochs, all clips and three seeds; README has its
# numbers.)
#
# ## 6 What the paper says, and what was seen here
#
# The paper builds five things in: few pseudo-anomalies (p is 0.01 or 0.02), of several kinds; a pseudo path whose error is made *large*;
# a memory for each path; a decoder for each path.
#
# **Predict:** which of the five does this table support?

# %%
claims = {"few": ["p = 0", "p = 0.01", "p = 0.05", "p = 0.2"], "several kinds": [name for name in rows if name.startswith("only")]}
claims |= {"a large error": ["maximize"], "a memory each": ["no memory", "one memory"]}
claims |= {"a decoder each": ["one decoder", "one memory, one decoder"]}
for claim, names in ({"vadlib's default": ["default"]} | claims).items():
    print(f"{claim:17}", "; ".join(f"{n} {rows[n]['micro_auc_raw']:.3f} / {rows[n]['micro_auc_per_video']:.3f}" for n in names))

# %% [markdown]
# (Raw / per video.)
#
# - **Several kinds.** Supported: each kind alone has a lower raw AUC than all four, and for three of them the interval holds no 0.
# - **A decoder each.** Supported, as far as the contrast goes: if one decoder has to give back both, there is nothing left to compare,
#   and the row falls far. By `D_n`'s error alone it hardly differs.
# - **Few.** Not here: from 0.01 on the raw AUC rises with p. But the paper's p belongs to the paper's objective. With `inpaint` a
#   pseudo-anomaly is a task to learn, and `D_p` needs many; with `maximize` each one pushes the encoder.
# - **A large error.** Not here: `maximize` lies below `inpaint` in all three AUCs, though the interval holds 0.
# - **A memory each.** Not here: one memory does as well as two, or better. Whether *any* memory helps depends on the column you ask.
#
# Does this refute the paper? No. It is another network, with another score, trained for two short epochs, on one dataset, with one seed.
# It says what *these* trainings show, and that is what a table can say. A row that surprises you is a reason for more seeds, not for a
# headline.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits. In the student edition (`make student`) there is no answer yet:
# replace `None`.
#
# **Exercise 10-1.** In section 2, `seeds` are the AUCs of three runs that differ by their seed. By which standard deviation will the
# *difference* of two such runs vary, if their luck is independent?

# %% tags=["exercise"]
answer = np.sqrt(2) * np.std(seeds, ddof=1)
vad.check_answer("10-1", answer, seeds=seeds)

# %% [markdown] tags=["solution"]
# **Answer 10-1.** Variances add up, so the deviation grows by the root of 2. A row of a table differs from the default by that much
# luck, even if nothing was changed that matters.

# %% [markdown]
# **Exercise 10-2.** Which row, beside `default`, shows what it brings that the pseudo path has a memory *of its own*? Give its name.

# %% tags=["exercise"]
answer = "one memory"
vad.check_answer("10-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 10-2.** There both paths read `M_n`, and nothing else is changed.

# %% [markdown]
# **Exercise 10-3.** Twelve videos give an interval of a certain width. With how many, of the same kind, would it be half as wide?

# %% tags=["exercise"]
answer = 4 * 12
vad.check_answer("10-3", answer)

# %% [markdown] tags=["solution"]
# **Answer 10-3.** The width falls with the root of the number of videos: four times as many for half the width.

# %% [markdown]
# ## Summary
#
# - A row changes one thing; all else stays, seed and videos included. Look for the second change that comes with it.
# - A difference has two kinds of chance in it: of the training (seeds), and of the test (videos). Each wants its own check.
# - Compare two methods by the interval of their difference on the same videos.
# - An interval that holds 0 says "not seen", not "not there".
# - Many rows make lucky ones. Decide beforehand what you ask, or say how many you tried.
#
# ## References
#
# - B. Efron, R. J. Tibshirani: *An Introduction to the Bootstrap*, Chapman & Hall, 1993.
#   [doi:10.1201/9780429246593](https://doi.org/10.1201/9780429246593)
# - X. Bouthillier and others: *Accounting for Variance in Machine Learning Benchmarks*, MLSys 2021
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through Dual-Path Reconstruction and Diverse Pseudo-Anomaly
#   Generation*, The Visual Computer, 2026
