"""Inspection tools against the model's own outputs, laid over the picture the slow way."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refusals import refused
from scenes import moving_videos

import vadlib as vad
from vadlib.course.inspection.explanation import Explanation, explain_clip
from vadlib.course.inspection.slots import (
    removal_errors,
    slot_atlas,
    slot_usage,
    window_measures,
    without_slots,
)
from vadlib.course.inspection.windows import errors_by_kind, paired_windows
from vadlib.data.clips import to_tensor
from vadlib.data.motion import blur, grey, motion_windows, moving_pixels
from vadlib.model.memory import Memory


def make_run(crop=(16, 16), frame_step=1, **changes):
    torch.manual_seed(0)
    config = vad.ModelConfig(**{"width": 8, "slots": 6} | changes)
    model = vad.DualPathAutoencoder(config).eval()
    if model.normal_memory:
        model.fill_memories(torch.rand(4, 1, 8, 24, 32) * 2 - 1, torch.Generator().manual_seed(0))
    if model.pseudo_decoder and not changes.get("network"):
        torch.nn.init.normal_(model.pseudo_decoder.head.weight)  # it starts as a copy of the other
    clips = vad.ClipConfig(length=8, crop=crop, frame_step=frame_step)
    return vad.Run(Path("run"), vad.RunConfig(clips=clips), model)


@torch.no_grad()
def outputs(run, clips, path="normal"):
    """(reconstruction, weights (places, N)) of each clip."""
    parts = [run.model(clip[None], path) for clip in clips]
    return [(part.reconstruction[0], part.weights[0].flatten(0, -2)) for part in parts]


def squared(reconstruction, clip):
    return float((reconstruction - clip).square().mean())


# Explanations


@pytest.fixture(scope="module")
def video():
    return moving_videos(1, length=45, labelled=True, seed=1)[0]


@pytest.mark.parametrize(("memories", "decoders"), [(2, 2), (1, 1), (0, 2)])
def test_whole_frames_are_what_the_model_returns_along_each_path(video, memories, decoders):
    run = make_run(None, memories=memories, decoders=decoders, skip=True)
    explanation = explain_clip(run, video, 18)
    clip = to_tensor(video.frames[18:26])
    np.testing.assert_array_equal(explanation.frames, video.frames[18:26])
    assert explanation.seen.all()
    for path, part in (("normal", explanation), ("pseudo", explanation.pseudo)):
        with torch.no_grad():
            output = run.model(clip[None], path)
        pixels = (output.reconstruction[0].permute(1, 2, 3, 0) + 1).clamp(0, 2) * 127.5
        np.testing.assert_allclose(part.reconstruction, pixels, rtol=1e-4, atol=1e-3)
        error = (output.reconstruction[0] - clip)[0] ** 2
        np.testing.assert_allclose(part.error, error, rtol=1e-4, atol=1e-6)
        weights = output.weights[0].double()
        shares = weights.mean(0).permute(2, 0, 1)
        np.testing.assert_allclose(part.attention, shares, rtol=1e-4, atol=1e-6)
        entropy = np.full((6, 8), np.nan)
        if memories:
            entropy = -(weights * weights.clamp_min(1e-300).log()).sum(-1).mean(0)
        np.testing.assert_allclose(part.entropy, entropy, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("crop", [(16, 16), (12, 20)])
def test_windows_are_averaged_and_places_without_motion_hold_no_numbers(video, crop):
    """Every pixel asks all windows, every cell all positions of the memory."""
    run = make_run(crop, frame_step=2)
    frames = video.frames[5:20:2]
    pixels, reads = {}, {}
    for y, x in motion_windows(moving_pixels(blur(grey(frames))), crop):
        window = to_tensor(frames[:, y : y + crop[0], x : x + crop[1]])
        with torch.no_grad():
            output = run.model(window[None])
        picture = output.reconstruction[0, 0, 3]
        errors = (picture - window[0, 3]).square()
        for i, j in np.ndindex(picture.shape):
            level = (min(max(float(picture[i, j]), -1), 1) + 1) * 127.5
            pixels.setdefault((y + i, x + j), []).append((level, float(errors[i, j])))
        weights = output.weights[0].mean(0)
        for i, j in np.ndindex(weights.shape[:2]):
            cell = (y + 8 * i + 4) // 8, (x + 8 * j + 4) // 8
            reads.setdefault(cell, []).append(weights[i, j].numpy())
    explanation = explain_clip(run, video, 5)
    for y, x in np.ndindex(48, 64):
        assert explanation.seen[y, x] == ((y, x) in pixels)
        values = [explanation.reconstruction[3, y, x, 0], explanation.error[3, y, x]]
        expected = np.mean(pixels.get((y, x), [(np.nan, np.nan)]), 0)
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-3)
    for row, column in np.ndindex(6, 8):
        expected = np.mean(reads.get((row, column), [np.full(6, np.nan)]), 0)
        attention = explanation.attention[:, row, column]
        np.testing.assert_allclose(attention, expected, rtol=1e-4, atol=1e-6)
        assert np.isnan(explanation.entropy[row, column]) == np.isnan(expected).any()
    assert explanation.usage.sum() == pytest.approx(1)
    assert 0 < explanation.seen.mean() < 1


def test_explanations_of_still_and_colour_clips_of_the_end_and_of_masks(video, array_video, walker):
    still = explain_clip(make_run(), array_video(np.full((20, 48, 64, 1), 90)), 0)
    assert not still.seen.any()
    np.testing.assert_array_equal(still.usage, np.zeros(6))
    colour = explain_clip(make_run(memories=0, channels=3), array_video(walker(20, 3)[0]), 2)
    assert colour.reconstruction.shape == (8, 48, 64, 3)
    assert colour.error.shape == (8, 48, 64)
    explain_clip(make_run(), video, 37)
    with refused("out-of-range", field="start"):
        explain_clip(make_run(), video, 38)
    small = Explanation(*[None] * 6)._replace(seen=np.ones((20, 30), bool))
    mask, expected = np.zeros((40, 60), bool), np.zeros((20, 30), bool)
    mask[10:20, 30:50], expected[5:10, 15:25] = True, True
    np.testing.assert_array_equal(small.fit(mask), expected)


# Slots


@pytest.fixture(scope="module")
def clips():
    """40 clips, more than a batch, no two of one brightness."""
    noise = 0.2 * torch.randn(40, 1, 8, 24, 32, generator=torch.Generator().manual_seed(1))
    levels = torch.arange(40).reshape(40, 1, 1, 1, 1) / 20 - 1
    return list((noise + levels).clamp(-1, 1))


def test_usage_and_measures_are_of_the_models_own_weights_and_errors(clips):
    run = make_run(slots=12, sharpness=20.0)
    usage = slot_usage(run, clips)
    for name, path in (("M_n", "normal"), ("M_p", "pseudo")):
        expected = torch.stack([weights for _, weights in outputs(run, clips, path)]).mean((0, 1))
        np.testing.assert_allclose(usage[name], expected, rtol=1e-4, atol=1e-7)
    measures = window_measures(run, clips)
    for k, (reconstruction, weights) in enumerate(outputs(run, clips)):
        entropy = -torch.xlogy(weights.double(), weights.double()).sum(-1).mean()
        assert measures["entropy"][k] == pytest.approx(float(entropy), rel=1e-4)
        assert measures["error"][k] == pytest.approx(squared(reconstruction, clips[k]), rel=1e-4)
    assert set(slot_usage(make_run(memories=1), clips)) == {"M_n"}
    with refused("conflict", field="ModelConfig.memories"):
        slot_usage(make_run(memories=0), clips)
    with refused("too-few", field="clips"):
        slot_usage(run, [])


class Painter(torch.nn.Module):
    """A decoder that paints the first channel of what was read, in squares."""

    def forward(self, read, encoded):
        return F.interpolate(read[:, :1], scale_factor=(4, 8, 8)), read


def test_atlas_decodes_slots_beside_the_clips_whose_middle_reads_them_most(clips):
    run = make_run(slots=12, sharpness=20.0)
    memory, _ = run.model.parts("normal")
    with torch.no_grad():
        memory.slots[:, 0] = torch.linspace(-1, 1, 12)
    run.model.normal_decoder = Painter()
    with torch.no_grad():
        reads = [run.model(clip[None]).weights[0, 1, 1, 2].numpy() for clip in clips]
    for slot, page in zip([11, 0, 4], slot_atlas(run, clips, [11, 0, 4]), strict=True):
        level = round((memory.slots[slot, 0].item() + 1) * 127.5)
        assert page.slot == slot
        np.testing.assert_array_equal(page.decoded, np.full((8, 24, 32, 1), level))
        weights = np.stack(reads)[:, slot]
        np.testing.assert_allclose(page.weights, np.sort(weights)[::-1][:4], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(weights[page.nearest], page.weights, rtol=1e-4, atol=1e-7)
    for changes in ({"network": "published"}, {"skip": True}):
        [page] = slot_atlas(make_run(**changes), [torch.zeros(1, 7, 20, 28)] * 3, [2])
        assert page.decoded.shape == (7, 20, 28, 1)
        assert sorted(page.nearest) == [0, 1, 2]


def test_a_memory_without_slots_is_the_memory_with_these_masked_out():
    """Masked: minus infinity in the softmax, as a literal transcription of the addressing."""
    torch.manual_seed(0)
    memory, features = Memory(9, 6, sharpness=8.0, shrink=0.2), torch.randn(2, 6, 3, 4, 5)
    query = features.movedim(1, -1)
    cosines = F.cosine_similarity(query[..., None, :], memory.slots, dim=-1)
    cosines[..., [0, 5]] = -torch.inf
    weights = torch.softmax(8.0 * cosines, -1)
    weights = torch.where(weights >= 0.2 * weights.amax(-1, keepdim=True), weights, 0)
    expected = (weights / weights.sum(-1, keepdim=True)) @ memory.slots
    read = without_slots(memory, [5, 0, 5])(features)
    torch.testing.assert_close(read.features.movedim(1, -1), expected, rtol=1e-3, atol=1e-3)
    assert read.weights.shape[-1] == 7


@pytest.mark.parametrize("path", ["normal", "pseudo"])
def test_removal_errors_are_those_of_a_model_without_the_slots(clips, path):
    run = make_run(slots=12, sharpness=20.0, skip=True)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    errors = removal_errors(run, clips, {"two": [3, 7]}, path)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    smaller = make_run(slots=10, sharpness=20.0, skip=True)
    rest = [i for i in range(12) if i not in (3, 7)]
    state = {name: value[rest] if "slots" in name else value for name, value in before.items()}
    smaller.model.load_state_dict(state)
    for name, model in {"nothing": run, "two": smaller}.items():
        for k, (reconstruction, _) in enumerate(outputs(model, clips, path)):
            assert errors[name][k] == pytest.approx(squared(reconstruction, clips[k]), rel=1e-4)
    assert np.abs(errors["two"] - errors["nothing"]).max() > 1e-6
    for slots in ([12], [-1], range(12)):
        with refused("out-of-range", field="slots"):
            removal_errors(run, clips, {"some": slots}, path)


# Windows


@pytest.fixture(scope="module")
def films(array_video, walker):
    """A walker in two scenes; in the middle third a block of pixels, over which it walks, counts as
    abnormal.
    """
    masks = np.zeros((120, 48, 64), bool)
    masks[40:80, 16:32, 20:44] = True
    truth = {"masks": masks, "labels": masks.any((1, 2)).astype(np.uint8)}
    frames = [walker(120, seed=k)[0] for k in range(4)]
    return [array_video(frames[k], f"{k}", scene="ab"[k % 2], **truth) for k in range(4)]


def windows_of(videos, **changes):
    config = vad.ClipConfig(**{"length": 8, "crop": (16, 16), "clip_step": 3} | changes)
    return vad.ClipDataset(videos, config, progress=False)


@pytest.mark.parametrize("step", [1, 2])
def test_partners_are_normal_in_every_frame_and_lie_at_the_same_place(films, step):
    pairs = paired_windows(windows_of(films, frame_step=step), most=30, share=0.4)
    assert {len(group) for group in pairs.values()} == {30}

    def area(clip):
        (y, x), frames = clip.corner, clip.start + step * np.arange(8)
        return films[int(clip.video)].masks[frames, y : y + 16, x : x + 16]

    def place(clip):
        return films[int(clip.video)].scene, clip.corner

    for abnormal, *normal in zip(*pairs.values(), strict=True):
        assert area(abnormal)[4].mean() > 0.4
        assert not any(area(clip).any() for clip in normal)
        assert place(abnormal) == place(normal[0]) == place(normal[1])
        assert (normal[0].video, normal[0].start) != (normal[1].video, normal[1].start)
    corners = {clip.corner for clip in pairs["abnormal"]}
    assert {clip.corner for clip in pairs["elsewhere"]} - corners


def test_masks_follow_frames_that_are_resized_and_lonely_windows_are_refused(films, array_video):
    """Shrunk to half, the abnormal block is rows 8 to 16 and columns 10 to 22."""
    for clip in paired_windows(windows_of(films, size=(24, 32), crop=(8, 8)), share=0.7)[
        "abnormal"
    ]:
        y, x = clip.corner
        inside = max(0, min(y + 8, 16) - max(y, 8)) * max(0, min(x + 8, 22) - max(x, 10))
        assert inside > 0.7 * 64
    with refused("nothing-to-do", field="share"):
        paired_windows(windows_of(films), share=1.0)
    with refused("missing-labels", field="masks"):
        paired_windows(windows_of([array_video(films[0].frames[:], "x")]))


def test_errors_by_kind_are_of_the_normal_path_on_its_own_input():
    dataset = windows_of(moving_videos(2), clip_step=8)
    samples = [dataset[i] for i in range(len(dataset))]
    assert len(samples) > 16  # more than a batch
    run, seed = make_run(), torch.Generator
    kinds = [vad.AddNoise(strength=1.0), vad.SkipFrames(), vad.PasteObjects()]
    errors = errors_by_kind(run, samples, kinds)
    noisy = kinds[0](samples[3], seed().manual_seed(3)).tensor
    for name, clip in (("normal", samples[3].tensor), ("noise", noisy)):
        [(reconstruction, _)] = outputs(run, [clip])
        assert errors[name].shape == (len(samples),)
        assert errors[name][3] == pytest.approx(squared(reconstruction, clip), rel=1e-4)
    skipped = [kinds[1](clip, seed()) is not None for clip in samples]
    assert 0 < len(errors["skip"]) == sum(skipped), "what cannot be made is left out"
    assert errors["object"].shape == (0,)  # nobody looked for people
