"""Every kind of fault, by the name that the report calls it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.chaos import client_faults, firestore_faults, network_faults
from benchmarks.chaos.stage import Stage

Fault = Callable[[Stage], None]


@dataclass(frozen=True)
class Kind:
    """`slower`: how many times longer than others recovery may take. `crowd`: whether the crowd polls meanwhile."""

    fault: Fault
    slower: float = 1.0
    crowd: bool = False


KINDS: dict[str, Kind] = {
    "outage": Kind(network_faults.outage),
    "refused for long": Kind(network_faults.refused_for_long),
    "connections reset": Kind(network_faults.reset_connections),
    "half-open connections": Kind(network_faults.half_open),
    "requests lost": Kind(network_faults.lost_requests),
    "answers lost": Kind(network_faults.lost_answers),
    "nothing read": Kind(network_faults.stop_reading),
    "one replica behind": Kind(network_faults.one_replica_behind),
    "slow network": Kind(network_faults.slow_network),
    "slow RESET": Kind(network_faults.slow_reset),
    "stalled streams": Kind(firestore_faults.stall),
    "slow reads": Kind(firestore_faults.slow_reads),
    "failing reads": Kind(firestore_faults.failing_reads),
    "hanging reads": Kind(firestore_faults.hanging_reads),
    "streams ended": Kind(firestore_faults.end_streams),
    "streams refused": Kind(firestore_faults.refuse_streams),
    "storm of reconnections": Kind(firestore_faults.storm),
    "target removed": Kind(firestore_faults.remove_targets),
    "false filter": Kind(firestore_faults.false_filter),
    "RESET": Kind(firestore_faults.reset),
    "tokens expired": Kind(firestore_faults.expire_tokens),
    "frozen": Kind(firestore_faults.freeze),
    "frozen in an outage": Kind(firestore_faults.freeze_in_an_outage),
    "starved of CPU": Kind(firestore_faults.starve),
    "rolling restart": Kind(firestore_faults.restart),
    "clock jumps": Kind(firestore_faults.move_clock),
    "dropped update": Kind(functools.partial(firestore_faults.lie, deletion=False)),
    "dropped deletion": Kind(functools.partial(firestore_faults.lie, deletion=True)),
    "crowd in an outage": Kind(client_faults.crowd_in_an_outage, crowd=True),
    "crowd while Firestore hangs": Kind(client_faults.crowd_while_firestore_hangs, crowd=True),
    "crowd while refused": Kind(client_faults.crowd_while_refused, slower=3.0, crowd=True),
    "clients leave": Kind(client_faults.leave_at_once),
}
