# %% [markdown]
# # Your own video
#
# The other notebooks use datasets. Here is the way for your own camera: videos in a
# folder, training on what is normal there, and one command that turns a new video into
# a table, a curve and an annotated video.
#
# **After it you can**
#
# - arrange your own videos so that `vadlib` reads them, and check them,
# - train on normal footage without a single label,
# - score a video, and read its table, its curve and its heat map,
# - choose a threshold by the false alarms that you can tolerate,
# - say what a score is worth on another camera, and what an alarm is not.
#
# **You need** notebook 00. **Time** 1.4 minutes of computing on two CPU cores in the
# quick profile, 30 minutes of reading. **Memory** 2 GB. **Download** nothing.
#
# **Words** [held-out videos](glossary.md#held-out-videos),
# [threshold](glossary.md#threshold), [score](glossary.md#score).

# %%
import numpy as np
import vadlib as vad
from IPython.display import Video
from vadlib import course

# %% [markdown]
# ## 1 Videos in a folder
#
# We need some videos, so we write videos of a dataset as MP4 files, as if they came
# from a camera above a gate. Seven *days* with nothing but normal life are for training
# (the full profile uses more). Two videos stay out: *tuesday*, with an abnormal event,
# and *sunday*, the quiet beginning of another test video. We write no labels, because a
# camera gives none.

# %%
data, quick = course.tutorial_data(), course.profile() == "quick"
train, test = vad.load_videos(data, "train"), vad.load_videos(data, "test")
days = train[:7] if quick else train[:-1]
tuesday = test[{"ped2": 3, "synthetic": 7}[data]]
sunday = test[{"ped2": 1, "synthetic": 2}[data]]
quiet = sunday.frames[: int(sunday.labels.argmax())]

# %% [markdown]
# The files are MP4 with H.264, the format of most cameras and phones. vadlib also reads
# AVI, MKV, MOV and WebM, and folders of images. Phones store a rotation in the file,
# and often record at a variable frame rate. vadlib follows both.

# %%
home = course.run_folder(f"11_own_films-{data}")
for i, day in enumerate(days, 1):
    course.write_video(home / f"training/gate/day{i}.mp4", day.frames, day.fps)
course.write_video(home / "tuesday.mp4", tuesday.frames, tuesday.fps)
course.write_video(home / "sunday.mp4", quiet, sunday.fps)

# %% [markdown]
# For your own videos, this is all you have to do:
#
# ```
# my_films/training/gate/day1.mp4        normal footage only; one folder for each camera
#                       /day2.mp4
#         /training/yard/...             a second camera
#         /testing/gate/tuesday.mp4      optional: videos to evaluate
#         /labels.csv                    optional: video,start,end, such as gate/tuesday,120,180
# ```
#
# Videos of one size in one folder count as one fixed camera, a *scene*. vadlib learns
# what is usual for each scene separately. The camera must not move. The videos in
# `training` *define* what is normal: a bicycle in them is a normal bicycle.
#
# The check decodes every frame, so you learn about a damaged or incomplete file now,
# and not after an hour of training. In a terminal: `vadlib data check folder --root
# my_films`.

# %%
report = vad.check_dataset("folder", home, progress=False)
print(course.describe_report(report))

# %% [markdown]
# ## 2 Train on what is normal
#
# `vadlib train --data folder --root my_films --out runs/gate` calls `train_run`. The
# quick profile uses the preset `short` and few clips, so that training ends soon. The
# full profile uses `fast`. Grey is enough if colour carries no information
# (`channels=1`). The run is stored: if you execute this cell again, it only loads it.
#
# How much footage do you need? Enough to contain everything that is normal: morning and
# evening, sun and rain, the delivery on Thursdays. The four minutes of Ped2 are little.
# They suffice because only people change in them.
#
# **Predict:** the run does not train on one of the seven days. What is it for?

# %%
preset, step = ("short", 32) if quick else ("fast", 4)
changes = {"clips": {"channels": 1, "clip_step": step}, "training": {"epochs": 2}}
config = vad.RunConfig.preset(preset).changed({"dataset": "folder"} | changes)
gate = course.run_folder(f"11_your_own_video-{data}")
vad.train_run(config, gate, root=home, resume=True)

# %% [markdown]
# It shows how large errors are on normal footage that the model has not seen. It
# *calibrates* the scores, and its 99% quantile becomes the threshold.
#
# ## 3 Score a video
#
# That run was trained for seconds. From here on we use the model that ships, trained
# for twenty minutes on the same camera.
#
# In a terminal: `vadlib score runs/gate tuesday.mp4 --out tuesday`. This command reads
# the video once, frame by frame, and keeps only some dozens of frames. A video of an
# hour takes no more memory than one of a minute.
#
# A single file does not name its camera. If exactly one scene of the run has frames of
# that size, its calibration is used. Otherwise choose one with `--scene`.

# %%
run = vad.load_pretrained(data)
out = gate / "tuesday"
result = vad.score_video(run, home / "tuesday.mp4", out)
print("judged as scene", result.videos["tuesday"].scene)
print("files:", *sorted(path.name for path in out.iterdir()))
print(*(out / "scores.csv").read_text().splitlines()[:4], sep="\n")

# %% [markdown]
# Each frame has a row: its number, its time in seconds, its score, and 1 if the score
# is above the threshold. Any spreadsheet reads the table. The score is the default one
# of notebook 07: the error of `D_n` in the highest-error window of 32 x 32 pixels, and
# the contrast of `D_n` and `D_p`, both averaged over 16 frames and compared with the
# usual values.
#
# **Predict:** something passes in the middle of the video, or stays until its end. When
# will the curve rise: when it enters, or before?

# %%
scores, threshold = result.scores["tuesday"], result.threshold
starts = np.diff(tuesday.labels, prepend=0) == 1
seconds = result.times["tuesday"][starts]
print("by the labels, something abnormal enters after", *seconds.round(1), "s")
course.show(
    vad.plots.plot_scores(result, "tuesday"),
    f"Score of tuesday over time; {np.sum(scores > threshold)} of {len(scores)} frames "
    "are above the threshold.",
)

# %% [markdown]
# The curve can rise early or late. The default score also averages over the 7 frames
# after its own, so it can rise early. But an object that enters at the border is small
# at first. On the rendered street something enters twice: a running child, and then a
# cart.
#
# Looking ahead has a price. For a live camera, a score must wait for the last clip that
# shows its frame, up to 15 frames. The average over 16 frames adds to that.
#
# The first and the last second often have high scores. There a frame belongs to one
# clip only, and is at its very edge, where a model knows least.
#
# Here is the annotated video at its lowest, its median and its highest score. Yellow is
# far above the threshold, dark violet just above it. Below the threshold nothing is
# painted. The length of the bar is the score of the whole frame, and its white mark is
# the threshold. Above it the bar is hatched, and the picture gets a white frame and the
# word ALARM.
#
# **Predict:** does the heat cover the object, or more than the object?

# %%
film = course.open_video(out / "annotated.mp4")
moments = np.argsort(scores)[[0, len(scores) // 2, -1]].tolist()
course.show(
    vad.plots.plot_frames(film, moments),
    f"Annotated frames {moments}, of the lowest, the median and the highest score.",
)

# %% [markdown]
# Neither exactly. Windows of 32 pixels spread the heat, and means over 16 frames give a
# moving object a halo in front of it and behind it. Parts of the object that are plain,
# or look like the ground, may stay cold. If a person is hot, ask what is unusual about
# their place or pace. Often it is nothing.
#
# The whole video:

# %%
label = (
    "tuesday with heat over abnormal places, and below a bar of the score with a mark "
    "at the threshold"
)
attributes = f'aria-label="{label}" controls loop muted playsinline'
Video(str(out / "annotated.mp4"), embed=True, html_attributes=attributes)

# %% [markdown]
# ## 4 Which threshold?
#
# The run's threshold comes from the one day that was held out. Would it work on another
# normal day? *Sunday* was used neither in training nor in calibration, and nothing
# happens in it. So every alarm is a false one.
#
# **Predict:** 1% of the held-out frames are above the threshold. Which share of sunday
# will be above it: about 1%, less, or more?

# %%
normal = vad.score_video(run, home / "sunday.mp4", gate / "sunday")
calm = normal.scores["sunday"]
course.show(
    vad.plots.plot_scores(normal, "sunday"),
    f"Score of sunday, all normal; {np.mean(calm > threshold):.0%} of its frames "
    "are above the threshold.",
)

# %% [markdown]
# It may be any share. One day does not show everything that is normal, and neighbouring
# frames are nearly the same, so that some hundred frames are far fewer independent
# examples.
#
# So choose a threshold by its cost. Someone has to check every alarm: how many false
# alarms per hour can they tolerate? Take normal footage that the model has *not* seen,
# as much as you have, and count:

# %%
candidates = {
    "the run's own": threshold,
    "90% of sunday below": np.quantile(calm, 0.9),
    "all of sunday below": calm.max(),
}
labels = {"sunday": np.zeros(len(calm))}
for name, t in candidates.items():
    alarms = vad.metrics.alarm_metrics(labels, normal.scores, normal.times, t)
    print(f"{name:20}{t:6.2f}: {alarms.false_alarms} alarms on sunday, above it:")
    print(
        f"    {np.mean(calm > t):.0%} of sunday, {np.mean(scores > t):.0%} of tuesday"
    )

# %% [markdown]
# A higher threshold costs nothing on sunday, and some detections on tuesday. If all of
# sunday is below it, have you reached zero false alarms? No: you have only shown fewer
# than one in some seconds. To measure a rate below one per hour you need many hours of
# normal footage.
#
# Never choose the threshold on tuesday: you would fit it to the one event that you
# happen to have.
#
# `scores.csv` keeps the scores, so another threshold needs no second pass.
#
# ## 5 Another camera
#
# Does a trained run work at your neighbour's gate? We imitate two other cameras with
# the same sunday: one that sees everything *mirrored*, and one that is *zoomed* in by
# half. Nothing abnormal is in any of them.

# %%
height, width = quiet.shape[1:3]
inner = slice(height // 6, -(height // 6)), slice(width // 6, -(width // 6))
mirrored = [frame[:, ::-1] for frame in quiet]
zoomed = [course.resize_frame(frame[inner], (height, width)) for frame in quiet]
course.write_video(home / "mirrored.mp4", mirrored, sunday.fps)
course.write_video(home / "zoomed.mp4", zoomed, sunday.fps)

# %% [markdown]
# **Predict:** the people are the same. Will the scores stay, rise or fall?

# %%
for name in ("sunday", "mirrored", "zoomed"):
    other = vad.score_video(run, home / f"{name}.mp4", gate / name, progress=False)
    values = other.scores[name]
    print(f"{name:9} median {np.median(values):5.2f}, highest {values.max():5.2f};")
    print(f"          {np.mean(values > threshold):4.0%} of the frames are above")

# %% [markdown]
# Mirrored people look as before, but the network has learned this ground in the other
# orientation, and each place is compared with what was usual *there* (only a little,
# with one held-out day). Zoomed texture is coarser, and people are faster in pixels.
# How far each of the two shifts the scores, and in which direction, depends on the
# scene. A threshold that was right at one gate is arbitrary at another, even if the
# video is scored as the known scene: only the size of the frames is compared. A frame
# of another size is compared with the average over the whole picture, and the command
# says so.
#
# So a new camera needs its own normal footage and its own training run. It needs no
# labels, only videos and minutes.
#
# > **Common mistake.** Taking an alarm for a verdict. A score says "rare here", not
# > "wrong". UCSD's walkway datasets count people in wheelchairs among their anomalies,
# > because the training videos show none: a person who was not filmed becomes an alarm.
# > If you install such a system, your choice of footage decides who is normal. And
# > filming comes first. In most countries, filming people where others walk needs a
# > reason, a notice and a date by which the videos are deleted, and more than that at
# > work or near schools. Ask the people you film, or their representatives, before you
# > record. Keep the scores and delete the videos if that suffices. Let a person check
# > before anyone acts on an alarm.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks your answer. Give fractions to four decimal places.
# In the student edition (`make student`) each answer is `None`: replace it with yours.
#
# **Exercise 11-1.** The model has learned clips of 16 frames at 10 frames per second.
# Your camera records 30. Which `frame_step` (the distance between the frames of a clip)
# makes a clip last as long as before?

# %% tags=["exercise"]
answer = 3
course.check_answer("11-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 11-1.** Every third of 30 frames per second gives 10 per second.

# %% [markdown]
# **Exercise 11-2.** How many *alarms* does `scores.csv` of tuesday contain? An alarm is
# a sequence of frames with `abnormal` 1, of any length. Count them from the column.

# %% tags=["exercise"]
abnormal = np.genfromtxt(out / "scores.csv", delimiter=",", names=True)["abnormal"]
answer = np.count_nonzero(np.diff(abnormal, prepend=0) == 1)
course.check_answer("11-2", answer, table=out / "scores.csv")

# %% [markdown] tags=["solution"]
# **Answer 11-2.** An alarm begins where the column steps from 0 to 1.

# %% [markdown]
# **Exercise 11-3.** Single frames above the threshold are often chance. Suppose that an
# alarm needs 10 frames above the threshold *in a row*. What is the lowest threshold at
# which sunday raises none? Use `calm[:-16]`: at the end of the video the model knows
# little, and the scores may be extreme.

# %% tags=["exercise"]
windows = np.lib.stride_tricks.sliding_window_view(calm[:-16], 10)
answer = windows.min(axis=1).max()
course.check_answer("11-3", answer, calm=calm)

# %% [markdown] tags=["solution"]
# **Answer 11-3.** Ten frames in a row are above a threshold exactly if the smallest of
# them is. So the threshold must reach the largest of these smallest values. Scores that
# are means over 16 frames vary slowly, so waiting gains little.

# %% [markdown]
# ## Summary
#
# - Put videos in folders, one folder for each camera. The videos in `training` define
#   what is normal.
# - `vadlib score` reads a video once, with constant memory, and writes a table, a curve
#   and a video with heat.
# - Choose a threshold on normal footage that the model has not seen, by the false
#   alarms that someone has to check.
# - Scores are valid for the camera that the run was trained on. An alarm says "rare
#   here", and a person decides.
#
# ## References
#
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
# - V. Mahadevan, W. Li, V. Bhalodia, N. Vasconcelos: *Anomaly Detection in Crowded
#   Scenes*, CVPR 2010 (the UCSD datasets)
