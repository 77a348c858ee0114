# %% [markdown]
# # Ablations: what is each part worth?
#
# A method has many parts, and its paper says that each of them helps. An *ablation*
# removes or changes one part, keeps everything else, trains again and measures again.
# Here you read a table of such runs, train two of its rows yourself, and ask of every
# difference: is it more than chance?
#
# **After it you can**
#
# - say which question a row answers, and what must stay the same for that,
# - tell a difference that another seed could have caused from one that it could not,
# - read the interval of a *difference*, and say what it does not cover,
# - notice when one change brings a second one with it,
# - compare the claims of a paper with a table.
#
# **You need** notebooks 00, 05 and 06 (pseudo-anomalies, both paths, objectives) and
# sections 2 and 4 of notebook 07 (the contrast; micro AUC, calibrated, intervals).
# **Time** 1.6 minutes of computing on two CPU cores in the quick profile, 60 minutes of
# reading. **Memory** 2 GB. **Download** nothing.
#
# **Words** [ablation](glossary.md#ablation), [seed](glossary.md#seed),
# [interval](glossary.md#interval), [contrast](glossary.md#contrast).

# %%
import numpy as np
import vadlib as vad
from scipy import stats
from vadlib import course

# %% [markdown]
# ## 1 A table of runs
#
# `vadlib ablate --data ped2` created this table, which takes more than an hour on a
# free core. It ships with `vadlib`, so you can read it without Ped2. Each row except
# the first is a run with newly initialised weights, tested on all twelve test videos of
# Ped2. To save time each run is small: a third of the clips and a third of the epochs
# of vadlib's default, so a ninth of its steps.
#
# | row | change |
# |---|---|
# | `best baseline` | no learning: the best of notebook 00's eight baselines, chosen for each column |
# | `default` | nothing: `inpaint`, p = 0.5, all four kinds, two memories, two decoders, seed 0 |
# | `seed 1`, `seed 2` | the seed, so nothing but chance |
# | `p = ...` | the share of clips that become pseudo-anomalies |
# | `only ...` | a single kind of pseudo-anomaly |
# | `maximize`, `none` | the objective (notebook 06) |
# | `no memory`, `one memory` | no memory at all; one memory for both paths |
# | `one decoder` | both paths share `D_n` |
# | `one memory, one decoder` | both are shared |
#
# These stay the same: the clips and their order, the number of steps, the other parts
# of the network, the test videos, the rule for scoring frames (section 4 takes a closer
# look at that), and the seed. So where the network is the same it starts from the same
# weights.
#
# **Predict:** before you run the cell, write down the three rows that you expect to
# lose most, and the row that you expect to be best.

# %%
table = course.read_ablation()
print(course.describe_ablation(table))

# %% [markdown]
# The column `minutes` is the time for training and scoring. The column `change of raw`
# is a 95% bootstrap interval of the difference of the raw AUC from `default`: the
# twelve videos are drawn again and again. With so few videos it is rather too narrow.
# Section 3 computes one.
#
# Here is the same table as a figure. The dashed line is `default`, and the grey band
# covers its three seeds. A bar is the interval of a row, added to the AUC of the
# default. Rows whose interval excludes 0 are drawn as orange diamonds. The green square
# is the best baseline.

# %%
rows = {row["row"]: row for row in table}
areas = {name: row["micro_auc_raw"] for name, row in rows.items()}
best = max(areas, key=areas.get)
course.show(
    course.plot_ablation(table),
    f"Raw AUC of {len(table)} rows with intervals around the default; "
    f"furthest to the right is {best}.",
)

# %% [markdown]
# A hasty reader sorts the dots and writes: "this part brings that many points". But
# look at the dot furthest to the right: it is `seed 1`, where only the random numbers
# changed. Chance has won this table. How much chance is in it?
#
# ## 2 Chance, part one: the seed
#
# `seed 1` and `seed 2` differ from `default` in their initial weights, in the order of
# the clips, and in which of them become pseudo-anomalies and how. Every row contains
# such chance.
#
# How far may *one more* run of the default be from the mean of these three? If the
# variation follows a normal distribution, in 95 of 100 cases by less than `t * s *
# sqrt(1 + 1/3)`. `s` is the standard deviation of the three. The 1/3 accounts for the
# variation of the mean of three runs. `t` is larger for fewer runs.
#
# **Predict:** with infinitely many seeds, `t` is 1.96. How large is it with three?

# %%
seeds = [areas[name] for name in ("default", "seed 1", "seed 2")]
t = stats.t.ppf(0.975, df=len(seeds) - 1)
mean = np.mean(seeds)
reach = t * np.std(seeds, ddof=1) * np.sqrt(1 + 1 / len(seeds))
print(f"t = {t:.2f}; one more run: {mean:.3f} ± {reach:.3f}")

# %% [markdown]
# These trained rows are outside that range:

# %%
far = []
for name, area in areas.items():
    if name != course.BASELINE_ROW and abs(area - mean) > reach:
        far.append(name)
        print(f"{name:24} {area:.3f}")

# %% [markdown]
# With three seeds `t` is 4.3: three runs tell little about the variation. A trained row
# that is not listed is no further from the mean than another seed may be. A listed row
# *probably* changed more than a seed would. Only probably: `s` of three runs is itself
# very uncertain; each row has a variation of its own, which one run does not show; and
# with so many rows, one near the edge may well be luck (section 5). Papers rarely give
# more.
#
# ## 3 Chance, part two: the videos
#
# Now train two rows yourself: `default` and `p = 0`, with and without pseudo-anomalies.
# In the quick profile the runs are even smaller: one epoch of few clips, from frames
# shrunk to 160 rows, with a network half as wide, and only four test videos. The full
# profile repeats the settings of the table. Both use the dataset that you have.
#
# **Predict:** the table has a number for `p = 0` and one for `default`. Will your runs
# show a difference of the same sign, and of the same size?

# %%
data, quick = course.tutorial_data(), course.profile() == "quick"
step, every = {"synthetic": (48, 2), "ped2": (64, 3)}[data]
clips = {"clip_step": step, "shorter_side": 160}
size = {"clips": clips, "model": {"width": 8}, "training": {"epochs": 1}}
options = {"size": size, "every": every} if quick else {}  # else those of the table

# %% [markdown]
# `ablate` writes its table after each row, so an interrupted one continues where it
# stopped.

# %%
folder = course.run_folder(f"10_ablations-{data}")
live = vad.ablate(folder, data, rows=["default", "p = 0"], **options)
print(course.describe_ablation(live))

# %% [markdown]
# Both may differ. The gain from a part depends on the length of the training, on what
# you train, and on the data. A short run may show more of it than a long one, or less.
# A table holds only for runs of its own size.
#
# Each of the two AUCs has a bootstrap interval: draw as many test videos as there are,
# with replacement; compute the AUC; repeat this 2,000 times; take the middle 95%. For
# the interval of the *difference*, both AUCs are computed on the same draw and
# subtracted.
#
# **Predict:** if the two models had nothing in common, the interval of the difference
# would be wider than either one. What would make it narrower?

# %%
default = vad.Result.load(folder / "default")
p_0 = vad.Result.load(folder / "p_0")
spans = {
    "default": vad.metrics.bootstrap(default.labels, default.raw),
    "p = 0": vad.metrics.bootstrap(p_0.labels, p_0.raw),
    "difference": vad.metrics.bootstrap(p_0.labels, p_0.raw, base=default.raw),
}
for name, (low, high) in spans.items():
    print(f"{name:12}{low:7.3f} to {high:6.3f}, {high - low:.3f} wide")

# %% [markdown]
# A draw with many hard videos is hard for both models, so the difficulty that both
# share cancels. If the two had nothing in common, the width of the difference would be
# about the root of the sum of both squares. The more similar they are, the narrower it
# is. It can still be wider than one of the two. Compare two methods by the interval of
# their difference on the same videos, never by whether their own intervals overlap.
#
# If the interval contains 0, these videos do not show which model is better. That is
# not the same as "there is no difference": twelve videos, or fewer, show only large
# differences. If it excludes 0, these two runs differ on such videos. Another seed may
# still reverse that: an interval over videos covers two particular runs, and no seeds.
#
# > **Common mistake.** Calling a row "significant" by one source of chance and ignoring
# > the other. An interval over videos holds for one pair of runs, and a spread over
# > seeds holds for one set of videos. A part that helps should pass both tests,
# > preferably on a second dataset too.
#
# ## 4 One change at a time?
#
# Back to the table and its row `p = 0`. Without pseudo-anomalies `D_p` learns nothing.
# But the default score uses `D_p`: the contrast of the errors of `D_n` and `D_p` has
# the same weight as the error of `D_n`. If there is nothing to compare with, `vadlib`
# scores without the contrast. So this row changes *two* things: what the encoder and
# `D_n` have learned, and how frames are scored.
#
# `plain_calibrated`, a column that section 1 did not print, removes the second change:
# it scores all rows by `D_n`'s error alone.
#
# **Predict:** where does the gain of the default over `p = 0` come from: a better
# `D_n`, or the contrast?

# %%
plain = {}
print("calibrated AUC             default score   D_n's error alone")
for name, row in rows.items():
    if row["plain_calibrated"] is not None:
        plain[name] = row["plain_calibrated"]
        print(f"{name:24}{row['micro_auc_calibrated']:15.3f}{plain[name]:19.3f}")

# %% [markdown]
# If both columns agree to the last digit, the row was scored without the contrast in
# the first place. One more run, by `D_n` alone, may be in this range:

# %%
alone = [plain[name] for name in ("default", "seed 1", "seed 2")]
alone_reach = t * np.std(alone, ddof=1) * np.sqrt(1 + 1 / len(alone))
print(f"{np.mean(alone):.3f} ± {alone_reach:.3f}")

# %% [markdown]
# As a figure, by `D_n`'s error alone. The grey band covers the three seeds, which is
# narrower than the range of one more run:

# %%
low, high = min(plain.values()), max(plain.values())
course.show(
    course.plot_ablation(table, "plain_calibrated"),
    f"Calibrated AUC of each row by D_n's error alone, from {low:.3f} to {high:.3f}; "
    "the three seeds as a band.",
)

# %% [markdown]
# - `p = 0` against `default`: `D_n` alone does not separate them. The dot is left of
#   the band, but by less than one more seed may deviate. If pseudo-anomalies help here,
#   they help through the contrast. But see how much the contrast adds to `default`, and
#   how much to the two other seeds: the run called "default" happened to be the lucky
#   one.
# - `only skip` is the best row by `D_n` alone, and falls behind with the contrast. All
#   four `only ...` rows lose with it, perhaps because their `D_p` has seen one kind
#   only.
# - `one decoder` loses much with the contrast. The same decoder cannot reconstruct both
#   `x` and `x'`, so the comparison has lost its meaning.
# - `none` equals `p = 0` to the last digit: with that objective no clip is corrupted.
#
# If you look at a single column, you get a different story. So ask of each row what
# else it changes: the score, the clips of each kind, the number of parameters, the
# time.
#
# ## 5 Many rows, many chances
#
# A 95% interval misses in one of twenty cases, or more often if videos are few, as
# here. This table has many rows.
#
# **Predict:** suppose that *no* change mattered at all. In a table of this many rows,
# how likely is at least one interval without 0?

# %%
others = (course.BASELINE_ROW, "default", "seed 1", "seed 2", "none")  # none is p = 0
changes = [name for name in rows if name not in others]
worse = [name for name in changes if rows[name]["micro_auc_raw_high"] < 0]
better = [name for name in changes if rows[name]["micro_auc_raw_low"] > 0]
print("worse:", ", ".join(worse), "  better:", ", ".join(better) or "none")
print("further off than a seed, too:", ", ".join(set(worse + better) & set(far)))

# %% [markdown]
# If no change mattered and the rows were independent, this share of tables would have
# at least one interval without 0:

# %%
print(f"{1 - 0.95 ** len(changes):.0%} of tables with {len(changes)} rows")

# %% [markdown]
# This is a rough figure, because rows are not independent. All are compared with one
# `default`; if that run was lucky, all others look bad at once. And look at `only
# object` in the table: its interval ends just below 0. With another random seed of the
# bootstrap it ends just above. A conclusion that depends on the bootstrap's random seed
# is not a conclusion.
#
# If you try many things and report the best, you have not shown much. Say how many you
# tried, or decide in advance which row the question is about. And look at the first
# row: by the raw AUC, these small runs and these videos do not even show that the
# default beats the best baseline. By the per-video AUC, that baseline is ahead (the
# interval of the difference is 0.01 to 0.14; but it is the best of eight, chosen on
# these labels). (`docs/results.md` has the full default: six epochs, all clips, three
# seeds.)
#
# ## 6 The paper's design choices and this table
#
# The paper makes five design choices: few pseudo-anomalies (p is 0.01 or 0.02), of
# several kinds; a pseudo path with a *large* error; a memory for each path; a decoder
# for each path.
#
# **Predict:** which of the five does this table support?

# %%
choices = {
    "default": ["default"],
    "few": ["p = 0", "p = 0.01", "p = 0.05", "p = 0.2"],
    "several kinds": ["only skip", "only shuffle", "only noise", "only object"],
    "a large error": ["maximize"],
    "a memory each": ["no memory", "one memory"],
    "a decoder each": ["one decoder", "one memory, one decoder"],
}
measures = [*course.ABLATION_MEASURES, "plain_calibrated"]
for choice, names in choices.items():
    print(choice)
    for name in names:
        print(f"    {name:24}", *(f"{rows[name][key]:.3f}" for key in measures))

# %% [markdown]
# (The columns are raw, calibrated, per video, and calibrated by `D_n` alone.)
#
# - **Few.** It depends on the column. The raw AUC rises as p goes from 0.01 to 0.2, but
#   per video p = 0.05 is the best of all trained rows. All intervals contain 0. And the
#   paper's p belongs to the paper's objective: with `inpaint` a pseudo-anomaly is a
#   task to learn, with `maximize` each one pushes the encoder.
# - **A large error.** `maximize` is below `inpaint` in all columns, and all intervals
#   contain 0. It is not a fair test of the paper, because p is 0.5 here.
# - **Several kinds.** By the raw AUC each kind alone is worse than the four together,
#   `skip` and `shuffle` clearly so (`object` depends on the bootstrap seed: section 5).
#   Per video and by `D_n` alone, one kind each does better. And there is a second
#   change: p stays, so a single kind gets four times as many clips.
# - **A memory each.** One memory does as well as two or better by the default score,
#   and a little worse by `D_n` alone. Whether *any* memory helps depends on the column:
#   calibrated it clearly does, per video it does not.
# - **A decoder each.** By `D_n` alone `one decoder` loses little, hardly more than a
#   seed explains. `one memory, one decoder` loses more, but changes two parts. The
#   large loss of `one decoder` by the default score comes from vadlib's contrast, which
#   the paper does not have.
#
# So every statement from this table needs a caveat. Does it refute the paper? No. It is
# another network, with another score, trained for two short epochs, on one dataset,
# with one seed for each changed row. A surprising row is a reason for more seeds, not
# for a headline.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 10-1.** In section 2, `seeds` are the AUCs of three runs that differ in
# their seed. What is the standard deviation of the *difference* of two such runs, if
# their variations are independent?

# %% tags=["exercise"]
answer = np.sqrt(2) * np.std(seeds, ddof=1)
course.check_answer("10-1", answer, seeds=seeds)

# %% [markdown] tags=["solution"]
# **Answer 10-1.** The variances of independent numbers add up, also for a difference,
# so the standard deviation grows by the root of 2. If a row varies as much as the
# default, it differs from the default by that much even if its change does not matter.

# %% [markdown]
# **Exercise 10-2.** Which trained rows were scored without the contrast, and so change
# more than their name says? Answer with a set of names.

# %% tags=["exercise"]
default_score = {name: rows[name]["micro_auc_calibrated"] for name in plain}
answer = {name for name in plain if plain[name] == default_score[name]}
course.check_answer("10-2", answer, rows=rows)

# %% [markdown] tags=["solution"]
# **Answer 10-2.** Those whose two columns in section 4 agree. `D_p` has learned nothing
# to compare with in `p = 0` and `none`, has learned to fail in `maximize`, and does not
# exist in `one memory, one decoder`.

# %% [markdown]
# **Exercise 10-3.** Twelve videos give an interval of a certain width. About how many
# videos of the same type would halve it, if its width falls like that of a mean?

# %% tags=["exercise"]
answer = 4 * 12
course.check_answer("10-3", answer)

# %% [markdown] tags=["solution"]
# **Answer 10-3.** The width of a mean's interval falls with the root of the number:
# half the width needs four times as many.

# %% [markdown]
# ## Summary
#
# - A row should change one thing and keep everything else, including the seed and the
#   videos. Look for the second change that comes with it.
# - A difference contains two sources of chance: the training run (seeds) and the test
#   (videos). Each needs its own check.
# - Compare two methods by the interval of their difference on the same videos.
# - An interval that contains 0 means "not shown", not "not there".
# - Many rows produce lucky ones. Decide in advance what you ask, or say how many you
#   tried.
#
# ## References
#
# - B. Efron, R. J. Tibshirani: *An Introduction to the Bootstrap*, Chapman & Hall,
#   1993. [doi:10.1201/9780429246593](https://doi.org/10.1201/9780429246593)
# - X. Bouthillier and others: *Accounting for Variance in Machine Learning Benchmarks*,
#   MLSys 2021
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
