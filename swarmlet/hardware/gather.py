"""Reading of a device's files into :class:`Facts`: where things are. What they mean is decided elsewhere."""

from __future__ import annotations

from swarmlet.hardware import parse_board, parse_cpu, parse_devices, parse_memory, parse_sensors
from swarmlet.hardware.facts import CpuFacts, Facts, MemoryFacts, ThermalFacts
from swarmlet.hardware.naming import Marks
from swarmlet.hardware.reader import Reader

_MAX_ZONES = 64
_MAX_TRIPS = 16
_MAX_INTERFACES = 256
_MAX_PCI = 4096
_DMI = "/sys/class/dmi/id"
_DMI_NAMES = ("sys_vendor", "product_name", "board_vendor", "bios_vendor")
_DMI_SERIALS = ("product_uuid", "product_serial", "board_serial")
_TREES = ("/proc/device-tree", "/sys/firmware/devicetree/base")
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
_CONTAINER_PATHS = ("/docker/", "/kubepods", "/libpod", "/lxc", "/containerd", "docker-", "crio-")


def gather(reader: Reader) -> Facts:
    """Read everything a profile needs: some hundred small files, a few milliseconds."""
    mountinfo = reader.text("/proc/self/mountinfo")
    membership = reader.text("/proc/self/cgroup")
    mounts = parse_memory.parse_mounts(mountinfo)
    paths = parse_memory.parse_membership(membership)
    cpu = read_cpu(reader, mounts, paths)
    container = is_container(reader, mountinfo, membership)
    battery = parse_sensors.battery_powered(read_supplies(reader))
    signs = read_signs(reader, cpu, battery=battery, container=container)
    routes = reader.text("/proc/net/route"), reader.text("/proc/net/ipv6_route")
    interfaces = read_interfaces(reader)
    return Facts(
        cpu=cpu,
        memory=read_memory(reader, mounts, paths),
        signs=signs,
        thermal=read_thermal(reader),
        display=read_display(reader),
        nvidia=len(reader.names("/proc/driver/nvidia/gpus") or ()),
        route=parse_devices.default_interface(*routes),
        interfaces=interfaces,
        marks=read_marks(reader, cpu, interfaces),
        hostname=reader.text("/proc/sys/kernel/hostname"),
    )


def read_cpu(reader: Reader, mounts: tuple[parse_memory.Mount, ...], paths: dict[str, str]) -> CpuFacts:
    """Read processors and quotas."""
    quotas = []
    mount = parse_memory.cpu_mount(mounts)
    if mount is not None:
        for level in parse_memory.levels(mount, paths.get("cpu" if mount.version == 1 else "", "/")):
            if mount.version == 2:
                cores = parse_memory.parse_cpu_max(reader.text(f"{level}/cpu.max"))
            else:
                amount = reader.text(f"{level}/cpu.cfs_quota_us")
                cores = parse_memory.quota(amount, reader.text(f"{level}/cpu.cfs_period_us"))
            if cores is not None:
                quotas.append(cores)
    return CpuFacts(
        parse_cpu.parse_cpuinfo(reader.text("/proc/cpuinfo")),
        parse_cpu.parse_cpu_list(reader.text("/sys/devices/system/cpu/online")),
        parse_cpu.parse_allowed(reader.text("/proc/self/status")),
        tuple(quotas),
    )


def read_memory(reader: Reader, mounts: tuple[parse_memory.Mount, ...], paths: dict[str, str]) -> MemoryFacts:
    """Read memory and its limits."""
    limits = []
    mount = parse_memory.memory_mount(mounts)
    if mount is not None:
        name = "memory.max" if mount.version == 2 else "memory.limit_in_bytes"
        for level in parse_memory.levels(mount, paths.get("memory" if mount.version == 1 else "", "/")):
            limit = parse_memory.parse_limit(reader.text(f"{level}/{name}"))
            if limit is not None:
                limits.append(limit)
    unified = next((mount for mount in mounts if mount.version == 2), None)
    controllers = reader.text(f"{unified.point}/cgroup.controllers") if unified else None
    return MemoryFacts(
        parse_memory.parse_meminfo(reader.text("/proc/meminfo")),
        tuple(limits),
        parse_memory.memory_controller(mounts, controllers, reader.text("/proc/cgroups")),
    )


def is_container(reader: Reader, mountinfo: str | None, membership: str | None) -> bool:
    """Look for the marks that container engines leave."""
    if any(reader.exists(mark) for mark in _CONTAINER_MARKS):
        return True
    if any(part in (membership or "") for part in _CONTAINER_PATHS):
        return True
    return parse_memory.has_overlay_root(mountinfo)


def read_signs(reader: Reader, cpu: CpuFacts, *, battery: bool | None, container: bool) -> parse_board.Signs:
    """Read what hints at the kind of device."""
    tree = next((path for path in _TREES if reader.exists(f"{path}/model")), _TREES[0])
    dmi = tuple(text for name in _DMI_NAMES if (text := reader.text(f"{_DMI}/{name}")) is not None)
    last = max(cpu.online) if cpu.online else 0
    topology = "/sys/devices/system/cpu/cpu{}/topology/physical_package_id"
    return parse_board.Signs(
        model=parse_board.board_model(reader.text(f"{tree}/model"), cpu.info.board, dmi),
        compatible=parse_board.parse_strings(reader.text(f"{tree}/compatible")),
        dmi=dmi,
        chassis=reader.text(f"{_DMI}/chassis_type"),
        hypervisor=cpu.info.hypervisor,
        packages=parse_board.packages(reader.text(topology.format(0)), reader.text(topology.format(last))),
        battery=battery,
        container=container,
    )


def read_supplies(reader: Reader) -> tuple[parse_sensors.Supply, ...] | None:
    """Read the power supplies."""
    base = "/sys/class/power_supply"
    names = reader.names(base)
    if names is None:
        return None
    return tuple(
        parse_sensors.Supply(
            reader.text(f"{base}/{name}/type"),
            reader.text(f"{base}/{name}/scope"),
            reader.text(f"{base}/{name}/present"),
        )
        for name in names[:_MAX_ZONES]
    )


def read_thermal(reader: Reader) -> ThermalFacts:
    """Read the thermal zone that speaks best for the processor, or its hwmon chip where there is no zone."""
    base = "/sys/class/thermal"
    zones = [name for name in reader.names(base) or () if name.startswith("thermal_zone")][:_MAX_ZONES]
    ranked = sorted((parse_sensors.zone_rank(reader.text(f"{base}/{name}/type")), name) for name in zones)
    for _, name in ranked:
        current = reader.text(f"{base}/{name}/temp")
        if parse_sensors.parse_millidegrees(current) is not None:
            trips = read_trips(reader, f"{base}/{name}")
            chip = read_chip(reader) if not parse_sensors.throttle_point(trips, None) else None
            return ThermalFacts(current, chip.trips if chip else trips)
    return read_chip(reader)


def read_trips(reader: Reader, zone: str) -> tuple[tuple[str | None, str | None], ...]:
    """Read the trip points of a zone."""
    trips = []
    for number in range(_MAX_TRIPS):
        kind = reader.text(f"{zone}/trip_point_{number}_type")
        if kind is None:
            break
        trips.append((kind, reader.text(f"{zone}/trip_point_{number}_temp")))
    return tuple(trips)


def read_chip(reader: Reader) -> ThermalFacts:
    """Read the processor's own sensor in /sys/class/hwmon; its maximum is where it slows down."""
    base = "/sys/class/hwmon"
    for name in (reader.names(base) or ())[:_MAX_ZONES]:
        if reader.text(f"{base}/{name}/name") in parse_sensors.CPU_CHIPS:
            chip = f"{base}/{name}/temp1"
            trips = (("passive", reader.text(f"{chip}_max")), ("critical", reader.text(f"{chip}_crit")))
            return ThermalFacts(reader.text(f"{chip}_input"), trips)
    return ThermalFacts()


def read_display(reader: Reader) -> tuple[parse_devices.PciDevice, ...] | None:
    """Read the display controllers on the PCI bus; none on a board without that bus."""
    base = "/sys/bus/pci/devices"
    names = reader.names(base)
    if names is None:
        return () if reader.exists("/sys/bus") else None
    devices = []
    for slot in names[:_MAX_PCI]:
        device_class = reader.text(f"{base}/{slot}/class")
        if parse_devices.is_display(device_class):
            devices.append(parse_devices.PciDevice(slot, device_class, reader.text(f"{base}/{slot}/vendor")))
    return tuple(devices)


def read_interfaces(reader: Reader) -> dict[str, parse_devices.Interface]:
    """Read the network interfaces; of virtual ones only what is below them."""
    base = "/sys/class/net"
    interfaces = {}
    for name in (reader.names(base) or ())[:_MAX_INTERFACES]:
        path = f"{base}/{name}"
        names = reader.names(path) or ()
        lower = tuple(entry.removeprefix("lower_") for entry in names if entry.startswith("lower_"))
        if "device" not in names:
            interfaces[name] = parse_devices.Interface(lower=lower)
            continue
        wireless = "wireless" in names or "phy80211" in names
        interfaces[name] = parse_devices.Interface(
            speed=None if wireless else reader.text(f"{path}/speed"),
            wireless=wireless,
            physical=True,
            lower=lower,
            address=reader.text(f"{path}/address"),
            assigned=reader.text(f"{path}/addr_assign_type"),
            kind=reader.text(f"{path}/type"),
        )
    return interfaces


def read_marks(reader: Reader, cpu: CpuFacts, interfaces: dict[str, parse_devices.Interface]) -> Marks:
    """Read what tells this device from others."""
    serials = [reader.text(f"{tree}/serial-number") for tree in _TREES]
    serials.append(cpu.info.serial)
    serials.extend(reader.text(f"{_DMI}/{name}") for name in _DMI_SERIALS)
    return Marks(tuple(serials), parse_devices.hardware_addresses(interfaces), reader.text("/etc/machine-id"))
