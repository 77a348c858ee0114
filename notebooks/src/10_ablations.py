# %% [markdown]
# # Ablations: what is each part worth?
#
# A method has many parts, and its paper says that each of them helps. An *ablation*
# takes one part away, or changes it, leaves all else as it is, trains again and
# measures again. Here you read a table of such trainings, train two such rows yourself,
# and ask of every difference: is it more than chance?
#
# **After it you can**
#
# - say which question a row answers, and what has to stay the same for that,
# - tell a difference that another seed might have made from one that it would not,
# - read the interval of a *difference*, and say what it does not cover,
# - notice when one change brings a second one with it,
# - compare what a paper says with what a table shows.
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
# ## 1 A table of trainings
#
# `vadlib ablate --data ped2` made this table; on a free core that takes more than an
# hour. It ships with `vadlib`, so you can read it without Ped2. Each row but the first
# is a training from new weights, and is tested on all twelve test videos of Ped2. To be
# affordable each is small: a third of the clips and a third of the epochs of vadlib's
# default, so a ninth of its steps.
#
# | row | what is changed |
# |---|---|
# | `best baseline` | nothing is learned: the best of notebook 00's eight baselines, for each column its own |
# | `default` | nothing: `inpaint`, p = 0.5, all four kinds, two memories, two decoders, seed 0 |
# | `seed 1`, `seed 2` | the seed, so nothing but chance |
# | `p = ...` | how many clips are turned into pseudo-anomalies |
# | `only ...` | a single kind of pseudo-anomaly |
# | `maximize`, `none` | the objective (notebook 06) |
# | `no memory`, `one memory` | no memory at all; one that both paths share |
# | `one decoder` | both paths share `D_n` |
# | `one memory, one decoder` | both are shared |
#
# What stays the same: the clips and their order, the number of steps, the network's
# other parts, the test videos, and the rule by which frames are scored (section 4 looks
# closer at that). The seed too, so where the network is the same it starts from the
# same weights.
#
# **Predict:** before you run the cell, write down the three rows that you expect to
# lose most, and which will be best.

# %%
table = course.read_ablation()
print(course.describe_ablation(table))

# %% [markdown]
# The column `minutes` is what training and scoring took. The column `change of raw` is
# an interval: where the difference of the raw AUC to `default` might lie (95%), had
# other videos been filmed. It is estimated by drawing the twelve videos again and
# again, and with so few it is rather too narrow. Section 3 makes one.
#
# The same as a picture. The dashed line is `default`, the grey band spans its three
# seeds. A bar shows where the row's AUC might lie: at the default's AUC plus that
# interval. A row whose interval holds no 0 is orange, with a diamond. The green square
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
# A hurried reader sorts the dots, and writes: "this part brings so many points, that
# one so many". But look at the dot furthest to the right: it is `seed 1`, in which
# nothing was changed but the random numbers. Chance has won this table. How much chance
# is in it?
#
# ## 2 Chance, first part: the seed
#
# `seed 1` and `seed 2` differ from `default` by their first weights, by the order of
# the clips, by which of them become pseudo-anomalies and how. Any row has such luck in
# it.
#
# How far may *one more* run of the default fall from the mean of these three? If such
# luck is bell-shaped: in 95 of 100 cases by less than `t * s * sqrt(1 + 1/3)`. `s` is
# the standard deviation of the three; the 1/3 is there since the mean of three varies,
# too; and `t` is larger the fewer runs there are.
#
# **Predict:** with endlessly many seeds, `t` is 1.96. How large is it with three?

# %%
seeds = [areas[name] for name in ("default", "seed 1", "seed 2")]
t = stats.t.ppf(0.975, df=len(seeds) - 1)
mean = np.mean(seeds)
reach = t * np.std(seeds, ddof=1) * np.sqrt(1 + 1 / len(seeds))
print(f"t = {t:.2f}; one more run: {mean:.3f} ± {reach:.3f}")

# %% [markdown]
# The trained rows outside this range:

# %%
far = []
for name, area in areas.items():
    if name != course.BASELINE_ROW and abs(area - mean) > reach:
        far.append(name)
        print(f"{name:24} {area:.3f}")

# %% [markdown]
# With three seeds `t` is 4.3: three runs know little about how much luck there is. A
# trained row that is not named is no further off than another seed might be. One that
# is named *probably* changed more than a seed would. Only probably: `s` of three runs
# is itself very uncertain; each row has luck of its own, of which one run tells
# nothing; and with so many rows, one near the edge may well be luck (section 5). Papers
# seldom give more.
#
# ## 3 Chance, second part: the videos
#
# Now train two such rows yourself: `default` and `p = 0`, that is, with
# pseudo-anomalies and without. In the quick profile the trainings are smaller still,
# one epoch of few clips of frames shrunk to 160 rows and a network half as wide, and
# only four test videos are scored; the full profile does as for the table. They are
# done on the dataset that you have.
#
# **Predict:** the table has a number for `p = 0` beside `default`. Will yours show a
# difference of the same sign, and of the same size?

# %%
data, quick = course.tutorial_data(), course.profile() == "quick"
step, every = {"synthetic": (48, 2), "ped2": (64, 3)}[data]
clips = {"clip_step": step, "shorter_side": 160}
size = {"data": clips, "model": {"width": 8}, "training": {"epochs": 1}}
options = {"size": size, "every": every} if quick else {}  # else those of the table

# %% [markdown]
# `ablate` writes its table after each row, so an interrupted one continues where it
# stopped.

# %%
folder = course.run_folder(f"10_ablations-{data}")
live = vad.ablate(folder, data, rows=["default", "p = 0"], **options)
print(course.describe_ablation(live))

# %% [markdown]
# Neither need be the same. How much a part brings depends on how long one trains, on
# what, and on the data: a short training may show more of it than a long one, or less.
# A table holds for its own size only.
#
# Each of the two AUCs has an interval: draw as many test videos as there are, with
# replacement; compute the AUC; do it 2,000 times; take the middle 95%. For the interval
# of the *difference* both are computed on the same drawing, and subtracted.
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
# A drawing with many hard videos is hard for both models. What is hard for both cancels
# out. Had the two nothing in common, the width of the difference would be about the
# root of the sum of both squares; the more alike they are, the narrower it is. It can
# still be wider than one of the two. Compare two methods by the interval of their
# difference on the same videos, never by whether their own intervals overlap.
#
# If the interval holds 0, these videos do not say which is better. That is not the same
# as "there is no difference": with twelve videos, or fewer, only large ones can be
# seen. If it does not hold 0, these two trainings differ on such videos. Another seed
# may still turn that round: an interval over videos knows two particular trainings, and
# nothing of seeds.
#
# > **Common mistake.** To call a row "significant" by one kind of chance, and to forget
# > the other. An interval over videos holds for one pair of trainings, a spread over
# > seeds for one set of videos. A part that helps should pass both; better still, on a
# > second dataset.
#
# ## 4 One change at a time?
#
# Back to the table, and to its row `p = 0`. Without pseudo-anomalies `D_p` learns
# nothing. But the default score asks `D_p`: the contrast of `D_n`'s error and `D_p`'s
# has the same weight in it as `D_n`'s error. Where there is nothing to compare with,
# `vadlib` scores without it. So this row changes *two* things: what the encoder and
# `D_n` have learned, and how frames are scored.
#
# `plain_calibrated`, a column that section 1 did not print, takes the second one out:
# all rows by `D_n`'s error alone.
#
# **Predict:** what is the gain of the default over `p = 0` made of: a better `D_n`, or
# the contrast?

# %%
plain = {}
print("calibrated AUC             default score   D_n's error alone")
for name, row in rows.items():
    if row["plain_calibrated"] is not None:
        plain[name] = row["plain_calibrated"]
        print(f"{name:24}{row['micro_auc_calibrated']:15.3f}{plain[name]:19.3f}")

# %% [markdown]
# The range of one more run, by `D_n` alone:

# %%
alone = [plain[name] for name in ("default", "seed 1", "seed 2")]
alone_reach = t * np.std(alone, ddof=1) * np.sqrt(1 + 1 / len(alone))
print(f"{np.mean(alone):.3f} ± {alone_reach:.3f}")

# %% [markdown]
# Where both columns agree to the last digit, the row was scored without contrast in the
# first place.
#
# As a picture, by `D_n`'s error alone; the grey band is the range of the three seeds,
# which is narrower than where one more run may fall:

# %%
low, high = min(plain.values()), max(plain.values())
course.show(
    course.plot_ablation(table, "plain_calibrated"),
    f"Calibrated AUC of each row by D_n's error alone, from {low:.3f} to {high:.3f}; "
    "the three seeds as a band.",
)

# %% [markdown]
# - `p = 0` against `default`: by `D_n` alone one cannot tell them apart. The dot lies
#   left of the band, but by less than one more seed may fall off (the last line above).
#   If pseudo-anomalies bring anything here, it is by way of the contrast. But see how
#   much that adds to `default`, and how much to the two other seeds: the run that
#   happens to be called "default" was the lucky one.
# - `only skip` is the best row by `D_n` alone, and falls behind with the contrast. All
#   four `only ...` rows lose by it; perhaps since their `D_p` has seen one kind only.
# - `one decoder` falls far by the contrast: the same decoder cannot give back `x` and
#   `x'`, so what is compared has lost its meaning.
# - `none` is `p = 0` once more, to the last digit: with that objective no clip is
#   turned.
#
# Whoever looks at one column only tells another story. So ask of each row what else it
# changes: the score, the clips of each kind, the number of parameters, the time.
#
# ## 5 Many rows, many chances
#
# An interval of 95% misses in one case of twenty, or more often, as here, where videos
# are few. This table has many rows.
#
# **Predict:** suppose that *no* change mattered at all. In a table of as many rows, how
# likely is at least one interval without 0?

# %%
others = (course.BASELINE_ROW, "default", "seed 1", "seed 2", "none")  # none is p = 0
changes = [name for name in rows if name not in others]
worse = [name for name in changes if rows[name]["micro_auc_raw_high"] < 0]
better = [name for name in changes if rows[name]["micro_auc_raw_low"] > 0]
print("worse:", ", ".join(worse), "  better:", ", ".join(better) or "none")
print("further off than a seed, too:", ", ".join(set(worse + better) & set(far)))

# %% [markdown]
# Suppose that no change mattered and that the rows were independent. The share of such
# tables with at least one interval without 0:

# %%
print(f"{1 - 0.95 ** len(changes):.0%} of tables with {len(changes)} rows")

# %% [markdown]
# A rough figure: rows are not independent. All are compared with one `default`; if that
# run was lucky, all the others look bad at once. And look at `only object` in the
# table: its interval ends just below 0. It was estimated with random drawings; with
# others it ends just above. A verdict that hangs on that is none.
#
# Whoever tries many things and reports the best has not found much. Say how many you
# tried; or decide beforehand which row the question is about. And mind the first row:
# by the raw AUC, these small trainings and these videos do not even show that the
# default beats the best baseline; by the per-video AUC, that baseline is ahead (the
# interval of the difference is 0.01 to 0.14; but it is the best of eight, chosen on
# these labels). (README has the full default: six epochs, all clips, three seeds.)
#
# ## 6 What the paper builds in, and what was seen here
#
# The paper builds five things in: few pseudo-anomalies (p is 0.01 or 0.02), of several
# kinds; a pseudo path whose error is made *large*; a memory for each path; a decoder
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
# (Raw / calibrated / per video / calibrated by `D_n` alone.)
#
# - **Few.** It depends on the column: the raw AUC rises as p goes from 0.01 to 0.2, but
#   per video p = 0.05 is the best of all trained rows. All intervals hold 0. And the
#   paper's p goes with the paper's objective: with `inpaint` a pseudo-anomaly is a task
#   to learn, with `maximize` each one pushes the encoder.
# - **A large error.** `maximize` lies below `inpaint` in all columns, and all intervals
#   hold 0. It is no fair test of the paper: p is 0.5 here.
# - **Several kinds.** By the raw AUC each kind alone is worse than the four together,
#   `skip` and `shuffle` clearly (`object` hangs on the drawing: section 5). Per video,
#   and by `D_n` alone, one kind each does better. And there is a second change: p
#   stays, so a single kind gets four times as many clips.
# - **A memory each.** One memory does as well as two, or better, by the default score,
#   and a little worse by `D_n` alone. Whether *any* memory helps depends on the column:
#   calibrated it does, clearly; per video it does not.
# - **A decoder each.** By `D_n` alone `one decoder` loses little, hardly more than a
#   seed explains; `one memory, one decoder` loses more, but changes two parts. That
#   `one decoder` falls far by the default score has to do with vadlib's contrast, which
#   the paper does not have.
#
# So the table says nothing without an "if". Does it refute the paper? No. It is another
# network, with another score, trained for two short epochs, on one dataset, one seed
# for each changed row. A row that surprises you is a reason for more seeds, not for a
# headline.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 10-1.** In section 2, `seeds` are the AUCs of three runs that differ by
# their seed. What is the standard deviation of the *difference* of two such runs, if
# their luck is independent?

# %% tags=["exercise"]
answer = np.sqrt(2) * np.std(seeds, ddof=1)
course.check_answer("10-1", answer, seeds=seeds)

# %% [markdown] tags=["solution"]
# **Answer 10-1.** Variances of independent numbers add up, of a difference too, so the
# deviation grows by the root of 2. If a row's luck is as large as the default's, it
# differs from the default by that much even if nothing that matters was changed.

# %% [markdown]
# **Exercise 10-2.** Which trained rows were scored without contrast, and so change more
# than their name says? Give a set of names.

# %% tags=["exercise"]
answer = set()
for name, area in plain.items():
    if rows[name]["micro_auc_calibrated"] == area:
        answer.add(name)
course.check_answer("10-2", answer, rows=rows)

# %% [markdown] tags=["solution"]
# **Answer 10-2.** Those whose two columns of section 4 agree: `D_p` has learned nothing
# to compare with in `p = 0` and `none`, was made to fail in `maximize`, and is not
# there in `one memory, one decoder`.

# %% [markdown]
# **Exercise 10-3.** Twelve videos give an interval of a certain width. About how many,
# of the same kind, would make it half as wide, if its width falls as that of a mean
# does?

# %% tags=["exercise"]
answer = 4 * 12
course.check_answer("10-3", answer)

# %% [markdown] tags=["solution"]
# **Answer 10-3.** The width of a mean's interval falls with the root of the number:
# four times as many for half the width.

# %% [markdown]
# ## Summary
#
# - A row is meant to change one thing, all else staying, seed and videos included. Look
#   for the second change that comes with it.
# - A difference has two kinds of chance in it: of the training (seeds), and of the test
#   (videos). Each wants its own check.
# - Compare two methods by the interval of their difference on the same videos.
# - An interval that holds 0 says "not seen", not "not there".
# - Many rows make lucky ones. Decide beforehand what you ask, or say how many you
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
