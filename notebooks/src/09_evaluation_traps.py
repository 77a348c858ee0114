# %% [markdown]
# # Evaluation traps: the same scores, other numbers
#
# One set of scores can give many numbers. Some differences are mistakes, some are
# choices that a paper should state, and some come from looking at the answers first.
# Here you fall into each trap on purpose, with the scores of one model, and measure how
# far it moves the AUC.
#
# **After it you can**
#
# - look for labels that are some frames off, with the AUC against a shift, and say what
#   that curve cannot show,
# - say how min-max scaling per video, padding, dropped borders and another ground truth
#   change a number, and in which direction,
# - tell a gain that comes from tuning on the test labels from one that generalises,
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
# `load_pretrained` loads a model that ships with `vadlib`. Here we test it on *all*
# test videos, in the quick profile too, because one topic is what goes wrong with few
# videos. Lines with `assert` stop the notebook if a claim of the text does not hold.

# %%
data = course.tutorial_data()
run, test = vad.load_pretrained(data), vad.load_videos(data, "test")

# %% [markdown]
# The model runs once, in `evaluate_once`, or not at all if notebook 07 has stored its
# result (otherwise it takes most of a minute). Everything below uses this result: the
# raw scores, the error maps from which `rescore` computes other scores, and the labels.
# `pairs` collects the honest number and the number in the trap, for each trap.

# %%
result = course.evaluate_once(run, test, course.run_folder(f"pretrained-{data}"))
raw, labels = result.raw, result.labels
honest = result.metrics["micro_auc_raw"]
low, high = result.metrics["intervals"]["micro_auc_raw"]
print(f"micro AUC of the raw scores {honest:.3f}; 95% interval {low:.3f} to {high:.3f}")
pairs = {}

# %% [markdown]
# Keep that interval in mind. It says how much the number would change with other videos
# of the same type, and many a "gain" is far smaller. (Two scores of the *same* videos
# share much of this chance. For them the interval of the difference counts.)
#
# ## 2 Labels that are some frames off
#
# Files count from 1, frames from 0. A clip of 16 frames gives one score: does it belong
# to the first frame, the last, or the middle one? Half a clip is between one and the
# next. Nothing warns you: all lengths still match.
#
# `shift_labels(labels, k)` makes each label come `k` frames late: frame `t` gets the
# label of `t - k`.
#
# **Predict:** what does an off-by-one error cost? What do 8 frames cost, and does the
# direction matter?

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
# One frame costs next to nothing, and may even *gain* a little. Events last dozens of
# frames, and a shift by one changes at most two labels of each, or none if an event
# fills its video. That is why this mistake is so hard to see. A shift by half a clip
# shows in the mean of both directions, but in one direction alone it may cost nothing.
# A shift by a whole clip shows in each direction.
#
# The curve may not peak at 0. A person who rides into the picture is abnormal from the
# first visible wheel on, but the error grows with the visible part. So scores come
# late, and labels that also come late suit them. A curve that leans to one side
# therefore proves no mistake. A curve with a peak at 8 or 15 is a reason to look into
# the code.

# %%
assert np.ptp([areas[-1], honest, areas[1]]) < 0.01
assert (areas[-8] + areas[8]) / 2 < honest - 0.003
assert max(areas[-16], areas[16]) < honest - 0.003

# %% [markdown]
# **Instead:** match labels by the name of the video and by position, never by the
# number in a file's name. Stop if lengths differ. Plot this curve once for each
# dataset. (`vadlib` does the first two when it loads videos.)
#
# ## 3 Min-max scaling per video
#
# Many papers scale the scores of each video to [0, 1] before they pool the frames. This
# uses the whole video, including its future. And it forces a 0 and a 1 into each video,
# even if nothing happens in it, or something all the time.
#
# How much that matters depends on something that should not matter at all: where one
# video ends and the next begins. `cut_into_pieces` cuts the same frames into videos of
# 40 frames, as if the camera had started a new file every few seconds.
#
# **Predict:** how does cutting change the micro AUC of the raw scores? And that of the
# min-max scores?

# %%
pieces, truth = course.cut_into_pieces(raw, 40), course.cut_into_pieces(labels, 40)
raw_cut = vad.metrics.micro_auc(truth, pieces)
minmax = result.metrics["micro_auc_per_video"]
minmax_cut = vad.metrics.micro_auc(truth, vad.metrics.per_video(pieces))
print(f"raw:     {honest:.3f}, videos cut {raw_cut:.3f}")
print(f"min-max: {minmax:.3f}, videos cut {minmax_cut:.3f}")

# %% [markdown]
# Only the min-max number should fall:

# %%
pairs["min-max per video"] = (honest, minmax)
pairs["min-max, videos cut"] = (minmax, minmax_cut)
assert raw_cut == honest
assert minmax_cut < minmax - 0.03

# %% [markdown]
# The frames are the same and so are their raw scores, so the raw AUC is identical to
# the last digit. The min-max AUC falls far. In a piece that is normal throughout, the
# largest score becomes 1, a false alarm. In a piece that is abnormal throughout, the
# smallest becomes 0, a miss. The test set of Ped2 contains four such videos without any
# cutting, the rendered street none. So without cutting ("min-max per video" in the
# table of section 9) the shift may have either sign.
#
# Why is it so common, then? Because it removes differences between videos that have
# nothing to do with anomalies: light, distance, the number of people. Exercise 09-2
# shows how large that effect can be.
#
# **Instead:** compare errors with those of held-out *normal* videos (the calibrated
# score), and show the raw number beside it. Compare a per-video number only with
# per-video numbers.
#
# ## 4 Padding in the macro AUC
#
# The macro AUC is the mean of the AUCs of the videos. A video with frames of one class
# has none. Three solutions are in use: leave it out; count it as 1; or pad *every*
# video with one normal frame that scores lowest and one abnormal frame that scores
# highest. Then there is always an AUC, and no error message.
#
# The cell does all three with the whole videos, and with the cut ones of section 3,
# many of which have frames of one class only.
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
# Padding should increase the mean:

# %%
pairs["macro AUC, padded"] = (macro["left_out"][0], macro["padded"][0])
pairs["macro AUC, videos cut, padded"] = (macro["left_out"][1], macro["padded"][1])
assert macro["padded"][1] > macro["left_out"][1]

# %% [markdown]
# Almost 1: its only abnormal frame is the padded one, which wins all comparisons except
# a tie. So videos in which nothing can be shown count as solved. If a video has both
# classes, padding never lowers its AUC either: all additional pairs are right, or no
# worse than the others. The bias grows with the share of single-class videos. Among
# videos with both classes, it is larger for shorter videos.
#
# How honest is the mean without them? Look at how many pieces it uses. If they are few,
# the number describes a few seconds of video.
#
# **Instead:** leave such videos out, and say how many are left. If those are few, do
# not rely on the macro AUC.
#
# ## 5 Dropped borders
#
# The published protocol scores the middle frame of each clip, so the first 8 and last 7
# frames of a video get no score (`center`). `scored_frames` returns the frames that are
# left. Here the *scores stay the same*; we only leave frames out of the comparison.
#
# **Predict:** in which direction will the AUC change? Are the frames at the ends of a
# video easier or harder than the others?

# %%
inner_labels, inner_raw = {}, {}
for name in labels:
    frames = course.scored_frames(len(labels[name]), run.config.clips, "center")
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
# A small change, and its sign is not predictable. It depends on what happens when a
# recording begins and ends, and on how well these frames are scored. Fewer clips show
# them, so their errors are averages of fewer values.
#
# **Instead:** score every frame (`all`), or name the protocol beside the number.
#
# ## 6 Two ground truths
#
# For Avenue two sets of labels are in use (notebook 01): `vol`, from the authors'
# masks, and `community`, a file in circulation. If `VADLIB_DATA` has both, the cell
# compares them. Otherwise it compares this dataset's labels with a made-up second
# opinion, `widened`: a more generous annotator lets each event begin 5 frames earlier
# and end 5 frames later.
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
# Our scores belong to this dataset's videos. So for them we use the second opinion in
# any case:

# %%
wider = {name: course.widen_events(truth) for name, truth in labels.items()}
second_opinion = vad.metrics.micro_auc(wider, raw)
print(f"AUC by the labels {honest:.4f}, by the second opinion {second_opinion:.4f}")
pairs["events 5 frames wider"] = (honest, second_opinion)
assert 0.001 < abs(second_opinion - honest) < 0.1, "ten frames per event should be seen"

# %% [markdown]
# Nobody is wrong here: "when does it begin?" has no exact answer. Papers argue about
# the third digit, and the label file changes it. The direction is not predictable.
# Scores that are averaged over many frames begin early and end late, and so may suit a
# generous annotator better than a strict one.
#
# **Instead:** name the ground truth (`vadlib` writes it into `metrics.json`), and
# compare only numbers with the same one.
#
# ## 7 Chosen on test labels
#
# You can smooth scores over time before they are scaled per video. How widely? And the
# same errors give many scores: with or without the contrast of `D_n` and `D_p`, over
# windows of five sizes. We try seven smoothing widths and 15 scores and choose the best
# of each. The catch: "best" refers to the *test labels*. `oracle_gap` returns the
# candidate with the largest AUC on them, and by how much it exceeds vadlib's default.
# The default is width 0, no smoothing; and equal weights of error and contrast with
# windows of 32 pixels, `(1, 1, 32)`. (`None` for a window is the whole frame.)
#
# **Predict:** can such a gap be negative? Can it be 0?

# %%
widths = {}
for sigma in (0, 1, 2, 4, 8, 16, 32):
    widths[sigma] = result.rescore("per_video", smoothing=sigma)

# %% [markdown]
# The 15 scores, each named by its two weights and its window:

# %%
variants = {}
for plain, contrast in [(1, 1), (1, 0), (2, 1)]:
    for window in (8, 16, 32, 64, None):
        scores = result.rescore(plain=plain, contrast=contrast, window=window)
        variants[plain, contrast, window] = scores

# %% [markdown]
# The best of each, compared with its default:

# %%
width, gap = course.oracle_gap(widths, labels, default=0)
variant, gain = course.oracle_gap(variants, labels, default=(1, 1, 32))
print(f"best width {width}: {gap:+.3f}; best score {variant}: {gain:+.3f}")
pairs[f"smoothing over {width}, the best of 7"] = (minmax, minmax + gap)
pairs["score, the best of 15"] = (honest, honest + gain)

# %% [markdown]
# Never negative: the default is one of the candidates, so in the worst case it is the
# best itself and the gap is 0. That is the trap. A choice on the test labels *always*
# gains or breaks even, whatever you choose: width, window, weights, seed, epoch. The
# published code uses the test labels after every epoch. We keep no model of each epoch
# here, so our candidates are scores.
#
# This line contains everything that a choice on all test videos claims. Is the gain
# real? Use videos that took no part in the choice. We split the test videos into
# halves. We choose on one half, which gives the *claimed* gain over the default. Then
# we measure the gain of the same choice on the other half, the *true* gain. Then the
# halves swap roles, and both results are averaged. We repeat this for 50 random splits.
# The first figure shows the smoothing widths, the second the 15 scores.
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
# Averaged over both roles it cannot be negative, because the winner of a half is at
# least as good there as the winner of the other half. How much of a claim is real
# depends on the candidates and on the data. Here neither the widths nor the scores have
# much to gain over the default. So most of the claim is luck, and a negative true gain
# means that the apparently best setting was a change for the worse. With a poor default
# there is more to gain, and more of a claim is real.
#
# These are gains on halves: few videos, so much luck. The halves also complement each
# other: what is lucky in one is unlucky in the other. So the mean on the other half is
# conservative.
#
# **Instead:** choose on held-out normal videos with pseudo-anomalies, as we did for
# vadlib's window and weights (`benchmarks/choose_score.py`). If you must use test
# labels, choose on one half and report the other. Give the mean and the spread over
# seeds, never the best seed.
#
# > **Common mistake.** "The test labels were never used for training." That is not
# > enough. If you look at the test AUC, change something and look again, you train on
# > it, only slowly and by hand. Count how often you have looked.
#
# ## 8 The best of twenty detectors that know nothing
#
# How far can luck alone get? We take twenty seeds of a detector that outputs random
# scores. Then we take the same scores, smoothed and scaled per video as real scores
# are.
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
# Smoothing makes neighbours similar. Hundreds of frames become a handful of independent
# bumps, and a handful of coin tosses may well all be right. The same holds for real
# scores: their AUC rests on a few events, not on thousands of frames.

# %%
pairs["random scores, smoothed, best of 20"] = (0.5, max(lucky))
assert abs(np.mean(chance) - 0.5) < 0.02, "chance should give one half"
assert max(lucky) > max(chance) + 0.02, "smoothing should give more luck"

# %% [markdown]
# **Instead:** report an interval over *videos*, as in section 1, and the best baseline
# of notebook 00 beside the model.
#
# ## 9 All traps
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
# Mistakes, such as shifted labels, mostly make a number worse. Someone wonders about
# it, and finds the mistake in the end. Choices on test labels and padding make it
# better, and nobody looks for the reason. Many bars are smaller than the width of the
# interval in section 1. That alone does not make them luck: the two numbers of a trap
# come from the same videos, so the interval of their *difference* counts. But in a
# table of papers nobody can see which of these steps a number contains.
#
# ## A checklist for a table of results
#
# 1. **Which AUC?** Micro or macro? Of the raw, the calibrated or the per-video scores?
# 2. **Which videos?** All of the test set? How many have frames of one class only, and
#    how were they treated?
# 3. **Which frames?** All, or were borders dropped?
# 4. **Whose labels?** Which ground truth, and how were labels matched to frames?
# 5. **Chosen how?** On which data were epoch, smoothing, window and weights chosen?
#    "Best" often means: on the test labels.
# 6. **How many seeds?** Mean and spread, or one lucky number?
# 7. **How certain?** Does the interval of the *difference* on the same videos exclude
#    0?
# 8. **Compared with what?** With the best baseline without learning, under the same
#    protocol and by the same metric?

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 09-1.** A program assigns the score of each clip to the clip's first frame.
# It belongs to the middle frame, number 8 of 0 to 15. By how many frames must you shift
# its labels to match its scores again, and in which direction? Answer with the `k` for
# `shift_labels(labels, k)`.

# %% tags=["exercise"]
answer = -8
course.check_answer("09-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 09-1.** The scores come 8 frames early, so the labels must come early too.

# %% [markdown]
# **Exercise 09-2.** Suppose that each video was filmed in another light, which adds a
# constant to all scores of that video. Which of the three AUCs change: `"micro"` (of
# the raw scores), `"per_video"` (micro, of the min-max scores), `"macro"`? Answer with
# a set of names.

# %% tags=["exercise"]
answer = {"micro"}
course.check_answer("09-2", answer)

# %% [markdown] tags=["solution"]
# **Answer 09-2.** Within a video the order of the frames stays, so the macro AUC stays,
# too. Min-max scaling removes the constant. Only one threshold for all videos, as in
# practice, suffers. That is why min-max scaling is popular, and why a good macro AUC
# does not promise a usable detector.

# %% [markdown]
# To see the size of the effect, we raise the scores of each video by 2 compared with
# the previous one.

# %%
shifted = {}
for i, name in enumerate(raw):
    shifted[name] = raw[name] + 2 * i
auc = vad.metrics.micro_auc(labels, shifted)
print(f"micro AUC: as filmed {honest:.3f}, each video in another light {auc:.3f}")

# %% [markdown]
# ## Summary
#
# - One frame off is invisible in the AUC, a clip off is not. Plot the AUC against the
#   shift.
# - Min-max scaling per video depends on where videos end. Padding counts videos without
#   an answer as solved.
# - Borders and ground truths change a number less, but by as much as neighbouring rows
#   of papers' tables may differ.
# - The best of several candidates is never worse than the default on the labels that
#   chose it, and often worse elsewhere.
# - Few videos are few examples, however many frames they have.
#
# ## References
#
# - G. C. Cawley, N. L. C. Talbot: *On Over-fitting in Model Selection and Subsequent
#   Selection Bias in Performance Evaluation*, Journal of Machine Learning Research 11,
#   2010: the effect of choosing on the test set, in general
# - B. Ramachandra, M. J. Jones, R. R. Vatsavai: *A Survey of Single-Scene Video Anomaly
#   Detection*, IEEE Transactions on Pattern Analysis and Machine Intelligence, 2022:
#   datasets, protocols and metrics of this field
