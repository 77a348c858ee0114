"""What the processes of `test_processes.py` do: train or evaluate a tiny model, and write down what
they saw.
"""

import argparse
import json
import os
from pathlib import Path

import torch
from accelerate.utils import gather_object
from scenes import moving_videos

import vadlib as vad
from vadlib.device import processes
from vadlib.evaluation import evaluate as evaluation
from vadlib.training import trainer

parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("--objective", default="inpaint")
parser.add_argument("--network", default="fast")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--evaluate", action="store_true")
parser.add_argument("--stop", type=int, help="exit after so many steps, with a checkpoint of each")
options = parser.parse_args()

losses: list[float] = []
forward = trainer.Loss.forward


def noted(self, *batch):
    if len(losses) == options.stop:
        os._exit(0)
    loss, terms = forward(self, *batch)
    losses.append(float(loss.detach()))
    return loss, terms


if options.evaluate:
    scored, maps = [], evaluation.error_maps
    evaluation.error_maps = lambda *arguments: scored.append(1) or maps(*arguments)
    result = vad.evaluate(options.out, moving_videos(3, labelled=True), "cpu", progress=False)
    model = vad.Run.load(options.out).model
    report = {
        "videos_scored": gather_object([len(scored)]),
        "names": gather_object([list(result.scores)]),
        "metrics": result.metrics,
    }
    if processes().is_main_process:
        result.save(options.out)
else:
    # processes start with other weights: the main one's count
    torch.manual_seed(processes(torch.device("cpu")).process_index)
    cut = vad.ClipConfig(length=8, crop=(16, 16), clip_step=2)
    clips = vad.ClipDataset(moving_videos(3), cut, progress=False)
    model = vad.DualPathAutoencoder(vad.ModelConfig(network=options.network, width=8, slots=8))
    terms = {"sparsity_weight": 1e-2, "separation_weight": 1e-2, "margin": 0.5}
    terms |= {"learning_rate": 3e-4, "objective": options.objective}
    config = vad.TrainConfig(options.epochs, batch_size=5, precision="fp32", device="cpu", **terms)
    trainer.Loss.forward = noted
    if options.stop:
        trainer.CHECKPOINT_SECONDS = 0
    norms = []
    clip_norm = torch.nn.utils.clip_grad_norm_

    def noted_norm(*arguments):
        norms.append(float(clip_norm(*arguments)))
        return torch.tensor(norms[-1])

    torch.nn.utils.clip_grad_norm_ = noted_norm
    mixer = vad.PseudoAnomalyMixer([vad.ShuffleMotion(), vad.AddNoise()], p=0.3)
    vad.fit(model, clips, mixer, config, options.out, resume=True, progress=False)
    report = {"norms": norms, "losses": losses}

report["buffers"] = gather_object([sum(float(buffer.double().sum()) for buffer in model.buffers())])
if processes().is_main_process:
    (options.out / "report.json").write_text(
        json.dumps(report | {"processes": processes().num_processes})
    )
