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
    ("objective", "kind", "p", "model", "contrast"),
    [
        ("inpaint", "shuffle", 0.5, {}, 1),
        ("inpaint", "shuffle", 0.5, {"memories": 1, "decoders": 1}, 0),  # one path
        ("inpaint", "shuffle", 0.0, {}, 0),
        ("inpaint", "object", 0.5, {}, 0),  # no boxes, so none could be made
        ("maximize", "shuffle", 0.5, {}, 0),  # D_p is made to fail
    ],
)
def test_the_contrast_counts_only_where_the_pseudo_path_reconstructs_pseudo_anomalies(
    tmp_path, objective, kind, p, model, contrast
):
    torch.manual_seed(0)
    config = ClipConfig(length=8, crop=(16, 16), clip_step=4)
    clips = ClipDataset(moving_videos(3), config, progress=False)
    mixer = make_mixer(PseudoConfig((kind,), p))
    training = TrainConfig(epochs=1, precision="fp32", device="cpu", objective=objective)
    network = DualPathAutoencoder(ModelConfig(width=8, slots=8, **model))
    fit(network, clips, mixer, training, tmp_path, progress=False)
    stored = Calibration.load(tmp_path / "calibration.npz").score_config
    assert stored == ScoreConfig(frames=8, contrast=contrast)
