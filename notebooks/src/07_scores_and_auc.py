# %% [markdown]
# # Scores and AUC: from errors to a number
#
# A model gives an error at every pixel. A paper prints one number. This notebook takes
# you from one to the other: errors become a score for each frame, scores become alarms,
# and alarms are counted. Every step involves a choice, and each choice changes the
# number.
#
# **After it you can**
#
# - compute different scores from the same errors, and say what each of them depends on,
# - compute an ROC curve and its area by counting, without a library,
# - say what micro, macro, raw, calibrated and per-video mean, and which of them a live
#   camera could use,
# - give an AUC with an interval, and say how many alarms per hour a threshold would
#   cause.
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
# ## 1 A trained run
#
# `load_pretrained` loads a model that ships with `vadlib`: the same network as in
# notebook 00, trained for longer and on all clips. Its folder holds the weights, the
# settings and the calibration. We score all test videos, in the quick profile too.

# %%
data = course.tutorial_data()
run, test = vad.load_pretrained(data), vad.load_videos(data, "test")

# %% [markdown]
# `evaluate` sends every test video through the model *once*. It keeps three error maps
# for each frame, with means over squares of 8 x 8 pixels: the error of `D_n`, the error
# of its *motion* (differences of consecutive frames), and the error of `D_p`. All
# scores below are computed from these maps, without the model. `result.raw` holds the
# raw scores, `result.scores` the calibrated ones (section 4). `evaluate_once` stores
# the result for the next time and for notebook 09.

# %%
result = course.evaluate_once(run, test, course.run_folder(f"pretrained-{data}"))
name = test[3].name
error = result.videos[name].maps["plain"]
print(f"video {name}: {len(error)} frames, maps of {error.shape[1:]} squares")

# %% [markdown]
# ## 2 From a map to one score
#
# The simplest score is the mean error of all reconstructed squares. (Many papers use
# the PSNR, the peak signal-to-noise ratio. Up to a factor, it is minus the logarithm of
# the mean error of the whole picture.) But an anomaly is small. So you can use the
# *highest-error window* instead: the largest mean over a window of 32 x 32 pixels.
# Errors also flicker from frame to frame. So you can first average them at each place
# over 16 frames.
#
# Here and below, raw scores use logarithms of errors, so they are negative. In these
# first three scores only `D_n`'s error counts. `rescore` takes the differences from the
# default: the weights `plain` (the error), `temporal` and `contrast`; the side of the
# `window` in pixels (`None`: no window); the share `mean` of the whole frame beside it;
# the number of `frames` averaged; and `smoothing`.
#
# **Predict:** in the video below, which of the three curves will be the roughest? Can
# averaging do harm?

# %%
alone = {"contrast": 0}
settings = {
    "whole frame": alone | {"window": None, "frames": 1},
    "highest-error window": alone | {"frames": 1},
    "highest-error window, 16 frames": alone,
}

# %% [markdown]
# The three curves:

# %%
figure, axes = plt.subplots(3, 1, figsize=(9, 5.4), sharex=True, layout="constrained")
for ax, title in zip(axes, settings, strict=True):
    curves = result.rescore(**settings[title])
    vad.plots.plot_scores(result, name, ax, curves).set_title(title, loc="left")
course.show(
    figure,
    f"Three scores of video {name}: whole frame, highest-error window, "
    "highest-error window averaged over 16 frames.",
)

# %% [markdown]
# You cannot compare heights between panels. What counts is whether the shaded part is
# above the rest *of the same curve*. The curves of single frames are rough, and
# averaging smooths them. A score then depends on 8 frames before it and 7 after, so
# each event spreads to both sides. Averaging can also do harm: a fast object is soon
# somewhere else, and at each place it is averaged away. See whether a shaded part
# becomes lower in the third panel.
#
# Now all test videos, and more scores. The next three keep the 16 frames. `temporal` is
# the error of `D_n`'s motion in its highest-error window. `contrast` is the ratio of
# `D_n`'s error to `D_p`'s over the whole frame: `D_p` has learned to reconstruct
# pseudo-anomalies, so something is unusual where it does better than usual compared
# with `D_n`. `default` is the mean of the third score above and the contrast. The last
# two scores follow the published code's second release: 0.6 x the 8 x 8 square with the
# highest error + 0.4 x the mean (there of errors, here of their logarithms), without
# and with its smoothing by a Gaussian of 32 frames. *Per video* scales the scores of
# each video to [0, 1].
#
# **Predict:** will the two columns agree on the best row? And if you now choose the
# best one, what have you done?

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
# The columns may disagree. If you choose the best row of this table, you have chosen it
# on the test labels, and its number is no longer honest. Notebook 09 measures how much
# such a choice claims. The default of `vadlib` (the highest-error window and the
# contrast, over 16 frames) was chosen on held-out *normal* videos with inserted
# pseudo-anomalies. It is not always the best row here.
#
# And without learning? Here is the best of the eight baselines of notebook 00, for each
# column.

# %%
train = vad.load_videos(data, "train")
simple = vad.measure_baselines(course.baseline_scores(train, test), result.labels)
for metric in ("micro_auc_raw", "micro_auc_per_video"):
    best = vad.best_baseline(simple, metric)
    print(f"{metric:30} {simple[best][metric]:.3f}  {best}")

# %% [markdown]
# The two columns may have different best baselines, too. We chose these on the test
# labels, but in favour of the baselines: this makes the comparison harder for the
# model, not easier. A score has a meaning where it exceeds these numbers.
#
# > **Common mistake.** Smoothing is free, so more smoothing is better. A Gaussian of 32
# > frames spans most of a short video and looks seconds into the future. It may help
# > the per-video number if events are long. If they are short, it removes them. What
# > did it do here? Compare the last two rows. A camera that must raise an alarm *now*
# > can only look back: `rescore(causal=True)`.
#
# ## 3 An ROC curve by counting
#
# Choose a threshold: frames above it raise an alarm. The *true-positive rate* is the
# share of the abnormal frames that do, and the *false-positive rate* is the share of
# the normal ones that do. Every threshold gives one point. We go through all of them,
# from high to low.
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
# The curve and its area:

# %%
figure, ax = plt.subplots(figsize=(3.6, 3.4), layout="constrained")
ax.plot(false_rate, true_rate, [0, 1], [0, 1], ":")
ax.set(xlabel="false-positive rate", ylabel="true-positive rate", aspect="equal")
course.show(figure, "The ROC curve that was counted, and dotted that of guessing.")
auc = vad.metrics.micro_auc(result.labels, result.raw)
print(f"area of the steps {by_steps:.4f}; vad.metrics.micro_auc {auc:.4f}")

# %% [markdown]
# It begins at (0, 0), where the threshold is so high that there is no alarm, and ends
# at (1, 1). The area has a meaning of its own. Draw an abnormal and a normal frame at
# random: it is the probability that the abnormal one scores higher.

# %%
generator = np.random.default_rng(0)
abnormal = generator.choice(scores[truth == 1], 100_000)
normal = generator.choice(scores[truth == 0], 100_000)
share = np.mean(abnormal > normal)
print(f"the abnormal frame scores higher in {share:.4f} of 100,000 pairs")

# %% [markdown]
# So the AUC depends neither on a threshold nor on how rare anomalies are. There are two
# other numbers. At the *equal error rate*, the share of normal frames with a false
# alarm equals the share of abnormal frames that are missed. The *average precision* is
# the precision (the share of alarms that are right) averaged over thresholds. Both use
# the calibrated scores, which section 4 explains.
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
# sets it is far larger than on a street camera, where anomalies are rare. There, the
# same model with the same ROC curve would have a much lower precision.
#
# ## 4 Which frames are compared?
#
# `raw` puts all frames of all videos on one scale. `per_video` scales the scores of
# each video to [0, 1] first, and so needs its future. `calibrated` compares each error
# with those of held-out normal videos: `(error - usual) / deviation`, where *usual* and
# *deviation* are their mean and standard deviation. (With as few held-out frames as
# here, these mostly come from anywhere in the picture.) So at each place 0 is usual,
# and 3 is three standard deviations above it. The error's part and the contrast's part
# are averaged, and a frame gets the score of its highest place: mostly above 0 in
# normal frames, too. Raw and calibrated scores need no other frames of the test, so a
# live camera can use them (exercise 07-3 shows the price). The *macro* AUC is the mean
# of the AUCs of the videos. A video with frames of one class only has none.
#
# Here is the whole table, as `vadlib evaluate` prints it. The head of its column names
# the protocol (`all`: every frame counts) and the ground truth, after the file it comes
# from. `detection_delay` is the time in seconds from the beginning of an event to its
# first alarm.

# %%
print(course.describe_metrics(result.metrics | {"dataset": data}))

# %% [markdown]
# Look at the intervals in brackets. They are 95% bootstrap intervals: the videos are
# drawn again and again, with replacement. With other videos, the number could have been
# any of these. There are thousands of frames but few videos, and the frames of one
# video are similar.
#
# `pixel_auc` is stricter: a frame counts as detected only if 40% of its abnormal pixels
# are above the threshold. A high frame AUC with a low pixel AUC means: the right frame,
# but the wrong place, or too little of the object.
#
# ## 5 A threshold and its cost
#
# An AUC raises no alarm. The run's threshold was set on held-out normal frames: 99 of
# 100 are below it. On the test videos we count *events* and *alarms*, at half of this
# threshold, at it and at twice it. An event is a sequence of abnormal frames. It is
# detected if one frame is above the threshold. An alarm is a sequence of frames above
# the threshold. It is false if none of its frames is abnormal.
#
# **Predict:** which share of the *normal* test frames will be above the run's
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
# The last number should be 1% for the run's own threshold, the second one. It rarely
# is, for two reasons. One or two held-out videos do not show everything that is normal.
# And alarms begin before their event or outlast it. Such alarms are not false, but
# their normal frames count there. Interpret the rate per hour with care, too: these
# test sets hold about a minute of normal video, so it is a handful of alarms,
# multiplied. And one frame above the threshold is enough to detect an event, even if
# most of its frames are missed.
#
# Move the threshold yourself. The curve is that of one video. The pictures show the
# frame under the cursor, its reconstruction by `D_n`, its error, where the memory had
# to mix many slots, and the score of each place. The table counts *frames*. Recall is
# the share of the abnormal ones that are detected. Arrow keys move the sliders, and the
# buttons jump to the errors.
#
# **Predict:** when do most of the normal frames above the threshold occur, and what do
# they show?

# %%
course.Explorer(run, result, test)

# %% [markdown]
# For readers without a running kernel, here are three states of it: the clearest hit,
# false alarm and miss, each counted as a frame. (An *alarm* that also covers frames of
# an event is not false.)

# %%
for view in course.sample_views(result):
    course.show(*course.plot_explorer(run, result, test, view))

# %% [markdown]
# There are two types of false positive. Some are the beginning or the end of an event:
# clips and averages spread a large error over the neighbouring frames, while the label
# ends at once. Others are isolated; you see them at a lower threshold. Look into their
# dashed square, the highest-error window: what does it show that the training videos
# may not have shown? (The contrast belongs to the whole frame and has no place.) Missed
# frames are the first and last ones of an event, with little of it in the picture, or
# show objects that are far away or that move and look much like a pedestrian. The
# entropy is not always high on an anomaly. Notebook 08 looks into that.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 07-1.** What is the AUC of the *negative* raw scores? Derive it from
# `vad.metrics.micro_auc(result.labels, result.raw)` before you compute it.

# %% tags=["exercise"]
answer = 1 - vad.metrics.micro_auc(result.labels, result.raw)
course.check_answer("07-1", answer, raw=result.raw, labels=result.labels)

# %% [markdown] tags=["solution"]
# **Answer 07-1.** Every pair swaps its order, so the AUC becomes 1 - AUC.

# %% [markdown]
# **Exercise 07-2.** At which false-positive rate does the ROC curve of section 3 reach
# a true-positive rate of 0.8? Use `true_rate` and `false_rate`.

# %% tags=["exercise"]
answer = false_rate[np.argmax(true_rate >= 0.8)]
course.check_answer("07-2", answer, found=true_rate, false=false_rate)

# %% [markdown] tags=["solution"]
# **Answer 07-2.** It is the first point that is high enough: `np.argmax` of an array of
# truth values finds the first True.

# %% [markdown]
# **Exercise 07-3.** A camera cannot look ahead. What is the calibrated micro AUC with
# `causal=True`?

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
# - The AUC is the share of pairs in the right order. It depends neither on a threshold
#   nor on how rare anomalies are.
# - Raw, calibrated, per-video, micro and macro answer different questions. Compare only
#   numbers of the same type, and give an interval over videos.
# - A threshold comes from held-out normal videos. Judge it by detected events and false
#   alarms, not by an AUC.
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
