"""Whatever happens to two runs in whatever order: one cluster each at most, and none after their end."""

from hypothesis import settings

from chaos import sequences


def test_random_sequences_keep_every_promise() -> None:
    sequences.play(number=1, examples=settings.default.max_examples // 3, steps=12)
