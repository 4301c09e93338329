"""What an audit compares."""

from random import Random

from tests.service.scripted_firestore import document, ids, read_model, replaced
from tests.service.virtual_time import Clock


async def test_a_sample_as_large_as_the_model_is_the_whole_of_it() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, *[document(f"p{number:02}", 1, number) for number in range(50)]))
    for seed in range(20):
        sample = ids(model.sample(50, Random(seed)))
        assert sample is not None
        assert sorted(sample) == [f"p{number:02}" for number in range(50)]
        assert len(model.sample(7, Random(seed))) == 7
