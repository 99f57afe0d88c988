"""What a node lends bounds each workload and the sum, and says which key to raise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.workload import Resources
from swarmlet.workloads.limits import Limits, effective, refusal, storage_refusal, waits_for

amounts = st.one_of(st.none(), st.integers(1, 1000))
asks = st.builds(lambda memory, cpu: Resources(cpu=cpu and cpu / 100, memory_mb=memory), amounts, amounts)


def test_limits_come_in_the_form_of_the_configuration() -> None:
    limits = Limits.from_mapping({"memory_mb": 512.0, "storage_gb": 10.0})
    assert limits == Limits(memory_mb=512.0, cpu_cores=None, storage_gb=10.0)


def test_a_refusal_names_what_was_asked_the_limit_and_the_key() -> None:
    memory = refusal(Resources(memory_mb=513), Limits(memory_mb=512))
    assert memory is not None
    assert memory.fields == {"asked": "513 MB", "limit": "512 MB", "key": "SWARM_MAX_MEMORY_MB"}
    cpu = refusal(Resources(cpu=2.5), Limits(cpu_cores=2))
    assert cpu is not None
    assert cpu.fields == {"asked": "2.5 cores", "limit": "2 cores", "key": "SWARM_MAX_CPU_CORES"}
    assert refusal(Resources(cpu=2, memory_mb=512), Limits(512, 2)) is None


def test_who_asks_for_nothing_is_bounded_by_all_that_is_lent() -> None:
    assert effective(Resources(), Limits(memory_mb=512, cpu_cores=1.5)) == Resources(cpu=1.5, memory_mb=512)
    assert effective(Resources(cpu=1, memory_mb=10), Limits(512, 1.5)) == Resources(cpu=1, memory_mb=10)
    assert effective(Resources(), Limits()) == Resources()


def test_processor_time_waits_too() -> None:
    reason = waits_for(Resources(cpu=1.0), [Resources(cpu=1.5)], Limits(cpu_cores=2))
    assert reason is not None
    assert "0.5 of 2 cores free (SWARM_MAX_CPU_CORES)" in reason
    third = [Resources(cpu=0.1)] * 2
    assert waits_for(Resources(cpu=0.1), third, Limits(cpu_cores=0.3)) is None


def test_who_asks_for_nothing_takes_all_that_is_lent_and_others_wait() -> None:
    lent = Limits(memory_mb=100, cpu_cores=1)
    assert waits_for(Resources(), [], lent) is None
    second = waits_for(Resources(), [Resources()], lent)
    assert second is not None
    assert "for want of --memory, 0 of 100 MB free (SWARM_MAX_MEMORY_MB)" in second
    small = Resources(cpu=0.1, memory_mb=1)
    assert waits_for(small, [Resources()], lent) is not None
    assert waits_for(Resources(), [small], lent) is not None
    only_memory = waits_for(Resources(memory_mb=10), [Resources(memory_mb=10)], lent)
    assert only_memory is not None
    assert "for want of --cpu" in only_memory
    assert waits_for(Resources(), [Resources()] * 5, Limits()) is None


def test_full_storage_refuses_and_says_how_full() -> None:
    assert storage_refusal(10**12, Limits()) is None
    assert storage_refusal(999_999_999, Limits(storage_gb=1)) is None
    full = storage_refusal(1_500_000_000, Limits(storage_gb=1))
    assert full is not None
    assert full.code == "SWL-506"
    assert "1.50 GB" in full.what
    assert "SWARM_MAX_STORAGE_GB" in full.what


@given(st.lists(asks, max_size=20), st.integers(1, 2000), st.integers(1, 16))
def test_the_sum_of_what_is_let_in_never_exceeds_the_limits(
    wanted: list[Resources], memory: int, cores: int
) -> None:
    limits = Limits(memory_mb=memory, cpu_cores=cores)
    inside: list[Resources] = []
    for one in wanted:
        if refusal(one, limits) is None and waits_for(one, inside, limits) is None:
            inside.append(one)
    bounds = [effective(one, limits) for one in inside]
    assert sum(one.memory_mb or 0 for one in bounds) <= memory
    assert sum(one.cpu or 0.0 for one in bounds) <= cores + 1e-6


@given(asks, st.integers(1, 2000), st.integers(1, 16))
def test_what_is_not_refused_fits_an_idle_node(one: Resources, memory: int, cores: int) -> None:
    limits = Limits(memory_mb=memory, cpu_cores=cores)
    if refusal(one, limits) is None:
        assert waits_for(one, [], limits) is None
