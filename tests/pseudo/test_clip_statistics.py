"""Skipped and shuffled clips cannot be told from normal ones by their range, mean and noise;
careless ones can.
"""

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vadlib.config import ClipConfig
from vadlib.course.pseudo_measures import clip_statistics
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.pseudo.kinds import ShuffleMotion, SkipFrames
from vadlib.pseudo.noise import noise_level

# of single frames; the others are measured over time, and so see motion
STILL = ["lowest", "highest", "mean", "deviation", "grain"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_the_statistics_of_a_textured_wall_under_noise(sigma):
    wall = torch.linspace(-0.6, 0.4, 64).expand(1, 12, 48, 64)  # straight edges are no grain
    clip = wall + sigma * torch.randn(wall.shape, generator=seeded())
    found = clip_statistics(clip)
    assert found["grain"] == pytest.approx(sigma, rel=0.05)
    assert found["change"] == pytest.approx(sigma, rel=0.05)
    assert found["change"] == noise_level(clip)
    assert found["stillest"] == pytest.approx(2 * sigma / np.sqrt(np.pi), rel=0.05)
    assert found["mean"] == pytest.approx(-0.1, abs=0.01)
    extremes = np.array([[frame.min(), frame.max()] for frame in clip[0].numpy()]).mean(0)
    assert [found["lowest"], found["highest"]] == pytest.approx(extremes.tolist(), rel=1e-5)
    assert found["deviation"] == pytest.approx(float(clip.numpy().std(ddof=1)), rel=1e-5)


def test_the_noise_of_windows_full_of_motion_is_that_of_the_whole_frame(real_data):
    """Half a grey level on Ped2. A median over the pixels would take people who pass for noise: up
    to 8 levels.
    """
    videos = load_videos("ped2", "train", real_data)[::5]
    windows, whole = (
        ClipDataset(videos, ClipConfig(crop=crop, clip_step=16), progress=False)
        for crop in ((48, 48), None)
    )
    # Most of a whole frame stands still: there the median will do. Differences of Gaussian noise
    # are 2 sigma / sqrt(pi) on average.
    truth = (
        np.median(
            [
                float(whole[i].tensor.diff(dim=1).abs().mean((0, 1)).median())
                for i in range(len(whole))
            ]
        )
        * np.sqrt(np.pi)
        / 2
    )
    found = [noise_level(windows[i].tensor) for i in range(0, len(windows), 4)]
    assert np.median(found) == pytest.approx(truth, rel=0.25)
    assert np.quantile(found, 0.95) < 2.5 * truth


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("frames", [8, 16])
def test_the_noise_of_a_window_four_fifths_of_which_moves(channels, frames):
    clip = torch.zeros(channels, frames, 60, 60)
    clip[:, :, 12:] = torch.rand(channels, frames, 48, 60, generator=seeded(1)) - 0.5
    clip += 0.03 * torch.randn(clip.shape, generator=seeded(2))
    assert 0.027 < noise_level(clip) < 0.048  # what moves would make it 0.3


def told_apart(clips, change, names, count=1000):
    """AUC of the better of two small classifiers that see only some statistics; half of the clips
    are changed; tested on other videos.
    """
    rows, truth, groups = [], [], []
    for k, i in enumerate(np.random.default_rng(0).permutation(len(clips))[:count].tolist()):
        clip = clips[i]
        changed = change(clip, seeded(i))
        # those at a video's end cannot be skipped; they are left out on both sides
        if changed is not None:
            statistics = clip_statistics(changed if k % 2 else clip.tensor)
            rows.append([statistics[name] for name in names])
            truth.append(k % 2)
            groups.append(clip.video)
    areas = []
    for model in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(200, min_samples_leaf=5, random_state=0),
    ):
        scores = cross_val_predict(
            model, np.array(rows), truth, groups=groups, cv=GroupKFold(4), method="predict_proba"
        )[:, 1]
        areas.append(roc_auc_score(truth, scores))
    return max(areas)


def frozen_skip(clip, generator):
    """As some code does it: at the end of the clip its last frame is repeated."""
    return clip.tensor[:, (2 * torch.arange(16)).clamp(max=15)]


def z_scored(clip, generator):
    """As the published code does it: another range."""
    return (clip.tensor - clip.tensor.mean()) / clip.tensor.std()


@pytest.fixture(scope="module", params=["ped2", "synthetic"])
def clips(request):
    """Windows of Ped2, as `fast` is trained on; whole frames of the few people of the scene, who
    walk out of a window while it skips on.
    """
    if request.param == "synthetic":
        return ClipDataset(
            load_videos("synthetic", "train"),
            ClipConfig(clip_step=3, size=(80, 128), channels=1),
            progress=False,
        )
    train = load_videos("ped2", "train", request.getfixturevalue("real_data"))
    return ClipDataset(train, ClipConfig(crop=(48, 48), clip_step=12), progress=False)


@pytest.mark.parametrize("kind", [SkipFrames(), ShuffleMotion()], ids=lambda kind: kind.name)
def test_defect_04_range_mean_and_noise_do_not_give_moved_frames_away(clips, kind):
    assert (
        told_apart(
            clips, lambda clip, generator: getattr(kind(clip, generator), "tensor", None), STILL
        )
        < 0.6
    )


def test_the_same_classifiers_see_through_careless_pseudo_anomalies(clips):
    assert told_apart(clips, z_scored, STILL, 300) > 0.95
    assert told_apart(clips, frozen_skip, [*STILL, "stillest"], 300) > 0.95
