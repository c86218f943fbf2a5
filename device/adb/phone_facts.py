"""What a phone is, and the state that it is in: what changes a figure that is measured on it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from compile.support.errors import TargetError
from device.adb.adb import Phone, PhoneLost
from device.server.machine import emulated_by

LEAST_API = 24
"""Android 7: what the targets of phones are built for, and the first whose adb has exit codes."""

_ABIS = {"EM_AARCH64": "arm64-v8a", "EM_X86_64": "x86_64"}
# By number, of android.os.Temperature.
_SENSORS = ("CPU", "GPU", "battery", "skin")
_THERMAL_STATES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_POLICIES = "/sys/devices/system/cpu/cpufreq/policy*"
# Name -> command. What a phone does not let adb's shell read, is empty.
_QUESTIONS = {
    "manufacturer": "getprop ro.product.manufacturer",
    "model": "getprop ro.product.model",
    "soc": "getprop ro.soc.model",
    "board": "getprop ro.board.platform",
    "android": "getprop ro.build.version.release",
    "api": "getprop ro.build.version.sdk",
    "abis": "getprop ro.product.cpu.abilist",
    "build": "getprop ro.build.fingerprint",
    "emulator": "getprop ro.boot.qemu; getprop ro.kernel.qemu",
    "machine": "uname -m",
    "kernel": "uname -r",
    "present": "cat /sys/devices/system/cpu/present",
    "cpuinfo": "cat /proc/cpuinfo",
    "meminfo": "cat /proc/meminfo",
    "policies": f"for p in {_POLICIES}; do echo $(cat $p/related_cpus), $(cat $p/scaling_governor),"
    " $(cat $p/scaling_min_freq), $(cat $p/scaling_max_freq); done",
    "stat": "head -n 1 /proc/stat; sleep 1; head -n 1 /proc/stat",
    "battery": "dumpsys battery",
    "thermal": "dumpsys thermalservice | grep -e 'Thermal Status' -e 'Temperature.mValue'",
    "screen": "dumpsys power | grep -E 'mWakefulness=|mScreenBrightness='",
    "saver": "settings get global low_power",
    "airplane": "settings get global airplane_mode_on",
}


@dataclass(frozen=True)
class PhoneFacts:
    """What a phone tells of itself.

    Attributes:
        phone: that it is.
        answers: what it says to each question, "" where it does not tell.
    """

    phone: Phone
    answers: dict[str, str]

    @property
    def model(self) -> str:
        """Maker and model, as "samsung SM-G981B"."""
        names = [self.answers["manufacturer"], self.answers["model"]]
        return " ".join(name for name in names if name) or "unknown phone"

    @property
    def abis(self) -> list[str]:
        """What its programs may be compiled for."""
        return [abi for abi in self.answers["abis"].split(",") if abi]

    @property
    def api(self) -> int:
        """API level of its Android; 0 where it does not tell."""
        return int(self.answers["api"]) if self.answers["api"].isdigit() else 0

    @property
    def cores(self) -> int | None:
        """How many it has, also those that sleep; None where it does not tell."""
        last = _found(r"(\d+)$", self.answers["present"])
        return None if last is None else int(last) + 1

    @property
    def emulator(self) -> str:
        """What emulates it; "" of a real one."""
        if "1" in self.answers["emulator"].split():
            return "QEMU"
        return emulated_by("", self.answers["cpuinfo"], self.answers["machine"])

    @property
    def cpu(self) -> str:
        """The processor's name in reports: the phone's, and the chip's."""
        chip = self.answers["soc"] or self.answers["board"]
        name = f"{self.model}, {chip}" if chip else self.model
        return f"EMULATED by {self.emulator}: {name}" if self.emulator else name

    def check_runs(self, machine: str) -> None:
        """Raise where a program for ``machine``, as `EM_AARCH64`, cannot run on it.

        Raises:
            TargetError: another processor, or an old Android.
        """
        abi = _ABIS.get(machine, machine)
        if abi not in self.abis:
            has = ", ".join(self.abis) or "nothing that it tells"
            raise TargetError(
                f"{self.phone} runs programs for {has}, and this build is for {abi}: build it for "
                "a target that the phone runs, or take another phone"
            )
        if self.api < LEAST_API:
            raise TargetError(
                f"{self.phone} has Android {self.answers['android']} (API level {self.api}), and "
                f"builds run from Android 7 (API level {LEAST_API}) on: update it, or take "
                "another phone"
            )

    def environment(self) -> dict[str, Any]:
        """What a run's file says of it, by the names that other devices' files have, too; None for
        what it does not tell. Nothing names its owner: no serial number."""
        said = self.answers
        policies = _policies(said["policies"])
        memory = _kilobytes(said["meminfo"], "MemTotal")
        return {
            "cpu": self.cpu,
            "emulated": self.emulator,
            "machine": said["machine"],
            "cores": self.cores,
            "core_parts": _core_parts(said["cpuinfo"]),
            "memory_mb": None if memory is None else memory // 1024,
            "kernel": said["kernel"],
            "governor": ", ".join(dict.fromkeys(p["governor"] for p in policies)) or "not shown",
            "frequencies": {p["cores"]: f"{p['least']}-{p['most']} MHz" for p in policies},
            "busy_cores": _busy_cores(said["stat"], self.cores),
            "device": {
                "model": self.model,
                "Android": said["android"],
                "API level": self.api,
                "ABIs": " ".join(self.abis),
                "build": said["build"],
            },
        } | self.state()

    def state(self) -> dict[str, Any]:
        """What may change from one minute to the next."""
        said = self.answers
        available = _kilobytes(said["meminfo"], "MemAvailable")
        return {
            "free_memory_mb": None if available is None else available // 1024,
            "thermal_status": _thermal_status(said["thermal"]),
            "sensors": _sensors(said["thermal"]),
            "battery": _battery(said["battery"]),
            "screen": _found(r"mWakefulness=(\w+)", said["screen"]),
            "battery_saver": _switch(said["saver"]),
            "airplane_mode": _switch(said["airplane"]),
        }

    def flags(self) -> list[str]:
        """Return why not to rely on what is measured in this state."""
        state = self.state()
        found = []
        if state["thermal_status"] not in (None, "none"):
            found.append(f"the phone throttles for heat: {state['thermal_status']}")
        if state["battery_saver"]:
            found.append("battery saver on")
        if state["screen"] not in (None, "Awake"):
            found.append("screen off")
        return found


def read_facts(phone: Phone) -> PhoneFacts:
    """Ask ``phone`` what it is.

    Raises:
        PhoneLost: it went away.
    """
    marker = "mqnet-question"
    asked = "\n".join(
        f"echo '{marker} {name}'; ({command}) 2>/dev/null" for name, command in _QUESTIONS.items()
    )
    _, *sections = phone.shell(asked).out.split(f"{marker} ")
    answers = {}
    for section in sections:
        name, _, answer = section.partition("\n")
        answers[name.strip()] = answer.strip()
    if answers.keys() != _QUESTIONS.keys():
        raise PhoneLost(f"{phone} did not answer all questions: plug it in again")
    return PhoneFacts(phone, answers)


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


def _switch(answer: str) -> bool | None:
    return {"0": False, "1": True}.get(answer)


def _kilobytes(meminfo: str, name: str) -> int | None:
    found = _found(rf"{name}:\s+(\d+) kB", meminfo)
    return None if found is None else int(found)


def _thermal_status(answer: str) -> str | None:
    found = _found(r"Thermal Status: (\d)", answer)
    if found is None:
        return None
    return _THERMAL_STATES[min(int(found), len(_THERMAL_STATES) - 1)]


def _sensors(answer: str) -> dict[str, float]:
    """Degrees Celsius by kind, of the hottest one, as Android has them: many a phone does not let
    adb's shell read its thermal zones."""
    found: dict[str, float] = {}
    for value, kind in re.findall(r"mValue=([\d.]+), mType=(\d+)", answer):
        if int(kind) < len(_SENSORS):
            name = _SENSORS[int(kind)]
            found[name] = max(found.get(name, 0.0), float(value))
    return found


def _battery(answer: str) -> dict[str, Any] | None:
    level = _found(r"\blevel: (\d+)", answer)
    if level is None:
        return None
    tenths = _found(r"temperature: (\d+)", answer)
    powered = re.findall(r"(\w+) powered: true", answer)
    return {
        "percent": int(level),
        "celsius": None if tenths is None else int(tenths) / 10,
        "powered_by": " ".join(powered) or "battery",
    }


def _core_parts(cpuinfo: str) -> str | None:
    """How many cores of which design, by the numbers of maker and part."""
    makers = re.findall(r"^CPU implementer\s*: (\S+)", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*: (\S+)", cpuinfo, re.MULTILINE)
    counts = Counter(zip(makers, parts, strict=False))
    return ", ".join(f"{n} of {maker}:{part}" for (maker, part), n in counts.items()) or None


def _policies(answer: str) -> list[dict[str, str]]:
    found = []
    for line in answer.splitlines():
        cores, governor, *frequencies = (part.strip() for part in line.split(","))
        if cores and len(frequencies) == 2 and all(map(str.isdigit, frequencies)):
            least, most = (str(int(frequency) // 1000) for frequency in frequencies)
            name = cores.replace(" ", ",")
            found.append({"cores": name, "governor": governor, "least": least, "most": most})
    return found


def _busy_cores(answer: str, cores: int | None) -> float | None:
    """How many of the ``cores`` worked for a second, by two readings of /proc/stat."""
    readings = [list(map(int, line.split()[1:9])) for line in answer.splitlines()]
    if len(readings) != 2 or cores is None:
        return None
    passed = [after - before for before, after in zip(*readings, strict=True)]
    if not any(passed):
        return None
    idle = sum(passed[3:5]) / sum(passed)  # Idle, and waiting for a disk.
    return round((1 - idle) * cores, 2)
