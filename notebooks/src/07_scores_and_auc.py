# %% [markdown]
# # Scores and AUC: from errors to a number
#
# A model leaves an error at every pixel. A paper prints one number. This notebook walks
# the way between them: errors become a score for each frame, scores become alarms, and
# alarms are counted. At every step there is a choice, and each choice moves the number.
#
# **After it you can**
#
# - make different scores from the same errors, and say what each of them looks at,
# - compute an ROC curve and its area by counting, without a library,
# - say what micro, macro, raw, calibrated and per-video mean, and which of them a live
#   camera could use,
# - give an AUC with an interval, and say what a threshold would cost in alarms an hour.
#
# **You need** notebook 00. **Time** 2.4 minutes of computing on two CPU cores in the
# quick profile, 45 minutes of reading. **Memory** 2 GB. **Download** nothing.
#
# **Words** [error](glossary.md#error), [raw, calibrated, per
# video](glossary.md#raw-calibrated-per-video), [ROC curve](glossary.md#roc-curve),
# [AUC](glossary.md#auc), [interval](glossary.md#interval),
# [threshold](glossary.md#threshold).

# %%
import matplotlib.pyplot as plt
import numpy as np
import vadlib as vad
from vadlib import course

# %% [markdown]
# ## 1 A run to look at
#
# `load_pretrained` loads a model that ships with `vadlib`: the same network as in
# notebook 00, trained for longer and on all clips. Its folder holds weights, settings,
# and what calibrates it. All test videos are scored, in the quick profile too.

# %%
data = course.tutorial_data()
run, test = vad.load_pretrained(data), vad.load_videos(data, "test")

# %% [markdown]
# `evaluate` sends every test video through the model *once*. What it keeps are three
# maps a frame, each the mean over squares of 8 x 8 pixels: the error of `D_n`, the
# error of its *motion* (differences of consecutive frames), and the error of `D_p`. All
# scores below are made from these maps; the model is not asked again. `result.raw`
# holds the raw scores, `result.scores` the calibrated ones (section 4). `evaluate_once`
# keeps the result, for the next time and for notebook 09.

# %%
result = course.evaluate_once(run, test, course.run_folder(f"pretrained-{data}"))
name = test[3].name
error = result.videos[name].maps["plain"]
print(f"video {name}: {len(error)} frames, maps of {error.shape[1:]} squares")

# %% [markdown]
# ## 2 From a map to one score
#
# The simplest score is the mean error of all squares that were rebuilt. (Many papers
# use the PSNR, peak signal-to-noise ratio: up to a factor, minus the logarithm of the
# whole picture's mean error.) But an anomaly is small. So one may take the *worst
# place* instead: the largest mean over a window of 32 x 32 pixels. Errors also flicker
# from frame to frame; so one may first average them, at each place, over 16 frames.
#
# Here and below a raw score is made of logarithms of errors: hence the minus signs. In
# these first three only `D_n`'s error counts. `rescore` takes what is to differ from
# the default: the weights `plain` (the error), `temporal` and `contrast`; the side of
# the `window` in pixels (`None`: no window), the share `mean` that the whole frame has
# beside it, the number of `frames` averaged, and `smoothing`.
#
# **Predict:** in the video below, which of the three curves will be the roughest? Can
# averaging do harm?

# %%
alone = {"contrast": 0}
settings = {
    "whole frame": alone | {"window": None, "frames": 1},
    "worst window": alone | {"frames": 1},
    "worst window, 16 frames": alone,
}
figure, axes = plt.subplots(3, 1, figsize=(9, 5.4), sharex=True, layout="constrained")
for ax, title in zip(axes, settings, strict=True):
    curves = result.rescore(**settings[title])
    vad.plots.plot_scores(result, name, ax, curves).set_title(title, loc="left")

# %% [markdown]
# The three curves:

# %%
course.show(
    figure,
    f"Three scores of video {name}: whole frame, worst window, "
    "worst window averaged over 16 frames.",
)

# %% [markdown]
# Heights cannot be compared between panels; what counts is whether the shaded part lies
# above the rest *of the same curve*. The curves of single frames are rough, and
# averaging smooths them: a score now depends on 8 frames before it and 7 after, so each
# event spreads to both sides. It can do harm, too. What moves fast is soon somewhere
# else, and at each place it is averaged away: see whether a shaded part sinks in the
# third panel.
#
# Now all test videos, and more scores. The next three keep the 16 frames: `temporal` is
# the error of `D_n`'s motion in the worst window. `contrast` is the ratio of `D_n`'s
# error to `D_p`'s, of the whole frame: `D_p` has learned to rebuild pseudo-anomalies,
# so where it does better than usual beside `D_n`, something is odd. `default` is the
# mean of the third row's score and of this one. The last two are made after the score
# of the published code's second release, 0.6 x the worst 8 x 8 square + 0.4 x the mean
# (there of errors, here of their logarithms), without and with its smoothing by a
# Gaussian of 32 frames. *Per video* stretches the scores of each video to [0, 1].
#
# **Predict:** will the two columns agree on the best row? And: if you now take the best
# one, what have you done?

# %%
settings["temporal"] = {"plain": 0, "temporal": 1, "contrast": 0}
settings["contrast"] = {"plain": 0}
settings["default"] = {}
published = alone | {"window": 8, "mean": 0.4, "frames": 1}
settings["after the published, sigma 0"] = published | {"smoothing": 0}
settings["after the published, sigma 32"] = published | {"smoothing": 32}

# %% [markdown]
# The micro AUC of each score, raw and per video:

# %%
for title, changes in settings.items():
    raw = result.rescore("raw", **changes)
    per_video = result.rescore("per_video", **changes)
    raw_auc = vad.metrics.micro_auc(result.labels, raw)
    per_video_auc = vad.metrics.micro_auc(result.labels, per_video)
    print(f"{title:30} raw {raw_auc:.3f}   per video {per_video_auc:.3f}")

# %% [markdown]
# The columns need not agree. And whoever takes the best row of this table has chosen it
# on the test labels, and its number is no longer an honest one: notebook 09 measures
# how much such a choice claims. The default of `vadlib` (the worst window of plain
# errors, and the contrast, over 16 frames) was chosen on held-out *normal* videos into
# which pseudo-anomalies had been put. It need not be the best row here.
#
# And without learning? The best of the eight baselines of notebook 00, for each column.

# %%
train = vad.load_videos(data, "train")
simple = vad.measure_baselines(course.baseline_scores(train, test), result.labels)
for metric in ("micro_auc_raw", "micro_auc_per_video"):
    best = vad.best_baseline(simple, metric)
    print(f"{metric:30} {simple[best][metric]:.3f}  {best}")

# %% [markdown]
# The two columns need not have the same best baseline, either. These were chosen on the
# test labels, too, but in the baselines' favour: the bar for the model is rather too
# high than too low. A score means something where it is above these numbers.
#
# > **Common mistake.** Smoothing is free, so one smooths more. A Gaussian of 32 frames
# > spans most of a short video and looks seconds into the future. Where events are long
# > it may help the per-video number, or not; where they are short it wipes them out.
# > What did it do here? Compare the last two rows. A camera that must raise an alarm
# > *now* can only look back: `rescore(causal=True)`.
#
# ## 3 An ROC curve by counting
#
# Choose a threshold: frames above it raise an alarm. The *true-positive rate* is the
# share of the abnormal frames that do, the *false-positive rate* that of the normal
# ones. Every threshold gives one point. We go through them all, from high to low.
#
# **Predict:** where does the curve begin, and where does it end?

# %%
scores = np.concatenate([result.raw[video] for video in result.labels])
truth = np.concatenate([result.labels[video] for video in result.labels])
order = np.argsort(-scores)
true_rate = np.append(0, np.cumsum(truth[order] == 1)) / np.sum(truth == 1)
false_rate = np.append(0, np.cumsum(truth[order] == 0)) / np.sum(truth == 0)
by_steps = np.sum(np.diff(false_rate) * true_rate[1:])

# %% [markdown]
# The curve itself, and its area:

# %%
figure, ax = plt.subplots(figsize=(3.6, 3.4), layout="constrained")
ax.plot(false_rate, true_rate, [0, 1], [0, 1], ":")
ax.set(xlabel="false-positive rate", ylabel="true-positive rate", aspect="equal")
course.show(figure, "The ROC curve that was counted, and dotted that of guessing.")
auc = vad.metrics.micro_auc(result.labels, result.raw)
print(f"area of the steps {by_steps:.4f}; vad.metrics.micro_auc {auc:.4f}")

# %% [markdown]
# It begins at (0, 0), where the threshold is so high that nothing is an alarm, and ends
# at (1, 1). The area has a meaning of its own: draw an abnormal and a normal frame at
# random; it is the probability that the abnormal one scores higher.

# %%
generator = np.random.default_rng(0)
abnormal = generator.choice(scores[truth == 1], 100_000)
normal = generator.choice(scores[truth == 0], 100_000)
share = np.mean(abnormal > normal)
print(f"the abnormal frame scores higher in {share:.4f} of 100,000 pairs")

# %% [markdown]
# So the AUC knows nothing of thresholds, and nothing of how rare anomalies are. Two
# other numbers: the *equal error rate*, where as large a share of the normal frames is
# a false alarm as of the abnormal ones is missed; and the *average precision*: the
# share of the alarms that are right, which is called precision, averaged over
# thresholds. They are of the calibrated scores, of which more below.
#
# **Predict:** what does random guessing get for the AUC, the equal error rate, and the
# average precision?

# %%
metrics = vad.metrics
random = {video: generator.random(len(part)) for video, part in result.raw.items()}
for metric in (metrics.micro_auc, metrics.equal_error_rate, metrics.average_precision):
    model_value = metric(result.labels, result.scores)
    random_value = metric(result.labels, random)
    print(f"{metric.__name__:20} model {model_value:.3f}   random {random_value:.3f}")

# %% [markdown]
# The average precision of random scores is the share of abnormal frames. In these test
# sets it is far larger than on a street camera, where anomalies are rare; there, the
# same model with the same ROC curve would have a much lower precision.
#
# ## 4 Whose frames are compared with whose?
#
# `raw` puts all frames of all videos on one scale. `per_video` stretches each video's
# scores to [0, 1] first, and so needs its future. `calibrated` compares each error with
# those of held-out normal videos: `(error - usual) / deviation`, where *usual* and
# *deviation* are mean and standard deviation there (with as few held-out frames as
# here, mostly: anywhere in the picture). So at each place 0 is usual, and 3 is three
# deviations above it. The error's part and the contrast's are averaged, and a frame
# gets the score of its worst place: mostly above 0 in normal frames, too. Raw and
# calibrated scores need no other frames of the test, so a live camera can use them
# (exercise 3: at which price). The *macro* AUC is the mean of the videos' own AUCs; a
# video with frames of one kind only has none.
#
# The whole table, as `vadlib evaluate` prints it. The head of its column names the
# protocol (`all`: every frame counts) and the ground truth, after the file that it
# comes from; `detection_delay` is the time in seconds from an event's beginning to its
# first alarm.

# %%
print(course.describe_metrics(result.metrics | {"dataset": data}))

# %% [markdown]
# Look at the intervals in brackets. They come from drawing as many videos, with
# replacement, again and again: had other videos been filmed, the number might as well
# have been one of these. Frames are thousands, but videos are few, and the frames of
# one video are alike.
#
# `pixel_auc` is stricter: a frame counts as found only if 40% of its abnormal pixels
# lie above the threshold. A high frame AUC with a low pixel AUC means: the right frame,
# but the wrong place, or too little of the object.
#
# ## 5 A threshold, and what it costs
#
# An AUC raises no alarm. The run's threshold was set on held-out normal frames: 99 of
# 100 lie below it. On the test videos, at half of this threshold, at it and at twice as
# much, we count *events* (runs of abnormal frames; found if one frame is above the
# threshold) and *alarms* (runs of frames above it; false if none of their frames is
# abnormal).
#
# **Predict:** what share of the *normal* test frames will lie above the run's
# threshold: 1 of 100, fewer, or more?

# %%
calibrated = np.concatenate([result.scores[video] for video in result.labels])
for t in result.threshold * np.array([0.5, 1, 2]):
    alarms = vad.metrics.alarm_metrics(result.labels, result.scores, result.times, t)
    detected = np.mean(calibrated[truth == 1] > t)
    false = np.mean(calibrated[truth == 0] > t)
    print(
        f"threshold {t:.2f}: {alarms.events_found} of {alarms.events} events, "
        f"{alarms.false_alarms} false alarms "
        f"({alarms.false_alarms_per_hour:.0f} an hour)\n"
        f"    {detected:.0%} of the abnormal and {false:.1%} of the normal frames"
    )

# %% [markdown]
# The last column was meant to be 1% for the run's own threshold, in the second line. It
# seldom is, for two reasons. One or two held-out videos do not show everything that is
# normal. And alarms begin before their event or outlast it: those are not false, but
# their normal frames count there. Mind the rate an hour, too: these test sets hold
# about a minute of normal film, so it is a handful of alarms, multiplied. And an event
# is found by a single frame above the threshold: most of its frames may be missed all
# the same.
#
# Move the threshold yourself. The curve is that of one video; the pictures show the
# frame under the cursor, what `D_n` made of it, its error, where the memory had to mix
# many slots, and the score of each place. The table counts *frames*; recall is the
# share of the abnormal ones that are found. Arrow keys move the sliders; the buttons
# jump to what goes wrong.
#
# **Predict:** where in time will you meet most of the normal frames that lie above the
# threshold, and what will they show?

# %%
course.Explorer(run, result, test)

# %% [markdown]
# For readers without a running kernel, three states of it: the clearest hit, false
# alarm and miss, each counted as a frame. (An *alarm* that also covers frames of an
# event is not a false one.)

# %%
for view in course.sample_views(result):
    course.show(*course.plot_explorer(run, result, test, view))

# %% [markdown]
# Normal frames above the threshold come in two sorts. Some are the beginning or the
# tail of an event: clips and averages spread a large error over the frames around it,
# while the label ends at once. Others stand alone; at a lower threshold you will meet
# them. Look into their dashed square, the worst place: what is there that the training
# videos may not have shown? (The contrast is one of the whole frame, and has no place.)
# Missed frames are the first and last ones of an event, with little of it in the
# picture, or things that are far away, or that move and look much like a pedestrian.
# The entropy need not be high on an anomaly: notebook 08 looks into that.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 07-1.** What is the AUC of the *negative* raw scores? Work it out from
# `vad.metrics.micro_auc(result.raw, result.labels)` before you compute it.

# %% tags=["exercise"]
answer = 1 - vad.metrics.micro_auc(result.labels, result.raw)
course.check_answer("07-1", answer, raw=result.raw, labels=result.labels)

# %% [markdown] tags=["solution"]
# **Answer 07-1.** Every pair is turned round.

# %% [markdown]
# **Exercise 07-2.** At which false-positive rate does the ROC curve of section 3 reach
# a true-positive rate of 0.8? Use `found` and `false`.

# %% tags=["exercise"]
answer = false_rate[np.argmax(true_rate >= 0.8)]
course.check_answer("07-2", answer, found=true_rate, false=false_rate)

# %% [markdown] tags=["solution"]
# **Answer 07-2.** The first point that is high enough: `np.argmax` of an array of truth
# values finds the first that is True.

# %% [markdown]
# **Exercise 07-3.** A camera cannot look ahead. What does the calibrated micro AUC
# become with `causal=True`?

# %% tags=["exercise"]
answer = vad.metrics.micro_auc(result.labels, result.rescore("calibrated", causal=True))
course.check_answer("07-3", answer, result=result)

# %% [markdown] tags=["solution"]
# **Answer 07-3.** The average over 16 frames then comes 7 frames later, and the AUC is
# lower. The errors themselves still come from clips whose last frame is up to 15 frames
# later.

# %% [markdown]
# ## Summary
#
# - A score is a choice: which error, which place, how many frames, and whether it looks
#   ahead.
# - The AUC is a share of pairs in the right order; it knows neither thresholds nor how
#   rare anomalies are.
# - Raw, calibrated, per-video, micro and macro answer different questions. Compare like
#   with like, and give an interval over videos.
# - A threshold comes from held-out normal videos and is judged by events found and
#   false alarms, not by an AUC.
#
# ## References
#
# - T. Fawcett: *An introduction to ROC analysis*. Pattern Recognition Letters 27, 2006.
#   [doi:10.1016/j.patrec.2005.10.010](https://doi.org/10.1016/j.patrec.2005.10.010)
# - V. Mahadevan, W. Li, V. Bhalodia, N. Vasconcelos: *Anomaly detection in crowded
#   scenes*. CVPR 2010: Ped1 and Ped2 and the criterion by pixels.
#   [doi:10.1109/CVPR.2010.5539872](https://doi.org/10.1109/CVPR.2010.5539872)
# - B. Ramachandra, M. Jones: *Street Scene: A new dataset and evaluation protocol for
#   video anomaly detection*. WACV 2020. arXiv:1902.05872
