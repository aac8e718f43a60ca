import pytest
import torch

from earmark.errors import RecipeError
from earmark.models import build
from earmark.models.members import Members

SHAPE = (1, 32, 40)
WIDTHS = {"widths": [8, 8, 16, 16]}


def three() -> Members:
    torch.manual_seed(0)
    net = build("small-cnn", WIDTHS, n_tags=5, shape=SHAPE, members=3)
    assert isinstance(net, Members)
    return net


def test_one_member_is_the_net_itself() -> None:
    assert not isinstance(build("small-cnn", WIDTHS, n_tags=5, shape=SHAPE, members=1), Members)


def test_they_answer_by_the_mean_of_their_logits() -> None:
    net, x = three().eval(), torch.randn(4, *SHAPE)
    logits, embedding = net(x)
    common = net.trunk(x)
    alone = [member(common) for member in net.nets]
    torch.testing.assert_close(logits, (alone[0][0] + alone[1][0] + alone[2][0]) / 3)
    assert torch.equal(embedding, torch.cat([each[1] for each in alone], dim=1))
    assert not torch.equal(alone[0][0], alone[1][0])  # each has weights of its own


def test_in_training_each_answers_for_itself() -> None:
    net, x = three().train(), torch.randn(4, *SHAPE)
    logits, embedding = net(x)
    assert logits.shape == (3, 4, 5)
    assert embedding.shape == (4, 48)


def test_a_clipped_output_is_told() -> None:
    shape = (1, 128, 108)
    clipped = build("sax-net", {"output_relu": True}, n_tags=2, shape=shape, members=2)
    assert isinstance(clipped, Members)
    assert clipped.output_relu
    assert not three().output_relu


def test_the_first_stage_is_computed_once() -> None:
    net = three()
    seen: list[torch.Size] = []
    net.trunk.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    net(torch.randn(4, *SHAPE))
    assert seen == [(4, 8, 8, 10)]  # one stem and one stage for all three, halved twice
    stems = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (5, 5)]
    assert len(stems) == 1


def test_members_may_have_nothing_in_common() -> None:
    torch.manual_seed(0)
    net = build("small-cnn", WIDTHS | {"shared": 0}, n_tags=5, shape=SHAPE, members=2).eval()
    assert isinstance(net, Members)
    x = torch.randn(4, *SHAPE)
    assert torch.equal(net.trunk(x), x)
    net.nets[0].requires_grad_(False)
    net.train()(x)[0].sum().backward()
    assert all(weight.grad is None for weight in net.nets[0].parameters())
    assert all(weight.grad is not None for weight in net.nets[1].parameters())


def test_what_is_shared_learns_from_every_member() -> None:
    torch.manual_seed(0)
    net = build("small-cnn", WIDTHS | {"dropout": 0.0}, n_tags=5, shape=SHAPE, members=3).train()
    x = torch.randn(4, *SHAPE)
    grads = []
    for member in range(3):
        net.zero_grad()
        net(x)[0][member].square().sum().backward()
        grads.append(net.trunk[0][0][0].weight.grad.clone())
        assert all(
            w.grad is None or not w.grad.any() for other in {0, 1, 2} - {member} for w in net.nets[other].parameters()
        )
    net.zero_grad()
    net(x)[0].square().sum().backward()
    torch.testing.assert_close(net.trunk[0][0][0].weight.grad, sum(grads), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shared", [-1, 4])
def test_a_share_that_leaves_a_member_nothing_is_refused(shared: int) -> None:
    with pytest.raises(RecipeError, match=rf"shared is {shared}, expected 0 to 3"):
        build("small-cnn", WIDTHS | {"shared": shared}, n_tags=5, shape=SHAPE, members=2)
