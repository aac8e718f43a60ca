"""Nets: shapes for any clip length, published sizes, and refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from earmark.errors import RecipeError
from earmark.models import MODELS, build
from earmark.models.reference import SaxNet


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_tags", [2, 11])
def test_every_net_gives_logits_and_embedding(name: str, n_tags: int) -> None:
    shape = (1, 64, 96)
    net = build(name, {}, n_tags=n_tags, shape=shape).eval()
    logits, embedding = net(torch.randn(3, *shape))
    assert logits.shape == (3, n_tags)
    assert embedding.shape[0] == 3
    assert embedding.ndim == 2
    assert embedding.dtype == torch.float32
    # the head reads exactly what is given out as the embedding
    expected = net.head(embedding)
    assert torch.allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 9, 63, 321, 1001])
@pytest.mark.parametrize("bands", [16, 64, 128])
def test_the_default_net_takes_any_clip_length(frames: int, bands: int) -> None:
    net = build("small-cnn", {}, n_tags=4, shape=(1, bands, frames)).eval()
    assert net(torch.randn(1, 1, bands, frames))[0].shape == (1, 4)


def test_published_sizes() -> None:
    def parameters(name: str, n_tags: int, shape: tuple[int, int, int]) -> int:
        return sum(p.numel() for p in build(name, {}, n_tags=n_tags, shape=shape).parameters())

    # (3*3*1+1)*16 + (3*3*16+1)*32 + (3*3*32+1)*64 + (64+1)*3
    assert parameters("conv-gap", 3, (1, 64, 63)) == 160 + 4640 + 18496 + 195
    # the genre net flattens 128 x 8 x 16 = 16,384 values into 128, then 8
    net = build("conv-flat", {}, n_tags=8, shape=(1, 128, 259))
    assert net.hidden.in_features == 16_384
    assert (net.hidden.out_features, net.head.out_features) == (128, 8)
    # the tagger of a thousand tags flattens 256 x 4 x 4 = 4096 values into 4096, then 1000
    wide = build("conv-wide", {}, n_tags=1000, shape=(1, 96, 96))
    assert (wide.hidden.in_features, wide.hidden.out_features, wide.head.out_features) == (4096, 4096, 1000)
    convolutions = (9 + 1) * 64 + (9 * 64 + 1) * 128 + (9 * 128 + 1) * 256 + (9 * 256 + 1) * 256
    dense = 4097 * 4096 + 4097 * 1000
    assert sum(p.numel() for p in wide.parameters()) == convolutions + 2 * (64 + 128 + 256 + 256) + dense
    # the sax net flattens 20 x 7 x 5 = 700 values into 100, then 2
    sax = build("sax-net", {}, n_tags=2, shape=(1, 128, 108))
    assert (sax.hidden.in_features, sax.hidden.out_features, sax.head.out_features) == (700, 100, 2)
    assert (sax.conv1.out_channels, sax.conv2.out_channels, sax.conv1.stride) == (10, 20, (2, 2))
    # (5*5*1+1)*10 + (5*5*10+1)*20 + (700+1)*100 + (100+1)*2
    assert parameters("sax-net", 2, (1, 128, 108)) == 260 + 5020 + 70_100 + 202 == 75_582


def test_the_sax_net_draws_its_weights_from_a_normal_distribution_of_one_over_the_root_of_fan_in() -> None:
    torch.manual_seed(0)
    net = build("sax-net", {}, n_tags=2, shape=(1, 128, 108))
    for layer, fan_in in ((net.conv1, 25), (net.conv2, 250), (net.hidden, 700)):
        drawn = layer.weight.detach().flatten() * fan_in**0.5
        assert drawn.std().item() == pytest.approx(1.0, abs=0.15)
        assert drawn.abs().max() > 2.0  # a uniform distribution of that deviation ends at 1.73
        assert 0 < layer.bias.detach().abs().max() <= fan_in**-0.5  # torch's own


def test_the_sax_net_clips_its_logits_only_when_asked() -> None:
    torch.manual_seed(0)
    features = torch.randn(64, 1, 128, 108)
    clipped = SaxNet(2, 1, (128, 108), output_relu=True)
    whole = SaxNet(2, 1, (128, 108))
    whole.load_state_dict(clipped.state_dict())
    assert torch.equal(clipped(features)[0], whole(features)[0].clamp(min=0))
    assert (whole(features)[0] < 0).any()


def test_pooling_before_the_relu_is_the_published_order_in_numbers_and_gradients() -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 1, 128, 64)
    net = build("conv-flat", {"dropout": 0.0}, n_tags=8, shape=(1, 128, 64))
    layers = [layer for conv in net.convs for layer in (conv, nn.ReLU(), nn.MaxPool2d(2))]
    published = nn.Sequential(*layers, nn.Flatten(), net.hidden, nn.ReLU(), net.head)
    found, gradients = [], []
    for forward in (lambda: net(features)[0], lambda: published(features)):
        net.zero_grad()
        logits = forward()
        torch.logsumexp(logits, dim=1).sum().backward()
        found.append(logits.detach())
        gradients.append([p.grad.clone() for p in net.parameters()])
    assert torch.equal(*found)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("smallcnn", {}, "did you mean 'small-cnn'"),
        ("small-cnn", {"width": [8, 8]}, "did you mean 'widths'"),
        ("small-cnn", {"n_tags": 3}, "takes no 'n_tags'"),
        ("conv-gap", {"widths": [1, 2]}, "conv-gap cannot be built"),
        ("sax-net", {"widths": ["a", 3]}, "sax-net cannot be built"),
    ],
)
def test_a_net_that_cannot_be_built_is_refused_in_one_sentence(
    name: str, arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(RecipeError) as refused:
        build(name, arguments, n_tags=2, shape=(1, 64, 63))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("separable", "convolutions", "parameters"),
    [(1, 1, 394_154), (0, 1, 400_682), (0, 2, 1_185_002), (4, 1, 143_050)],
)
def test_stages_hold_the_weights_that_their_plan_says(separable: int, convolutions: int, parameters: int) -> None:
    # stem 25 x 32; a stage of i to o channels: 9io and again 9oo for a second convolution; separable 9i + io + 9o + oo;
    # 2o for each norm, of which a separable convolution has one; head 2,570
    arguments = {"separable": separable, "convolutions": convolutions}
    net = build("small-cnn", arguments, n_tags=10, shape=(1, 64, 321))
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net.eval()(torch.randn(2, 1, 64, 321))[0].shape == (2, 10)


def test_a_stage_without_a_convolution_is_refused() -> None:
    with pytest.raises(RecipeError, match="convolutions is 0, expected 1 or more"):
        build("small-cnn", {"convolutions": 0}, n_tags=10, shape=(1, 64, 321))


def test_more_separable_stages_than_there_are_is_refused() -> None:
    with pytest.raises(RecipeError, match="separable is 5, expected 0 to 4"):
        build("small-cnn", {"separable": 5}, n_tags=10, shape=(1, 64, 321))
