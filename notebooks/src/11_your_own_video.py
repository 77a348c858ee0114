# %% [markdown]
# # Your own video
#
# The other notebooks work on datasets. Here is the way for a camera of your own: films
# in a folder, a training on what is normal there, and one command that turns a new film
# into a table, a curve and a video to watch.
#
# **After it you can**
#
# - lay out your own films so that `vadlib` reads them, and check them,
# - train on normal footage without a single label,
# - score a film, and read its table, its curve and its heat map,
# - choose a threshold by the alarms that you can afford,
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
# ## 1 Films in a folder
#
# You have no films at hand, so we make some: videos of a dataset, written as MP4 files,
# as a camera above a gate might have left them. Seven *days* on which nothing but
# normal life happens are for training (the full profile takes more). Two films stay
# out: *tuesday*, on which something foreign passes, and *sunday*, the quiet beginning
# of another test video. No labels are written; a camera gives none.

# %%
data, quick = course.tutorial_data(), course.profile() == "quick"
train, test = vad.load_videos(data, "train"), vad.load_videos(data, "test")
days = train[:7] if quick else train[:-1]
tuesday = test[{"ped2": 3, "synthetic": 7}[data]]
sunday = test[{"ped2": 1, "synthetic": 2}[data]]
quiet = sunday.frames[: int(sunday.labels.argmax())]

# %% [markdown]
# The files are MP4 with H.264, what most cameras and telephones record. AVI, MKV, MOV
# and WebM are read too, and folders of images. Phones turn their pictures by a note in
# the file, and often record at a varying rate; both are respected.

# %%
home = course.run_folder(f"11_own_films-{data}")
for i, day in enumerate(days, 1):
    course.write_video(home / f"training/gate/day{i}.mp4", day.frames, day.fps)
course.write_video(home / "tuesday.mp4", tuesday.frames, tuesday.fps)
course.write_video(home / "sunday.mp4", quiet, sunday.fps)

# %% [markdown]
# For films of your own, this is all there is to do:
#
# ```
# my_films/training/gate/day1.mp4        normal footage only; one folder a camera
#                       /day2.mp4
#         /training/yard/...             a second camera
#         /testing/gate/tuesday.mp4      optional: films to evaluate
#         /labels.csv                    optional: video,start,end, such as gate/tuesday,120,180
# ```
#
# Films in one folder and of one size are taken for one fixed camera, a *scene*; what is
# usual is learned for each scene on its own. The camera must not move. What you put
# into `training` *defines* what is normal: a bicycle in it is a normal bicycle.
#
# The check decodes every frame, so a damaged or cut file is found now, and not after an
# hour of training. In a terminal: `vadlib data check folder --root my_films`.

# %%
report = vad.check_dataset("folder", home, progress=False)
print(course.describe_report(report))

# %% [markdown]
# ## 2 Train on what is normal
#
# `train_run` is what `vadlib train --data folder --root my_films --out runs/gate`
# calls. The quick profile takes the preset `short` and few clips, so that the training
# ends soon; the full profile takes `fast`. Grey is enough where colour tells nothing
# (`channels=1`). The run is kept: executed again, this cell only loads it.
#
# How much footage does it take? Enough to hold everything that is normal: morning and
# evening, sun and rain, the delivery on Thursdays. Ped2's four minutes are little; they
# suffice because nothing changes in them but people.
#
# **Predict:** one of the seven days is not trained on. What is it kept for?

# %%
preset, step = ("short", 32) if quick else ("fast", 4)
changes = {"data": {"channels": 1, "clip_step": step}, "training": {"epochs": 2}}
gate = course.run_folder(f"11_your_own_video-{data}")
vad.train_run("folder", home, preset, changes, gate, resume=True)

# %% [markdown]
# It tells how large errors are on normal footage that the model has not seen: it
# *calibrates* the scores, and its 99% quantile becomes the threshold.
#
# ## 3 Score a film
#
# That run was trained for seconds. From here on we take one of the same camera that was
# trained for twenty minutes: the one that ships.
#
# In a terminal: `vadlib score runs/gate tuesday.mp4 --out tuesday`. The film is read
# once, frame by frame, and only some dozens of frames are held: a film of an hour takes
# no more memory than one of a minute.
#
# A single file does not say which camera filmed it. If the run knows exactly one scene
# with frames of that size, it is judged as that scene; `--scene` names another one.

# %%
run = vad.load_pretrained(data)
out = gate / "tuesday"
result = vad.score_video(run, home / "tuesday.mp4", out)
print("judged as scene", result.videos["tuesday"].scene)
print("files:", *sorted(path.name for path in out.iterdir()))
print(*(out / "scores.csv").read_text().splitlines()[:4], sep="\n")

# %% [markdown]
# Each frame has a row: its number, its time in seconds, its score, and 1 if that is
# above the threshold. Any spreadsheet reads the table. The score is the default one of
# notebook 07: the error of `D_n` in the worst 32 x 32 pixels, and the contrast of `D_n`
# and `D_p`, both averaged over 16 frames and compared with what is usual.
#
# **Predict:** something passes in the middle of the film, or is there to its end. Where
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
# It can rise early or late. The default score also averages over the 7 frames after its
# own, so it can rise early; but what enters at the border is small at first. On the
# rendered street something enters twice: a child that runs, and then a cart.
#
# Looking ahead has a price. From a camera that films now, a score must wait for the
# last clip that shows its frame, up to 15 frames. The average over 16 frames comes on
# top.
#
# The first and the last second are often high: there a frame lies in one clip only, at
# its very edge, where a model knows least.
#
# The annotated film at its lowest, its median and its highest score. Yellow is far
# above the threshold, dark violet just above it; below it nothing is painted. The bar
# is as long as the score of the whole frame, and its white mark is the threshold; above
# it the bar is hatched, and the picture gets a white frame and the word ALARM.
#
# **Predict:** does the heat cover the thing, or more than the thing?

# %%
film = course.open_video(out / "annotated.mp4")
moments = np.argsort(scores)[[0, len(scores) // 2, -1]].tolist()
course.show(
    vad.plots.plot_frames(film, moments),
    f"Annotated frames {moments}, of the lowest, the median and the highest score.",
)

# %% [markdown]
# Neither exactly. Windows of 32 pixels smear it; means over 16 frames make a moving
# thing drag a tail. Parts of the thing that are plain, or look like the ground, may
# stay cold. Where a person is hot, ask what is unusual about her place or pace; often
# it is nothing.
#
# And as it plays:

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
# The run's threshold comes from the one day that was held out. Would it do on another
# normal day? *Sunday* was seen neither in training nor in calibration, and nothing
# happens in it, so every alarm is a false one.
#
# **Predict:** 1% of the held-out frames lie above the threshold. What share of sunday
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
# It may be anything: one day does not show all that is normal, and neighbouring frames
# are nearly the same, so that some hundred frames are far fewer independent examples.
#
# So choose by what you can afford. Somebody has to look at each alarm; how many false
# ones an hour will she bear? Take normal footage that the model has *not* seen, as much
# as you have, and read off:

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
# A higher threshold costs nothing on sunday and some of tuesday. If all of sunday lies
# below it, have you reached zero false alarms? No: fewer than one in some seconds. Who
# wants less than one an hour needs many hours of normal footage to measure it.
#
# Never choose the threshold on tuesday: you would fit it to the one event that you
# happen to have.
#
# `scores.csv` keeps the scores, so another threshold needs no second pass.
#
# ## 5 Another camera
#
# Is a trained run of use at your neighbour's gate? We imitate two other cameras with
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
# **Predict:** people are the same people. Will the scores stay, rise or fall?

# %%
for name in ("sunday", "mirrored", "zoomed"):
    other = vad.score_video(run, home / f"{name}.mp4", gate / name, progress=False)
    values = other.scores[name]
    print(f"{name:9} median {np.median(values):5.2f}, highest {values.max():5.2f};")
    print(f"          {np.mean(values > threshold):4.0%} of the frames are above")

# %% [markdown]
# Mirrored, people look as before, but the network has learned this ground the other way
# round, and each place is compared (with one held-out day, only a little) with what was
# usual *there*. Zoomed, texture is coarser and people are faster in pixels. How far
# each of the two shifts the scores, and which way, depends on the scene. A threshold
# that was right at one gate is arbitrary at another, even where the film is judged as
# the known scene: only the size of the frames is compared. A frame of another size is
# judged by the average over the whole picture, and the command says so.
#
# So a new camera needs its own normal footage and its own training. It costs no labels,
# only films and minutes.
#
# > **Common mistake.** Taking an alarm for a verdict. A score says "rare here", not
# > "wrong". UCSD's walkway sets count people in wheelchairs among their anomalies,
# > because the training films show none: whoever was not filmed becomes an alarm. Who
# > installs such a system decides by the choice of footage who is normal.  And filming
# > comes first: in most countries, filming people where others walk needs a reason, a
# > notice and a date by which the films are deleted, and more than that at work or near
# > schools. Ask those who are filmed, or who speaks for them, before you record. Keep
# > the scores and delete the films where that suffices. Let a person look before
# > anything is done to anybody.

# %% [markdown]
# ## Exercises
#
# The last line of each cell checks the answer, fractions to four digits after the
# point. In the students' edition (`make student`) each answer is still `None`: put
# yours in its place.
#
# **Exercise 11-1.** The model has learned clips of 16 frames at 10 frames a second.
# Your camera films 30. Which `frame_step` (the distance between the frames of a clip)
# makes a clip last as long as before?

# %% tags=["exercise"]
answer = 3
course.check_answer("11-1", answer)

# %% [markdown] tags=["solution"]
# **Answer 11-1.** Every third frame of 30 a second is 10 a second.

# %% [markdown]
# **Exercise 11-2.** How many *alarms* does `scores.csv` of tuesday hold: runs of frames
# with `abnormal` 1, however long? Count them from the column.

# %% tags=["exercise"]
abnormal = np.genfromtxt(out / "scores.csv", delimiter=",", names=True)["abnormal"]
answer = np.count_nonzero(np.diff(abnormal, prepend=0) == 1)
course.check_answer("11-2", answer, table=out / "scores.csv")

# %% [markdown] tags=["solution"]
# **Answer 11-2.** An alarm begins where the column steps from 0 to 1.

# %% [markdown]
# **Exercise 11-3.** Single frames above the threshold are often chance. Suppose an
# alarm is raised only when 10 frames *in a row* are above. What is the lowest threshold
# at which sunday raises none? Take it from `calm[:-16]`: at the film's end the model
# knows little, and the scores may run away.

# %% tags=["exercise"]
windows = np.lib.stride_tricks.sliding_window_view(calm[:-16], 10)
answer = windows.min(axis=1).max()
course.check_answer("11-3", answer, calm=calm)

# %% [markdown] tags=["solution"]
# **Answer 11-3.** Ten frames in a row are above a threshold exactly if the smallest of
# them is; the threshold must reach the largest of these smallest values. Scores that
# are means over 16 frames waver little, so waiting gains little.

# %% [markdown]
# ## Summary
#
# - Films in folders, one folder a camera; what lies in `training` defines what is
#   normal.
# - `vadlib score` reads a film once and leaves a table, a curve and a film with heat,
#   at constant memory.
# - A threshold is chosen on normal footage that the model has not seen, by the false
#   alarms that somebody has to look at.
# - Scores are worth something for the camera that the run was trained on; an alarm says
#   "rare here", and a person decides.
#
# ## References
#
# - J. Wei, S. Li, G. Li, S. Guo, Y. Cheng: *Enhancing Video Anomaly Detection through
#   Dual-Path Reconstruction and Diverse Pseudo-Anomaly Generation*, The Visual
#   Computer, 2026
# - V. Mahadevan, W. Li, V. Bhalodia, N. Vasconcelos: *Anomaly Detection in Crowded
#   Scenes*, CVPR 2010 (the UCSD sets)
