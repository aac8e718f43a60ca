import numpy as np

from earmark.reports.content import ReportContent, worst_mistakes


def test_mistakes_are_wrong_and_the_surest_come_first(content: ReportContent) -> None:
    clips = content.predictions["test"]
    rows = np.arange(89)
    kept, found, p = clips.take(rows), content.evaluations["test"], content.probabilities["test"][rows]
    mistakes = worst_mistakes(kept, found, p, n=5)
    assert len(mistakes) == 5
    confidences = [mistake.confidence for mistake in mistakes]
    assert confidences == sorted(confidences, reverse=True)
    assert len({mistake.clip for mistake in mistakes}) == 5
    for mistake in mistakes:
        assert (kept.truth[mistake.clip] != found.predicted[mistake.clip]).any()
        assert mistake.true != mistake.said
    everything = worst_mistakes(kept, found, p, n=1000)
    assert len(everything) == int((kept.truth != found.predicted).any(axis=1).sum())


def test_the_test_clips_come_first(content: ReportContent) -> None:
    assert content.main_split == "test"
