"""The training loop: plan, loss, checkpoints, stopping and going on."""

from __future__ import annotations

import copy
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_hdr import inverse_mu_law, mu_law
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import srgb_decode
from compile.networks.mqnet.attention import ChannelAttention
from compile.networks.mqnet.checkpoints import (
    inference_state,
    load_checkpoint,
    random_network,
    save_checkpoint,
)
from compile.networks.mqnet.network import MQNet
from compile.networks.mqnet.transfer_weights import transfer_weights
from compile.quantize.fake_quantize import trained_network
from compile.support.errors import CheckpointError, DataError
from compile.training import loop
from compile.training.batches import Batch
from compile.training.light_code import mu_law_of_output
from compile.training.log import Row, TrainingLog
from compile.training.loop import Run, train
from compile.training.loss import Loss, training_loss
from compile.training.pairs import as_batch
from compile.training.plan import Crops, Stage, TrainingPlan
from compile.training.state import TrainingState
from compile.training.tone_curve import fit_tone_curve
from compile.training.validate import Validation
from tests.support.encode_hdr import encode_hdr
from tests.support.little_scenes import write_little_scenes

PLAN = TrainingPlan(
    "ca", 4, 1e-3, 0, (Stage(0.5, (Crops(32, 4),), True), Stage(1, (Crops(64, 2),), False))
)
FINE_TUNING = TrainingPlan("ca", 4, 1e-2, 0, (Stage(1, (Crops(64, 2),), False),), "mixed")
FAR_BELOW_ZERO = -100.0
ROW = Row(**dict.fromkeys(Row.__dataclass_fields__, 0.5) | {"step": 10, "crops": 160})


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_little_scenes(tmp_path_factory.mktemp("scenes"))


def check_equal(found: nn.Module, wanted: nn.Module) -> None:
    """Bit for bit: both have made the same steps, on one machine."""
    state = found.state_dict()
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(state[name], tensor), name


def as_h(y: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(encode_hdr(inverse_mu_law(y.numpy())))


def batch_of(targets: torch.Tensor, photos: torch.Tensor | float = 0.5, plain: bool = False):
    """``targets`` in mu-law light; everything is to be trusted."""
    photos = torch.as_tensor(photos).expand(targets.shape)
    return Batch(photos, targets, torch.ones_like(targets[:, :1]), torch.tensor([plain]))


def test_a_perfect_output_has_no_loss():
    output = as_h(torch.rand(2, 3, 8, 8))
    batch = batch_of(mu_law_of_output(output), torch.rand(2, 3, 8, 8) * 2, plain=True)
    loss = training_loss(output, batch)
    assert all(term == 0 for name, term in vars(loss).items() if name not in ("total", "cosine"))
    assert abs(loss.total) < 1e-6


def test_terms_of_the_loss_by_hand():
    y, wanted = torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.5, 0.5, 0.2])
    output, target = (v.reshape(1, 3, 1, 1).expand(1, 3, 8, 8) for v in (as_h(y), wanted))
    loss = training_loss(output, batch_of(target))
    cosine = 1 - torch.dot(y, wanted) / (y.norm() * wanted.norm())
    torch.testing.assert_close(loss.l1, torch.tensor(0.1))
    torch.testing.assert_close(loss.square, torch.tensor(0.03))
    torch.testing.assert_close(loss.cosine, cosine)
    torch.testing.assert_close(loss.log_square, torch.tensor(1001.0).log())
    # Errors of 0, 0 and 0.3, less their mean.
    torch.testing.assert_close(loss.ratio, torch.tensor(0.4 / 3))
    assert loss.slope == loss.half_clipped == loss.identity == 0
    torch.testing.assert_close(
        loss.total, 0.1 + 16 * 0.03 + 0.1 * loss.log_square + 0.5 * cosine + loss.ratio
    )


def test_terms_look_where_they_are_meant_to():
    """The left half of the photograph is clipped in red alone, or in all channels, or not at all;
    in y there is an error of 0.1 on the left, in one channel or in all."""
    left = (torch.arange(32) < 16).float().expand(1, 1, 32, 32)
    wanted = torch.full((1, 3, 32, 32), 0.5)
    grey, red = torch.ones(1, 3, 1, 1), torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1)

    def loss(photo: torch.Tensor, error: torch.Tensor, plain: bool) -> Loss:
        photo = 0.5 + 0.5 * photo.expand(wanted.shape)
        return training_loss(as_h(wanted + 0.1 * error), batch_of(wanted, photo, plain))

    half = loss(red * left, red * left, plain=False)
    torch.testing.assert_close(half.half_clipped, torch.tensor(0.4 / 9))
    assert half.slope > 0 and half.identity == 0
    whole = loss(grey * left, grey * left, plain=True)
    assert whole.half_clipped == whole.ratio == whole.identity == 0
    unclipped = loss(0 * left, grey * left, plain=True)
    assert unclipped.identity == pytest.approx(0.05) and unclipped.slope == 0
    # As large an error is smooth or not.
    stripes = (torch.arange(32) % 2).float().expand(1, 3, 32, 32)
    ragged, smooth = (
        loss(grey.expand(1, 3, 32, 32), error, plain=False)
        for error in (stripes, torch.full((1, 3, 32, 32), 0.5))
    )
    assert ragged.l1 == pytest.approx(smooth.l1) and ragged.slope > 0.04 and smooth.slope < 1e-6


def test_nothing_is_learnt_where_light_cannot_be_trusted():
    output = as_h(torch.rand(1, 3, 16, 16))
    photo = torch.rand(1, 3, 16, 16) * 2
    batch = batch_of(mu_law_of_output(output), photo, plain=True)
    trust = (torch.arange(16) < 8).float().expand(1, 1, 16, 16)
    wrong = output + (1 - trust) * 0.1
    assert training_loss(wrong, batch).total > 0.1
    assert abs(training_loss(wrong, replace(batch, trust=trust)).total) < 1e-6


def test_halving_an_error_is_worth_as_much_in_an_easy_picture_as_in_a_hard_one():
    wanted = torch.full((2, 3, 8, 8), 0.5)
    errors = torch.tensor([0.05, 0.2])

    def log_square(errors: torch.Tensor) -> float:
        output = as_h(wanted + errors.reshape(2, 1, 1, 1))
        return float(training_loss(output, batch_of(wanted)).log_square)

    easy, hard = (log_square(errors / halves) for halves in torch.tensor([[2, 1], [1, 2]]))
    whole = log_square(errors)
    assert whole - easy == pytest.approx(np.log(4) / 2, rel=0.1)
    assert whole - hard == pytest.approx(np.log(4) / 2, rel=0.01)


def test_plan_by_hand():
    small, large = Crops(128, 16), Crops(256, 4)
    stages = (Stage(0.8, (small, large), True), Stage(1, (large,), False))
    plan = TrainingPlan("ca", 1000, 1.0, 0, stages)
    assert plan.stage_at(799) is stages[0] and plan.stage_at(800) is stages[1]
    assert [plan.crops_at(step) for step in (0, 1, 2, 799, 800)] == [
        *(small, large, small, large, large)
    ]
    assert [plan.crops_until(step) for step in (0, 1, 2, 800, 1000)] == [0, 16, 20, 8000, 8800]
    assert plan.rate_at(0) == pytest.approx(1 / 200)
    assert plan.rate_at(400) == 1
    assert plan.rate_at(550) == pytest.approx(0.33)
    assert plan.rate_at(999) == pytest.approx(0.33**4)


def test_validation_by_hand():
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[:16] = 255
    light = np.where(photo > 0, np.float32(4), np.float32(0))
    pairs = [(photo, light)]
    perfect = fit_tone_curve(pairs)
    curve = perfect.copy()
    curve[255] = inverse_mu_law(mu_law(np.float32(4)) - 0.1)
    overall, clipped = Validation(pairs, curve).of_curve
    assert clipped == pytest.approx(20, abs=1e-3)
    assert overall == pytest.approx(20 + 10 * np.log10(2), abs=1e-3)

    class Curve(nn.Module):
        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(encode_hdr(curve))[(photos * 255).round().long()]

    assert Validation(pairs, perfect).score(Curve()) == pytest.approx((overall, clipped))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_stopped_and_gone_on_is_as_never_stopped(scenes: Path, tmp_path: Path, workers: int):
    whole = train(Run(PLAN, scenes, tmp_path / "whole", None, workers, 2), lambda step, row: True)
    broken = Run(PLAN, scenes, tmp_path / "broken", None, workers, 2)
    seen = []
    stopped = train(broken, lambda step, row: step < 3)
    assert stopped.step == 3
    finished = train(broken, lambda step, row: seen.append((step, row)) or True)
    assert [step for step, _ in seen] == [4]
    assert finished.step == whole.step == 4
    check_equal(finished.average, whole.average)
    with (tmp_path / "broken" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert (tmp_path / "broken" / "log.png").stat().st_size > 1000
    assert [row["crops"] for row in rows] == ["8", "12"]


@pytest.mark.slow
def test_fine_tuning_under_quantization_goes_on_too(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The scales to begin with, which each run chooses, do not matter here.
    monkeypatch.setattr("compile.quantize.fake_quantize.CROPS", 2)

    def run(name: str, until: int) -> tuple[TrainingState, list[int]]:
        seen = []
        teacher = load_checkpoint(None, "ca")
        state = train(
            Run(FINE_TUNING, scenes, tmp_path / name, teacher, 1, 2),
            lambda step, _: seen.append(step) or step < until,
        )
        return state, seen

    whole, _ = run("whole", 4)
    stopped, before = run("broken", 3)
    finished, after = run("broken", 4)
    assert (before, after) == ([1, 2, 3], [4])
    check_equal(finished.average, whole.average)
    # The last step's rate is far above what float32 rounds away of any weight.
    earlier = dict(stopped.net.named_parameters())
    weights = {name: w for name, w in finished.net.named_parameters() if w.ndim == 4}
    assert len(weights) > 70
    assert not [name for name, weight in weights.items() if torch.equal(weight, earlier[name])]
    start, tuned = load_checkpoint(None, "ca"), trained_network(finished.average, MQNet("ca"))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (tuned(image) - start(image)).abs().max() < 0.1


def test_a_few_steps_learn_something(scenes: Path, tmp_path: Path):
    """On one batch, over and over: if the gradient went astray the loss would not fall."""
    photo = read_photo(bundled_photos("test")[0])[:64, :64]
    light = srgb_decode(photo / 255).astype(np.float32)
    photos, targets = as_batch([(photo, light)] * 2)
    batch = batch_of(targets, photos)
    state = TrainingState(PLAN)
    losses = []
    for _ in range(24):
        loss = training_loss(state.net(photos), batch)
        state.optimizer.zero_grad()
        loss.total.backward()
        state.optimizer.step()
        state.count_step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_goes_on_computes_by_the_statistics_of_many_photographs(goes_on: bool):
    """A process takes one large crop at a time, whose own statistics would take its level away."""
    start = load_checkpoint(None, "ca") if goes_on else None
    state = TrainingState(PLAN, start)
    before = copy.deepcopy(state.average)
    pixels = read_photo(bundled_photos("test")[0])[:128, :128]
    photo = torch.from_numpy(pixels.copy()).movedim(-1, 0)[None] / 255
    state.net(photo).sum().backward()
    assert all(p.grad is not None for p in state.net.parameters())
    dark = state.net(photo / 4)
    assert ((dark - before(photo / 4)).abs().mean() < 5e-3) == goes_on
    check_equal(state.average, before)


def test_dead_channels_are_made_anew_once(
    scenes: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(loop, "_REVIVAL_SIZE", 64)
    start = load_checkpoint(None, "ca")
    biases = start.backbone.encoder.blocks[6].depthwise.norm.bias
    with torch.no_grad():
        biases[:] = FAR_BELOW_ZERO
    run = Run(PLAN, scenes, tmp_path, start, workers=1, log_every=4)
    for until in (2, 4):
        train(run, lambda step, _row, last=until: step < last)
        assert (biases > FAR_BELOW_ZERO / 2).all()
    assert caplog.text.count("gates stuck: made anew") == 1


def test_weights_of_many_inputs_have_less_of_the_rate():
    state = TrainingState(PLAN)
    assert isinstance(state.net, MQNet)
    state.set_rate(1e-3)
    rates = {p: group["lr"] for group in state.optimizer.param_groups for p in group["params"]}
    assert rates.keys() == set(state.net.parameters())
    assert rates[state.net.backbone.encoder.stem.conv.weight] == 1e-3  # 27 inputs
    assert rates[state.net.backbone.decoder.stages[1][0].project.conv.weight] == 1e-3 * 32 / 1344
    assert rates[state.net.backbone.decoder.stages[1][0].project.norm.bias] == 1e-3
    attention = state.net.backbone.decoder.stages[1][0].attention
    assert isinstance(attention, ChannelAttention)
    assert {rates[parameter] for parameter in attention.parameters()} == {1e-3 * 0.05}


def test_state_of_an_optimizer_with_other_groups_is_refused(tmp_path: Path):
    state = TrainingState(PLAN)
    state.optimizer = torch.optim.Adam(state.net.parameters())
    state.save(tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"state\.pt is of another version"):
        TrainingState(PLAN).load(tmp_path / "state.pt")


def test_state_of_another_plan_is_refused(tmp_path: Path):
    TrainingState(PLAN).save(tmp_path / "state.pt")
    other = TrainingPlan("ca", 5, PLAN.learning_rate, PLAN.seed, PLAN.stages)
    with pytest.raises(CheckpointError, match=r"state\.pt is of a training with steps 4, not 5"):
        TrainingState(other).load(tmp_path / "state.pt")


@pytest.mark.parametrize("kept", [0, 100, 50_000])
def test_damaged_state(tmp_path: Path, kept: int):
    TrainingState(PLAN).save(tmp_path / "whole.pt")
    path = tmp_path / "state.pt"
    path.write_bytes((tmp_path / "whole.pt").read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged"):
        TrainingState(PLAN).load(path)


def test_log_forgets_what_the_checkpoint_never_saw(tmp_path: Path):
    log = TrainingLog(tmp_path, 0)
    for step in (10, 20, 30):
        log.add(Row(**{**vars(ROW), "step": step}))
    assert TrainingLog(tmp_path, 20).rows == [
        Row(**{**vars(ROW), "step": step}) for step in (10, 20)
    ]


def test_damaged_log(tmp_path: Path):
    (tmp_path / "log.csv").write_text("step,crops\n1,two\n")
    with pytest.raises(DataError, match=r"log\.csv is damaged"):
        TrainingLog(tmp_path, 0)


def test_weights_go_over_to_another_attention(tmp_path: Path):
    source = random_network("ca", 1)
    save_checkpoint(source, tmp_path / "ca.safetensors", "for a test")
    net = transfer_weights(tmp_path / "ca.safetensors", "sa", 0)
    assert net.attention == "sa"
    theirs, mine = inference_state(source), inference_state(net)
    shared = [name for name in mine if ".attention." not in name]
    assert len(shared) > 200
    assert all(torch.equal(mine[name], theirs[name]) for name in shared)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        transfer_weights(tmp_path / "missing.safetensors", "sa", 0)
