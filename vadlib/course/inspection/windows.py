"""Windows to compare: abnormal ones with normal partners, and clips with what was made of them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from vadlib.course.dataset_tables import require_masks
from vadlib.course.figures.style import evenly
from vadlib.course.inspection.slots import clip_errors
from vadlib.data.clips import Clip, ClipDataset
from vadlib.errors import require
from vadlib.model.run import Run
from vadlib.pseudo.kinds import PseudoAnomaly

BATCH = 16

Place = tuple[str, int, int]  # scene, top and left of a window


def paired_windows(
    clips: ClipDataset, most: int = 120, share: float = 0.1
) -> dict[str, list[Clip]]:
    """Pair abnormal windows with normal ones at the same place of the same scene.

    So the background is not what differs.

    Args:
        clips: of test videos with masks.
        most: abnormal windows to take, evenly over all.
        share: of the pixels of its middle frame, above which a window is abnormal.

    Returns:
        Four lists of one length. "abnormal" is as above. The others have no abnormal pixel in any
        frame: "normal" windows are at the same places at another time, "normal again" at the same
        places at a third time (what differs between these two is chance), and "elsewhere" windows
        are at any place.

    Raises:
        InputError: a video without masks, or no abnormal window with two partners.
    """
    shares, is_normal = _abnormal_shares(clips)
    normal = np.flatnonzero(is_normal).tolist()
    places: list[Place] = []
    for video, _, y, x in clips.index.tolist():
        places.append((clips.videos[video].scene, y, x))
    partners: dict[Place, list[int]] = {}
    for i in normal:
        partners.setdefault(places[i], []).append(i)
    abnormal = []
    for i in np.flatnonzero(shares > share).tolist():
        if len(partners.get(places[i], [])) > 1:
            abnormal.append(i)
    message = "no abnormal window has two normal ones at its place; lower clip_step or share"
    require(len(abnormal) > 0, message, "nothing-to-do", field="share")
    groups: dict[str, list[Clip]] = {"abnormal": [], "normal": [], "normal again": []}
    for n, k in enumerate(evenly(len(abnormal), most)):
        i = abnormal[k]
        same_place = partners[places[i]]
        groups["abnormal"].append(clips[i])
        groups["normal"].append(clips[same_place[n % len(same_place)]])
        again = n + len(same_place) // 2
        groups["normal again"].append(clips[same_place[again % len(same_place)]])
    anywhere = np.linspace(0, len(normal) - 1, len(groups["abnormal"])).round().astype(int)
    groups["elsewhere"] = [clips[normal[k]] for k in anywhere]
    return groups


def _abnormal_shares(clips: ClipDataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of abnormal pixels in each window's middle frame, and bool (N,), whether no
    frame of it has any.
    """
    config = clips.config
    shares = np.zeros(len(clips))
    is_normal = np.ones(len(clips), bool)
    clip_of_masks = None
    for i, (v, start, y, x) in enumerate(clips.index.tolist()):
        height, width = clips.frames[v].shape[1:3]
        if clip_of_masks != (v, start):  # the windows of one clip follow each other
            clip_of_masks = (v, start)
            masks = []
            all_masks = require_masks(clips.videos[v])
            for t in range(start, start + config.frame_step * config.length, config.frame_step):
                mask = np.asarray(all_masks[t], np.uint8)
                masks.append(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))
            ever = np.any(masks, axis=0)
        tall, wide = config.crop or (height, width)
        window = np.s_[y : y + tall, x : x + wide]
        shares[i] = masks[config.length // 2][window].mean()
        is_normal[i] = not ever[window].any()
    return shares, is_normal


def errors_by_kind(
    run: Run, clips: Sequence[Clip], kinds: Sequence[PseudoAnomaly]
) -> dict[str, np.ndarray]:
    """Measure the error of D_n on clips, and on the pseudo-anomalies made of them.

    As in scoring, the reconstruction is compared with the input.

    Args:
        run: its model computes, in float32.
        clips: normal ones that it was not trained on.
        kinds: how to change them; clip i is changed with seed i, so that all models get the same
            pseudo-anomalies.

    Returns:
        "normal" and each kind's name -> mean squared error of each clip, (N,). Clips that a kind
        cannot change are left out.
    """
    errors = {"normal": _errors(run, [clip.tensor for clip in clips])}
    for kind in kinds:
        changed = []
        for i, clip in enumerate(clips):
            pseudo = kind(clip, torch.Generator().manual_seed(i))
            if pseudo is not None:
                changed.append(pseudo.tensor)
        errors[kind.name] = _errors(run, changed)
    return errors


@torch.inference_mode()
def _errors(run: Run, clips: list[Tensor]) -> np.ndarray:
    device = next(run.model.parameters()).device
    parts = [torch.zeros(0)]
    for first in range(0, len(clips), BATCH):
        batch = torch.stack(clips[first : first + BATCH]).to(device)
        parts.append(clip_errors(run.model(batch).reconstruction, batch))
    return torch.cat(parts).numpy()
