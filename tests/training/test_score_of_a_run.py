"""Which score a run is calibrated for depends on what its second path has learned."""

import pytest
import torch
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, ScoreConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.evaluation.calibration import Calibration
from vadlib.model.network import DualPathAutoencoder
from vadlib.pseudo.mixer import make_mixer
from vadlib.training.fit import fit


@pytest.mark.parametrize(
    ("objective", "kinds", "p", "model", "contrast"),
    [
        ("inpaint", ["shuffle"], 0.5, {}, True),
        ("inpaint", ["shuffle"], 0.5, {"memories": 1, "decoders": 1}, False),  # one path
        ("inpaint", ["shuffle"], 0.0, {}, False),
        ("inpaint", ["object"], 0.5, {}, False),  # no boxes, so none could be made
        ("maximize", ["shuffle"], 0.5, {}, False),  # D_p is made to fail
    ],
)
def test_the_contrast_counts_only_where_the_pseudo_path_rebuilds_pseudo_anomalies(
    tmp_path, objective, kinds, p, model, contrast
):
    torch.manual_seed(0)
    clips = ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(16, 16), clip_step=4), progress=False
    )
    config = TrainConfig(epochs=1, precision="fp32", device="cpu", objective=objective)
    fit(
        DualPathAutoencoder(ModelConfig(width=8, slots=8, **model)),
        clips,
        make_mixer(PseudoConfig(kinds, p)),
        config,
        tmp_path / "run",
        progress=False,
    )
    expected = ScoreConfig(frames=8) if contrast else ScoreConfig(frames=8, contrast=0)
    assert Calibration.load(tmp_path / "run" / "calibration.npz").score_config == expected
