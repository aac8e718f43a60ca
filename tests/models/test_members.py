import torch

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
    alone = [member(x) for member in net.nets]
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
