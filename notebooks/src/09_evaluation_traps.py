# %% [markdown]
# # Evaluation traps: the same scores, other numbers
#
# One set of scores can be worth many numbers. Some differences are mistakes, some are
# choices that a paper should state, and some are ways of looking at the answers first.
# Here you fall into each trap on purpose, with the scores of one model, and measure how
# far it moves the AUC.
#
# **After it you can**
#
# - look for labels that are some frames off, by the AUC against a shift, and say what
#   that curve cannot show,
# - say what min-max per video, padding, dropped borders and another ground truth do to
#   a number, and which way,
# - tell a gain that was *chosen* on test labels from one that is there on other videos,
# - read a table of results with the right questions.
#
# **You need** notebooks 00 and 07 (the contrast; micro AUC, calibrated, per video,
# intervals). **Time** 0.3 minutes of computing on two CPU cores in the quick profile,
# 60 minutes of reading. **Memory** 2 GB. **Download** nothing.
#
# **Words** [AUC](glossary.md#auc), [leakage](glossary.md#leakage), [ground
# truth](glossary.md#ground-truth), [interval](glossary.md#interval).

# %%
import numpy as np
import vadlib as vad
from vadlib import course

# %% [markdown]
# ## 1 Honest scores first
#
# `load_pretrained` loads a model that ships with `vadlib`. Here it is tested on *all*
# test videos, in the quick profile too: what goes wrong with few videos is one of the
# subjects. Lines with `assert` stop the notebook if a claim of the text does not hold.

# %%
data = course.tutorial_data()
run, test = vad.load_pretrained(data), vad.load_videos(data, "test")

# %% [markdown]
# The model runs once, in `evaluate_once`, or not at all if notebook 07 has left its
# result (else it takes most of a minute). All that follows works on that: the raw
# scores, the error maps from which `rescore` makes other scores, and the labels.
# `found` collects pairs: the honest number, and the one in the trap.

# %%
result = course.evaluate_once(run, test, course.run_folder(f"pretrained-{data}"))
raw, labels = result.raw, result.labels
honest = result.metrics["micro_auc_raw"]
low, high = result.metrics["intervals"]["micro_auc_raw"]
print(f"micro AUC of the raw scores {honest:.3f}; 95% interval {low:.3f} to {high:.3f}")
pairs = {}

# %% [markdown]
# Keep that interval in mind. It says how much the number would move had other videos of
# the same kind been filmed; many a "gain" is far smaller than that. (Two scores of the
# *same* videos differ by less luck than that: then the interval of the difference
# counts.)
#
# ## 2 Labels that are some frames off
#
# Files are counted from 1, frames from 0. A clip of 16 frames gives one score: is it
# that of its first frame, its last, or the one in the middle? Half a clip lies between
# one and the next. No error message tells; every length still fits.
#
# `shift_labels(labels, k)` lets each label come `k` frames late: frame `t` gets the
# label of `t - k`.
#
# **Predict:** what does an off-by-one cost? What do 8 frames cost, and does it matter
# in which direction?

# %%
areas = {}
for k in range(-16, 17):
    areas[k] = vad.metrics.micro_auc(course.shift_labels(labels, k), raw)
for k in (1, -8, 8, -16, 16):
    pairs[f"labels {abs(k)} frames {'late' if k > 0 else 'early'}"] = (honest, areas[k])
course.show(
    course.plot_auc_by_label_shift(areas),
    f"AUC by the shift of the labels, largest at {max(areas, key=areas.get)} frames.",
)

# %% [markdown]
# One frame costs next to nothing, and may even *gain* a little: events last dozens of
# frames, and a shift by one changes at most two labels of each, none where an event
# fills its video. That is what makes this mistake so hard to see. At half a clip it
# shows in the mean of both directions, but in one direction alone it may cost nothing;
# at a whole clip it shows in each.
#
# The curve need not peak at 0. Somebody who rides into the picture is abnormal from the
# first visible wheel on, but the error grows with what is seen of him: scores come
# late, and labels that come late as well suit them. So a curve that leans is no proof
# of a mistake; one whose peak lies at 8 or 15 is a reason to look into the code.

# %%
assert np.ptp([areas[-1], honest, areas[1]]) < 0.01
assert (areas[-8] + areas[8]) / 2 < honest - 0.003
assert max(areas[-16], areas[16]) < honest - 0.003

# %% [markdown]
# **Instead:** match labels by the video's name and by position, never by the number in
# a file's name; stop if lengths differ; plot this curve once for each dataset.
# (`vadlib` does the first two when it loads videos.)
#
# ## 3 Min-max per video
#
# Many papers stretch each video's scores to [0, 1] before they pool the frames. This
# looks at the whole video, its future included. And it forces a 0 and a 1 into each,
# also where nothing happens, or something all the time.
#
# How much that matters depends on something that should not matter at all: where one
# video ends and the next begins. `cut_into_pieces` cuts the same frames into videos of 40, as
# if the camera had begun a new file every few seconds.
#
# **Predict:** what does cutting do to the micro AUC of the raw scores? And to that of
# the min-max scores?

# %%
pieces, truth = course.cut_into_pieces(raw, 40), course.cut_into_pieces(labels, 40)
raw_cut = vad.metrics.micro_auc(truth, pieces)
minmax = result.metrics["micro_auc_per_video"]
minmax_cut = vad.metrics.micro_auc(truth, vad.metrics.per_video(pieces))
print(f"raw:     {honest:.3f}, videos cut {raw_cut:.3f}")
print(f"min-max: {minmax:.3f}, videos cut {minmax_cut:.3f}")

# %% [markdown]
# Only min-max should fall:

# %%
pairs["min-max per video"] = (honest, minmax)
pairs["min-max, videos cut"] = (minmax, minmax_cut)
assert raw_cut == honest
assert minmax_cut < minmax - 0.03

# %% [markdown]
# The frames are the same and so are their raw scores, so the raw AUC is the same to the
# last digit. Min-max falls far: in a piece that is normal throughout, the largest score
# becomes 1, a false alarm; in one that is abnormal throughout the smallest becomes 0, a
# miss. Ped2's test set has four such videos as it is, the rendered street none. So
# without any cut ("min-max per video" in the table of section 9) the shift may have
# either sign.
#
# Why is it so common, then? Because it takes away what differs from video to video and
# has nothing to do with anomalies: light, distance, how many people there are. Exercise
# 2 shows how much that can be worth.
#
# **Instead:** compare errors with those of held-out *normal* videos (the calibrated
# score), and show the raw number beside it. Compare a per-video number with per-video
# numbers only.
#
# ## 4 Padding in the macro AUC
#
# The macro AUC is the mean of the videos' own AUCs. A video with one kind of frame has
# none. Three ways out are in use: leave it out; count it as 1; or pad *every* video
# with one normal frame that scores lowest and one abnormal frame that scores highest.
# Then there is always an AUC, and no error message.
#
# The cell does so with the videos as they are, and with the cut ones of section 3, of
# which many have one kind of frame.
#
# **Predict:** what is the padded AUC of a video without any anomaly?

# %%
macro = {}
for rule in vad.metrics.ONE_SIDED:
    whole = vad.metrics.macro_auc(labels, raw, rule)
    cut = vad.metrics.macro_auc(truth, pieces, rule)
    macro[rule] = (whole[0], cut[0])
    print(
        f"{rule:9} {whole[0]:.3f}, cut {cut[0]:.3f} "
        f"({cut[1]} of {len(pieces)} pieces have frames of one class only)"
    )

# %% [markdown]
# Padding should raise the mean:

# %%
pairs["macro AUC, padded"] = (macro["left_out"][0], macro["padded"][0])
pairs["macro AUC, videos cut, padded"] = (macro["left_out"][1], macro["padded"][1])
assert macro["padded"][1] > macro["left_out"][1]

# %% [markdown]
# Almost 1: its only abnormal frame is the padded one, which wins all comparisons but a
# tie. So videos in which nothing can be shown count as solved. Where a video has both
# kinds, padding never lowers its AUC either: all pairs that are added are right, or no
# worse than those that were there. The gift grows with the share of videos of one kind;
# where both kinds occur it is larger the shorter the video.
#
# How honest is the mean without them? See on how many pieces it rests: with few, it is
# a number of a few seconds of film.
#

# **Instead:** leave such videos out, and say how many are left; where those are few, do
# not lean on the macro AUC.
#
# ## 5 Dropped borders
#
# The published protocol scores the middle frame of each clip, so the first 8 and last 7
# frames of a video get no score (`center`). `scored_frames` names the frames that are
# left. Here the *scores stay the same*; only frames are left out of the comparison.
#
# **Predict:** which way will the AUC go? Are the frames at a video's ends easier or
# harder than the others?

# %%
inner_labels, inner_raw = {}, {}
for name in labels:
    frames = course.scored_frames(len(labels[name]), run.data, "center")
    inner_labels[name] = labels[name][frames]
    inner_raw[name] = raw[name][frames]
inner = vad.metrics.micro_auc(inner_labels, inner_raw)

# %% [markdown]
# The two AUCs:

# %%
print(f"all frames {honest:.4f}, without the border frames {inner:.4f}")
pairs["border frames dropped"] = (honest, inner)
assert -0.005 < inner - honest < 0.03, "a small step"

# %% [markdown]
# A small step, and no law gives its sign: it depends on what happens to be going on
# when a recording begins and ends, and on how well these frames are scored. Fewer clips
# show them, so their errors are averages of less.
#
# **Instead:** score every frame (`all`), or name the protocol beside the number.
#
# ## 6 Two ground truths
#
# For Avenue two sets of labels are in use (notebook 01): `vol`, made of the authors'
# masks, and `community`, a file that circulates. If `VADLIB_DATA` has both, the cell
# compares them; else it compares this dataset's labels with a made-up second opinion,
# `widened`: a more generous annotator lets each event begin 5 frames earlier and end 5
# frames later. Our scores are of this dataset's videos, so for them the last lines take
# that second opinion in any case.
#
# **Predict:** by how much will the AUC of our scores change: as much as between two
# rows of a paper's table?

# %%
truths = course.two_ground_truths(test)
first, second = [np.concatenate(list(part.values())) for part in truths.values()]
print(
    f"{' and '.join(truths)} differ on {np.sum(first != second)} of {len(first)} frames"
)

# %% [markdown]
# Our scores, judged by this dataset's labels and by the second opinion:

# %%
wider = {name: course.widen_events(truth) for name, truth in labels.items()}
second_opinion = vad.metrics.micro_auc(wider, raw)
print(f"AUC by the labels {honest:.4f}, by the second opinion {second_opinion:.4f}")
pairs["events 5 frames wider"] = (honest, second_opinion)
assert 0.001 < abs(second_opinion - honest) < 0.1, "ten frames per event should be seen"

# %% [markdown]
# Nobody is wrong here; "when does it begin?" has no exact answer. Papers argue about
# the third digit, and the label file moves it. Which way is no law: scores that are
# averaged over many frames begin early and end late, and so may suit a generous
# annotator better than a strict one.
#
# **Instead:** name the ground truth (`vadlib` writes it into `metrics.json`), and
# compare only numbers that share it.
#
# ## 7 Chosen on test labels
#
# Scores may be smoothed over time before they are stretched per video. How widely? And
# a score can be made from the same errors in many ways: of the error, with the contrast
# of `D_n` and `D_p` or without, over windows of five sizes. Try some of each and take
# the best. The catch: "best" is asked of the *test labels*. `oracle_gap` says which
# candidate has the largest AUC on them, and by how much it beats vadlib's default:
# width 0, no smoothing; and error and contrast alike, the error over windows of 32
# pixels, `(1, 1, 32)`. (`None` for a window is the whole frame.)
#
# **Predict:** can such a gap be negative? Can it be 0?

# %%
widths = {}
for sigma in (0, 1, 2, 4, 8, 16, 32):
    widths[sigma] = result.rescore("per_video", smoothing=sigma)

# %% [markdown]
# And the 15 scores, each named by its two weights and its window:

# %%
variants = {}
for plain, contrast in [(1, 1), (1, 0), (2, 1)]:
    for window in (8, 16, 32, 64, None):
        scores = result.rescore(plain=plain, contrast=contrast, window=window)
        variants[plain, contrast, window] = scores

# %% [markdown]
# The best of each, over its default:

# %%
width, gap = course.oracle_gap(widths, labels, default=0)
variant, gain = course.oracle_gap(variants, labels, default=(1, 1, 32))
print(f"best width {width}: {gap:+.3f}; best score {variant}: {gain:+.3f}")
pairs[f"smoothing over {width}, the best of 7"] = (minmax, minmax + gap)
pairs["score, the best of 15"] = (honest, honest + gain)

# %% [markdown]
# Never negative: the default is one of the candidates, so at worst it is the best
# itself, and the gap 0. That is the trap. A choice made on the test labels *always*
# gains or breaks even, whatever is chosen: width, window, weights, seed, epoch. The
# published code asks the test labels after every epoch. We keep no model of each epoch
# here, so our candidates are ways of scoring.
#
# Choosing on all test videos claims only what this line says. But is it real? Ask
# videos that took no part in the choice: the test videos are split into halves. We
# choose on one half, which gives the *claimed* gain over the default; then we look what
# that same choice gains on the other half, the *true* gain. Then the halves change
# roles, and both results are averaged. And so for 50 splits: the first figure is for
# the widths, the second for the 15 ways of scoring.
#
# **Predict:** claimed gains are never negative. What do you expect of the true ones?

# %%
smoothing = course.split_gains(widths, labels, default=0)
claimed, true = smoothing.mean(0)
course.show(
    course.plot_selection_gains(smoothing),
    f"Choosing a smoothing: on average {claimed:+.3f} claimed and {true:+.3f} true.",
)

# %% [markdown]
# The same for the 15 scores:

# %%
scoring = course.split_gains(variants, labels, default=(1, 1, 32))
claimed, true = scoring.mean(0)
course.show(
    course.plot_selection_gains(scoring),
    f"Choosing a score: on average {claimed:+.3f} claimed and {true:+.3f} true.",
)
assert 0.005 < claimed - true < 0.2, "with so few videos the optimism should be visible"

# %% [markdown]
# The distance between the two means is the *optimism* of choosing on test labels.
# Averaged over both roles it cannot be negative: a half's own winner is at least as
# good there as the other half's winner. How much of a claim is real depends on the
# candidates and on the data. Here neither the widths nor the scores have much to win
# over the default. So what is claimed is mostly luck, and a negative true gain means
# that the setting which looked best was a change for the worse. With a poor default
# there is more to win, and more of a claim is real.
#
# These are gains of halves: few videos, so much luck. The halves are also each other's
# rest: what is lucky in one is unlucky in the other. So the mean on the other half is a
# cautious one.
#
# **Instead:** choose on held-out normal videos with pseudo-anomalies, as was done for
# vadlib's window and weights (`benchmarks/choose_score.py`). If test labels must be
# used, choose on one half and report the other. Give the mean and the spread over
# seeds, never the best seed.
#
# > **Common mistake.** "The test labels were never used for training." They need not
# > be: whoever looks at the test AUC, changes something and looks again, is training on
# > it, only slowly and by hand. Count how often you have looked.
#
# ## 8 The best of twenty detectors that know nothing
#
# How far can luck alone get? Twenty "seeds" of a detector that draws its scores by
# chance; then the same, smoothed and stretched per video, as real scores are.
#
# **Predict:** the mean of the twenty is near 0.5 in both cases. And the best of them?

# %%
random_scores = []
for seed in range(20):
    scores = {}
    for i, name in enumerate(labels):
        scores[name] = np.random.default_rng([seed, i]).random(len(labels[name]))
    random_scores.append(scores)

# %% [markdown]
# Their AUCs, without and with smoothing:

# %%
chance, lucky = [], []
for scores in random_scores:
    chance.append(vad.metrics.micro_auc(labels, scores))
    smoothed = {name: course.smooth(part, 16) for name, part in scores.items()}
    lucky.append(vad.metrics.micro_auc(labels, vad.metrics.per_video(smoothed)))
print(
    f"by chance: mean {np.mean(chance):.3f}, best {max(chance):.3f}; "
    f"smoothed: mean {np.mean(lucky):.3f}, best {max(lucky):.3f}"
)

# %% [markdown]
# Smoothing makes neighbours alike. Hundreds of frames become a handful of independent
# bumps, and a handful of coin tosses may well fall on the right side. The same holds
# for real scores: their AUC rests on a few events, not on thousands of frames.

# %%
pairs["random scores, smoothed, best of 20"] = (0.5, max(lucky))
assert abs(np.mean(chance) - 0.5) < 0.02, "chance should give one half"
assert max(lucky) > max(chance) + 0.02, "smoothing should give more luck"

# %% [markdown]
# **Instead:** report an interval over *videos*, as section 1 did; and the best baseline
# of notebook 00 beside the model.
#
# ## 9 All of them
#
# **Predict:** before you look: which trap is the largest? Which of them make a number
# too good (orange, hatched), and which too bad (blue)?

# %%
print(f"{'':38}before -> in the trap")
for trap, (before, after) in pairs.items():
    print(f"{trap:38}{before:.4f} -> {after:.4f}{after - before:+9.4f}")
course.show(
    course.plot_auc_shifts(pairs),
    f"Shifts of the AUC by {len(pairs)} traps, as bars with their signs; "
    "the table above has the numbers.",
)

# %% [markdown]
# Mistakes, such as shifted labels, mostly make a number worse: somebody wonders, and
# finds them in the end. What was chosen, or padded, makes it better, and nobody goes
# looking for the reason. Many bars are smaller than the interval of section 1 is wide.
# That alone does not make them luck: the two numbers of a trap come from the same
# videos, so the interval of their *difference* would count. But in a table of papers
# nobody can see which of these steps are in a number.
#
# ## A checklist for a table of results
#
# 1. **Which AUC?** Micro or macro; of the raw, the calibrated or the per-video scores?
# 2. **Which videos?** All of the test set? How many have one kind of frame only, and
#    what became of them?
# 3. **Which frames?** All, or were borders dropped?
# 4. **Whose labels?** The name of the ground truth, and how labels were matched to
#    frames.
# 5. **Chosen how?** Epoch, smoothing, window, weights: on what were they chosen? "Best"
#    often means: on the test labels.
# 6. **How many seeds?** Mean and spread, or one lucky number?
# 7. **How sure?** Draw the same videos for both methods: does the interval of the
#    *difference* exclude 0?
# 8. **Compared with what?** The best baseline without learning, under the same protocol
#    and by the same metric?

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 09-1.** A program gives the score of each clip to the clip's first frame;
# it belongs to the middle one, number 8 of 0 to 15. By how many frames must its labels
# be shifted to fit its scores again, and in which direction? Give the `k` for
# `shift_labels(labels, k)`.

# %% tags=["exercise"]
answer = -8
course.check_answer("09-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 09-1.** Scores come 8 frames early, so labels must come early too.

# %% [markdown]
# **Exercise 09-2.** Suppose that each video was filmed in another light, and that this
# adds a number of its own to all of its scores. Which of the three change: `"micro"`
# (of the raw scores), `"per_video"` (micro, of the min-max scores), `"macro"`? Give a
# set of names.

# %% tags=["exercise"]
answer = {"micro"}
course.check_answer("09-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 09-2.** Within a video the order of the frames stays, so the macro AUC does;
# min-max takes the number away again. One threshold for all videos, as in practice, is
# what suffers. That is why min-max is popular, and why the macro AUC is no promise that
# a detector can be used.

# %% [markdown]
# How much is at stake: each video's scores are raised by 2 more than those of the one
# before.

# %%
shifted = {}
for i, name in enumerate(raw):
    shifted[name] = raw[name] + 2 * i
auc = vad.metrics.micro_auc(labels, shifted)
print(f"micro AUC: as filmed {honest:.3f}, each video in another light {auc:.3f}")

# %% [markdown]
# ## Summary
#
# - One frame off is invisible in the AUC; a clip off is not. Plot the AUC against the
#   shift.
# - Min-max per video depends on where videos end; padding counts videos without an
#   answer as solved.
# - Borders and ground truths move a number less, but by as much as neighbouring rows of
#   papers' tables may differ.
# - The best of several candidates is never worse than the default on the labels it was
#   chosen on, and often is elsewhere.
# - Few videos are few examples, however many frames they have.
#
# ## References
#
# - G. C. Cawley, N. L. C. Talbot: *On Over-fitting in Model Selection and Subsequent
#   Selection Bias in Performance Evaluation*, Journal of Machine Learning Research 11,
#   2010: what choosing on the test does, in general
# - B. Ramachandra, M. J. Jones, R. R. Vatsavai: *A Survey of Single-Scene Video Anomaly
#   Detection*, IEEE Transactions on Pattern Analysis and Machine Intelligence, 2022:
#   datasets, protocols and metrics of this field
