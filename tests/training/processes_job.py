"""Train or evaluate a tiny model for `test_processes.py`: python processes_job.py FOLDER JSON"""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate.utils import gather_object
from scenes import moving_videos
from tiny import CLIPS, MODEL, cut, replace

import vadlib as vad
from vadlib.device import processes
from vadlib.training import trainer

out = Path(sys.argv[1])
job = {"epochs": 1, "objective": "inpaint", "network": "fast"} | json.loads(sys.argv[2])
report = {"norms": []}
clip_norm = torch.nn.utils.clip_grad_norm_


def noted_norm(*arguments):
    if len(report["norms"]) == job.get("stop"):
        os._exit(0)
    norm = clip_norm(*arguments)
    report["norms"].append(float(norm))
    return norm


if "evaluate" in job:
    result = vad.evaluate(out, moving_videos(3, labelled=True), "cpu", progress=False)
    model = vad.Run.load(out).model
    report |= {"metrics": result.metrics, "names": gather_object([list(result.scores)])}
else:
    # Processes start with other weights: the main one's count.
    torch.manual_seed(processes(torch.device("cpu")).process_index)
    model = vad.DualPathAutoencoder(replace(MODEL, network=job["network"]))
    options = {"sparsity_weight": 1e-2, "separation_weight": 1e-2, "margin": 0.5, "device": "cpu"}
    options |= {"learning_rate": 3e-4, "objective": job["objective"], "precision": "fp32"}
    config = vad.TrainConfig(job["epochs"], batch_size=5, **options)
    if "stop" in job:
        trainer.CHECKPOINT_SECONDS = 0
    torch.nn.utils.clip_grad_norm_ = noted_norm
    mixer = vad.PseudoAnomalyMixer([vad.ShuffleMotion(), vad.AddNoise()], p=0.3)
    clips = cut(replace(CLIPS, clip_step=2))
    vad.fit(model, clips, mixer, config, out, resume=True, progress=False)

report["buffers"] = gather_object([sum(float(b.double().sum()) for b in model.buffers())])
report["processes"] = processes().num_processes
if processes().is_main_process:
    (out / "report.json").write_text(json.dumps(report))
