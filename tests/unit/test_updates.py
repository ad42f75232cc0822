"""Updates: what an epoch reads, what it leaves, and where the batches come from."""

import numpy as np
import pytest
import torch
from torch import nn

from agf.errors import UserError
from agf.networks.updates import (
    adam,
    capture,
    current,
    fill_epoch,
    finish_update,
    new_epoch,
    read_losses,
    run_updates,
    updates_per_epoch,
)

CPU = torch.device("cpu")


def test_last_incomplete_batch_is_dropped():
    assert updates_per_epoch(21_250, 64) == 332
    assert updates_per_epoch(128, 64) == 2
    assert updates_per_epoch(10, 64) == 1


def linear_problem(seed=0):
    """A linear model, its Adam, and 50 examples that it can fit."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Dropout(0.2), nn.Linear(3, 1))
    x = torch.randn(50, 3)
    return model, adam([{"params": list(model.parameters())}], 0.05, CPU), x, x.sum(1, True)


def make_update(model, optimiser, x, y, epoch, buffer=None):
    def update():
        rows = current(epoch, "row")
        optimiser.zero_grad()
        loss = (model(x[rows] if buffer is None else buffer) - y[rows]).square().mean()
        loss.backward()
        optimiser.step()
        finish_update(epoch, loss)

    return update


def test_every_update_reads_its_own_rows_and_leaves_its_own_loss():
    epoch = new_epoch(11, 4, ["row", "first"], CPU)
    rows = np.arange(11)[::-1].copy()
    fill_epoch(epoch, row=rows, first=10 * rows)
    seen = []

    def update():
        seen.append((current(epoch, "row").tolist(), current(epoch, "first").tolist()))
        finish_update(epoch, torch.tensor(float(len(seen))))

    run_updates(update, 2)
    assert seen == [([10, 9, 8, 7], [100, 90, 80, 70]), ([6, 5, 4, 3], [60, 50, 40, 30])]
    assert read_losses(epoch, "", "") == [1.0, 2.0]
    fill_epoch(epoch, row=rows, first=rows)
    assert epoch.update.item() == 0
    few = new_epoch(3, 64, ["row"], CPU)
    fill_epoch(few, row=np.arange(3))
    assert current(few, "row").tolist() == [0, 1, 2]


def test_updates_are_those_of_a_plain_loop_with_torch_defaults():
    order = np.random.default_rng(0).permutation(50)
    model, optimiser, x, y = linear_problem()
    epoch = new_epoch(50, 8, ["row"], CPU)
    fill_epoch(epoch, row=order)
    update = capture(make_update(model, optimiser, x, y, epoch), model, optimiser, epoch)
    torch.manual_seed(7)
    run_updates(update, 6)

    plain, _, x, y = linear_problem()
    plain_adam = torch.optim.Adam(plain.parameters(), lr=0.05)
    torch.manual_seed(7)
    losses = []
    for i in range(6):
        rows = order[8 * i : 8 * i + 8]
        loss = (plain(x[rows]) - y[rows]).square().mean()
        plain_adam.zero_grad()
        loss.backward()
        plain_adam.step()
        losses.append(loss.item())
    np.testing.assert_allclose(read_losses(epoch, "", ""), losses, rtol=1e-5)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_batches_that_come_from_elsewhere_give_the_same_bits():
    order = np.random.default_rng(0).permutation(50)
    weights = []
    for streamed in (False, True):
        model, optimiser, x, y = linear_problem()
        epoch = new_epoch(50, 8, ["row"], CPU)
        buffer = torch.zeros(8, 3) if streamed else None
        update = make_update(model, optimiser, x, y, epoch, buffer)
        for number in range(3):
            fill_epoch(epoch, row=order)
            torch.manual_seed(number)
            load = (lambda i, x=x: x[order[8 * i : 8 * i + 8]]) if streamed else None
            run_updates(update, 6, load, buffer)
        weights.append(model[1].weight.detach().clone())
    assert torch.equal(*weights)


def test_a_failure_while_loading_a_batch_is_not_lost():
    def load(i):
        if i == 2:
            raise OSError("disk gone")
        return torch.zeros(1)

    calls = []
    with pytest.raises(OSError, match="disk gone"):
        run_updates(lambda: calls.append(1), 5, load, torch.zeros(1))
    assert len(calls) == 2


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named(bad):
    epoch = new_epoch(4, 2, ["row"], CPU)
    epoch.losses.copy_(torch.tensor([0.5, bad]))
    with pytest.raises(UserError, match=rf"loss of stn-g is {bad} in update 1 of the epoch; rest"):
        read_losses(epoch, "stn-g", "rest")
