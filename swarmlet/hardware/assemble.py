"""From facts to the profile. Pure: what is not known stays ``None``, and nothing is guessed."""

from __future__ import annotations

from swarmlet.hardware import naming, parse_board, parse_cpu, parse_devices, parse_sensors
from swarmlet.hardware.facts import Facts, Host
from swarmlet.model.classification import classify
from swarmlet.model.profile import Capabilities, Enforcement, Hardware, Profile, Thermal

_GIGA = 10**9


def assemble(facts: Facts, host: Host, node_name: str | None, enforcement: Enforcement) -> Profile:
    """Return the profile of a device.

    Args:
        facts: What its files say.
        host: What only the running system can tell.
        node_name: The name its owner chose, if any.
        enforcement: What the kernel can enforce on workloads.
    """
    kind = parse_board.device_type(facts.signs)
    hardware = judge_hardware(facts, host, kind)
    capabilities = judge_capabilities(facts, host, kind)
    mark = naming.fingerprint(facts.marks)
    name = node_name or naming.default_name(facts.hostname, kind, mark, container=facts.signs.container)
    return Profile(
        node_id=name,
        hardware=hardware,
        capabilities=capabilities,
        classification=classify(hardware, capabilities),
        fingerprint=mark,
        container_engine=host.engine,
        enforcement=enforcement,
    )


def judge_hardware(facts: Facts, host: Host, kind: str | None) -> Hardware:
    """Return processor, memory and storage as workloads will see them."""
    cpu = facts.cpu
    quota = min(cpu.quotas, default=None)
    sizes = [size for size in (facts.memory.total, *facts.memory.limits) if size is not None]
    return Hardware(
        cpu_model=cpu.info.model,
        cpu_cores=parse_cpu.usable_cores(cpu.online, cpu.allowed, cpu.info.processors, quota),
        memory_gb=gigabytes(min(sizes, default=None), 2),
        storage_gb=gigabytes(host.storage_bytes, 1),
        architecture=parse_cpu.architecture(host.machine, host.pointer_bits),
        device_type=kind,
    )


def judge_capabilities(facts: Facts, host: Host, kind: str | None) -> Capabilities:
    """Return what the device can do beyond computing."""
    counted = parse_devices.count_gpus(facts.display, facts.nvidia, facts.signs.compatible)
    return Capabilities(
        gpu_count=counted if host.gpus is None else max(host.gpus, counted or 0),
        network_bandwidth_mbps=parse_devices.bandwidth(facts.route, facts.interfaces),
        battery_powered=facts.signs.battery,
        thermal_constraints=Thermal(
            max_temp_celsius=parse_sensors.throttle_point(facts.thermal.trips, kind),
            current_temp_celsius=parse_sensors.parse_millidegrees(facts.thermal.current),
        ),
    )


def gigabytes(size: int | None, places: int) -> float | None:
    """Return bytes as decimal gigabytes, rounded down: no more is promised than there is."""
    if size is None:
        return None
    scale: int = 10**places
    return size * scale // _GIGA / scale
