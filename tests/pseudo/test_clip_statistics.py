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
from vadlib.pseudo.kinds import ShuffleMotion, SkipFrames, noise_level

# of single frames; the others are measured over time, and so see motion
STILL = ["lowest", "highest", "mean", "deviation", "grain"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_the_statistics_of_a_textured_wall_under_noise(sigma):
    wall = torch.linspace(-0.6, 0.4, 64).expand(1, 12, 48, 64)  # straight edges are no grain
    clip = wall + sigma * torch.randn(wall.shape, generator=seeded())
    levels = clip_statistics(clip)
    assert levels["grain"] == pytest.approx(sigma, rel=0.05)
    assert levels["change"] == pytest.approx(sigma, rel=0.05)
    assert levels["change"] == noise_level(clip)
    assert levels["stillest"] == pytest.approx(2 * sigma / np.sqrt(np.pi), rel=0.05)
    assert levels["mean"] == pytest.approx(-0.1, abs=0.01)
    extremes = np.array([[frame.min(), frame.max()] for frame in clip[0].numpy()]).mean(0)
    assert [levels["lowest"], levels["highest"]] == pytest.approx(extremes.tolist(), rel=1e-5)
    assert levels["deviation"] == pytest.approx(float(clip.numpy().std(ddof=1)), rel=1e-5)


def test_the_noise_of_windows_full_of_motion_is_that_of_the_whole_frame(real_data):
    """Half a grey level on Ped2. A median would take people who pass for noise: up to 8 levels."""
    videos = load_videos("ped2", "train", real_data)[::5]
    windows = ClipDataset(videos, ClipConfig(crop=(48, 48), clip_step=16), progress=False)
    whole = ClipDataset(videos, ClipConfig(clip_step=16), progress=False)
    # Most of a whole frame stands still: there the median will do. Differences of Gaussian noise
    # are 2 sigma / sqrt(pi) on average.
    stillness = []
    for i in range(len(whole)):
        stillness.append(float(whole[i].tensor.diff(dim=1).abs().mean((0, 1)).median()))
    truth = np.median(stillness) * np.sqrt(np.pi) / 2
    levels = [noise_level(windows[i].tensor) for i in range(0, len(windows), 4)]
    assert np.median(levels) == pytest.approx(truth, rel=0.25)
    assert np.quantile(levels, 0.95) < 2.5 * truth


def told_apart(clips, change, names, count=1000):
    """AUC of the better of two classifiers that see some statistics, tested on other videos."""
    rows, truth = [], []
    groups = []
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
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    options = {"groups": groups, "cv": GroupKFold(4), "method": "predict_proba"}
    for model in (linear, RandomForestClassifier(200, min_samples_leaf=5, random_state=0)):
        scores = cross_val_predict(model, np.array(rows), truth, **options)[:, 1]
        areas.append(roc_auc_score(truth, scores))
    return max(areas)


@pytest.fixture(scope="module", params=["ped2", "synthetic"])
def clips(request):
    """Windows of Ped2, as in `fast`; whole frames of the scene, whose people leave a window."""
    if request.param == "synthetic":
        config = ClipConfig(clip_step=3, size=(80, 128), channels=1)
        return ClipDataset(load_videos("synthetic", "train"), config, progress=False)
    train = load_videos("ped2", "train", request.getfixturevalue("real_data"))
    return ClipDataset(train, ClipConfig(crop=(48, 48), clip_step=12), progress=False)


@pytest.mark.parametrize("kind", [SkipFrames(), ShuffleMotion()], ids=lambda kind: kind.name)
def test_defect_04_range_mean_and_noise_do_not_give_moved_frames_away(clips, kind):
    change = lambda clip, generator: getattr(kind(clip, generator), "tensor", None)  # noqa: E731
    assert told_apart(clips, change, STILL) < 0.6


def test_the_same_classifiers_see_through_careless_pseudo_anomalies(clips):
    """As published, in another range; as some code does it, the last frame repeated at the end."""
    z_scores = lambda clip, _: (clip.tensor - clip.tensor.mean()) / clip.tensor.std()  # noqa: E731
    assert told_apart(clips, z_scores, STILL, 300) > 0.95
    frozen = lambda clip, _: clip.tensor[:, (2 * torch.arange(16)).clamp(max=15)]  # noqa: E731
    assert told_apart(clips, frozen, [*STILL, "stillest"], 300) > 0.95
