"""Sizes and behaviour of the networks of Table 2."""

import pytest
import torch
from torch import nn

from agf.networks.device import autocast
from agf.networks.model import (
    BN_EPS,
    Dropout,
    GlobalAveragePooling,
    MaxPooling,
    architecture_rows,
    build_network,
    count_parameters,
    describe_networks,
    load_weights,
    save_weights,
)
from agf.tasks import all_networks, network_by_name

N_OUTPUTS = {"g": 16, "s": 40, "e": 40, "d": 40, "m": 40}


def build(name):
    torch.manual_seed(0)
    return build_network(network_by_name(name), N_OUTPUTS, 0.1)


def table_2():
    """The shared block, the features and the head of an STN in torch's layers and Table 2's order.

    A weight has the same name in here as in our network.
    """
    shared = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.ELU(), nn.MaxPool2d((2, 1)))
    features = nn.Sequential(
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32, BN_EPS),
        nn.ELU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.1),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64, BN_EPS),
        nn.ELU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.1),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 256, 3, padding=1),
        nn.ELU(),
        nn.Conv2d(256, 256, 1, bias=False),
        nn.BatchNorm2d(256, BN_EPS),
        nn.ELU(),
        GlobalAveragePooling(),
        nn.BatchNorm1d(256, BN_EPS),
        nn.Linear(256, 256, bias=False),
        nn.BatchNorm1d(256, BN_EPS),
        nn.ELU(),
    )
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(256, 16))
    parts = {"shared": shared, "features": nn.ModuleDict({"g": features})}
    return nn.ModuleDict({**parts, "head": nn.ModuleDict({"g": head})})


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    return model


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("stn-g", 566_320),
        ("stn-s", 572_488),
        ("mtn-gs", 1_138_392),
        ("mtn-gse", 1_710_464),
        ("mtn-gsed", 2_282_536),
        ("mtn-gsedm", 2_854_608),
        ("wstn-2", 1_138_392),
        ("wstn-3", 1_710_464),
        ("wstn-4", 2_282_536),
        ("wstn-5", 2_854_608),
    ],
)
def test_number_of_parameters(name, parameters):
    assert count_parameters(build(name)) == parameters


def test_table_2_row_by_row():
    rows = [(row["layer"], row["output"], row["parameters"]) for row in architecture_rows()]
    # Kernel height x width x inputs x outputs, plus biases or two batch-norm values a channel.
    assert rows == [
        ("Input", "128 x 43 x 1", 0),
        ("Conv 5 x 5, ELU", "128 x 43 x 16", 25 * 16 + 16),
        ("MaxPooling 2 x 1", "64 x 43 x 16", 0),
        ("Conv 3 x 3, BN, ELU", "64 x 43 x 32", 9 * 16 * 32 + 2 * 32),
        ("MaxPooling 2 x 2", "32 x 21 x 32", 0),
        ("Dropout (0.1)", "32 x 21 x 32", 0),
        ("Conv 3 x 3, ELU", "32 x 21 x 64", 9 * 32 * 64 + 64),
        ("MaxPooling 2 x 2", "16 x 10 x 64", 0),
        ("Conv 3 x 3, BN, ELU", "16 x 10 x 64", 9 * 64 * 64 + 2 * 64),
        ("MaxPooling 2 x 2", "8 x 5 x 64", 0),
        ("Dropout (0.1)", "8 x 5 x 64", 0),
        ("Conv 3 x 3, ELU", "8 x 5 x 128", 9 * 64 * 128 + 128),
        ("MaxPooling 2 x 2", "4 x 2 x 128", 0),
        ("Conv 3 x 3, ELU", "4 x 2 x 256", 9 * 128 * 256 + 256),
        ("Conv 1 x 1, BN, ELU", "4 x 2 x 256", 256 * 256 + 2 * 256),
        ("GlobalAveragePooling, BN", "256", 2 * 256),
        ("Dense, BN, ELU", "256", 256 * 256 + 2 * 256),
        ("Dropout (0.5)", "256", 0),
        ("Dense, softmax", "16", 256 * 16 + 16),
    ]


def test_all_networks_are_described():
    rows = {row["network"]: row for row in describe_networks(200, 21_250, 64, N_OUTPUTS)}
    assert list(rows) == [network.name for network in all_networks()]
    assert rows["stn-g"] == {
        "network": "stn-g",
        "tasks": "g",
        "parameters": 566_320,
        "epochs": 200,
        "updates": 200 * 332,  # 21,250 = 332 x 64 + 2
    }
    assert rows["mtn-gsedm"]["epochs"] == 1000
    assert rows["wstn-5"]["epochs"] == 200


@pytest.mark.parametrize("name", ["stn-g", "mtn-se", "wstn-2"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_forward_and_backward_are_finite(name, precision):
    model = build(name)
    task = model.tasks[-1]
    x = torch.randn(4, 1, 128, 43)
    with autocast(precision, x.device):
        logits = model(x, task)
    logits.float().square().sum().backward()
    assert logits.shape == (4, N_OUTPUTS[task])
    gradients = [p.grad for p in model.features[task].parameters() if p.requires_grad]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_initial_kernels_are_glorot_uniform_and_biases_zero():
    model = build("stn-g")
    kernel = model.features["g"][-3].weight.detach()  # the dense layer, 256 inputs and 256 outputs
    limit = (6 / (256 + 256)) ** 0.5
    assert kernel.abs().max() <= limit
    assert kernel.abs().max() > 0.999 * limit
    assert kernel.var().item() == pytest.approx(limit**2 / 3, rel=0.02)
    assert model.head["g"][-1].bias.abs().max() == 0


def test_beta_of_the_pooled_batch_norm_has_no_gradient_even_unfrozen():
    model = build("stn-g").double()
    beta = model.features["g"][-4].bias
    assert not beta.requires_grad
    beta.requires_grad_(True)
    logits = model(torch.randn(6, 1, 128, 43, dtype=torch.float64), "g")
    torch.nn.functional.cross_entropy(logits, torch.arange(6)).backward()
    gamma = model.features["g"][-4].weight
    assert beta.grad.abs().max() < 1e-10 * gamma.grad.abs().max()


def test_branches_share_the_first_block_only():
    model = build("mtn-gs")
    x = torch.randn(2, 1, 128, 43)
    model(x, "g").sum().backward()
    assert model.shared[0].weight.grad.abs().max() > 0
    assert all(p.grad is None for p in model.features["s"].parameters())


def test_saved_weights_give_the_same_output(tmp_path):
    model = build("mtn-gs").to(memory_format=torch.channels_last).eval()
    metadata = {"network": "mtn-gs", "n_outputs": N_OUTPUTS, "genres": ["Folk", "Rock"]}
    save_weights(model, tmp_path / "a.safetensors", metadata)
    save_weights(model, tmp_path / "b.safetensors", metadata)
    loaded, read = load_weights(tmp_path / "a.safetensors")
    x = torch.randn(3, 1, 128, 43)
    with torch.inference_mode():
        for task in "gs":
            torch.testing.assert_close(loaded(x, task), model(x, task))
    assert read == metadata
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_network_and_gradients_are_those_of_torchs_layers_in_the_papers_order(memory_format):
    ours, theirs = build("stn-g").double(), table_2().double()
    theirs.load_state_dict(ours.state_dict())
    ours.to(memory_format=memory_format)
    without_dropout(ours.train())
    without_dropout(theirs.train())
    x = torch.randn(5, 1, 128, 43, dtype=torch.float64)
    logits = ours(x, "g")
    expected = theirs["head"]["g"](theirs["features"]["g"](theirs["shared"](x)))
    torch.testing.assert_close(logits, expected)
    for output in (logits, expected):
        nn.functional.cross_entropy(output, torch.arange(5)).backward()
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, gradients[name], msg=name)
    statistics = dict(theirs.named_buffers())
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer, statistics[name], msg=name)


@pytest.mark.parametrize("kernel_size", [(2, 1), (2, 2)])
@pytest.mark.parametrize("size", [(8, 6), (7, 5), (2, 2)])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_max_pooling_is_torchs(kernel_size, size, memory_format):
    torch.manual_seed(0)
    x = torch.randn(3, 4, *size, dtype=torch.float64).contiguous(memory_format=memory_format)
    results = []
    for layer in (MaxPooling(kernel_size), nn.MaxPool2d(kernel_size)):
        leaf = x.clone().requires_grad_(True)
        pooled = layer(leaf)
        (pooled * torch.arange(pooled.numel()).view(pooled.shape)).sum().backward()
        results.append((pooled, leaf.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert torch.equal(ours, theirs)
    assert torch.equal(our_gradient, their_gradient)


def test_of_equal_values_one_gets_the_whole_gradient():
    x = torch.ones(2, 3, 4, 4, requires_grad=True)
    MaxPooling((2, 2))(x).sum().backward()
    assert torch.equal(nn.functional.avg_pool2d(x.grad, 2) * 4, torch.ones(2, 3, 2, 2))
    assert set(x.grad.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_scales_the_rest(p, dtype):
    torch.manual_seed(0)
    # Not a multiple of four values: the last draw is used in part.
    x = torch.ones(7, 5, 101, 283, dtype=dtype).to(memory_format=torch.channels_last)
    x.requires_grad_(True)
    dropped = Dropout(p)(x)
    n = x.numel()
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5 + 2**-17)
    assert dropped[dropped != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=4e-3)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)  # with ones as input the mask is the output


def test_dropout_masks_of_neighbours_are_independent():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0).float()
    for lag in (1, 2, 3, 4):
        correlation = torch.corrcoef(torch.stack([kept[lag:], kept[:-lag]]))[0, 1].item()
        assert abs(correlation) < 4 / len(kept) ** 0.5


def test_dropout_follows_the_seed_and_rests_in_evaluation():
    layer, x = Dropout(0.5), torch.randn(3, 4, 5, 7)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(layer(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(layer.eval()(x), x)
