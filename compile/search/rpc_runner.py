"""Measures candidates on the devices that a tracker knows by one key, all at once.

A device must compute the reference kernel right before it is believed, and time it alike before and
behind every share of a batch. One that loses its session again and again, that lies, or whose
reference kernel's time drifts, is used no more: its share goes to the others. The last one that
has another speed, and keeps that, is used on, and its share is measured again. A candidate is to
blame only where two sessions were lost to it and the device is healthy without it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median
from typing import Any

from compile.artefact.compatibility import TargetNeeds
from compile.records.log_folder import DEVICE_FACTS
from compile.search.kernel_task import TaskArguments
from compile.search.measuring_device import DeviceOptions, MeasuringDevice
from compile.search.runner import Measurement, has_drifted, is_noisy, noise_of
from compile.support.errors import TargetError
from compile.support.outcome import Outcome
from device.client.device_session import wrong_target
from device.client.request import count_devices
from targets.spec import TargetSpec

log = logging.getLogger(__name__)

# Looks at a device's reference kernel that tell its noise: other work on the machine, such as the
# session itself where PoCL or a server beside it plays the device, or a GPU's changing clock.
_FIRST_LOOKS, _SECONDS_BETWEEN = 4, 0.3
# A device that has drifted is looked at again after each of these rests, a minute together: other
# work ends, a phone cools down.
_SECONDS_TO_CALM = 2.0
_RESTS = (1, 2, 4, 8, 15)
_SECONDS_TO_RETURN = 15.0
# Sessions that a device may lose one after the other, without a candidate's being to blame.
_MOST_LOSSES = 3
# Sessions that a candidate may cost before it is to blame.
_MOST_CRASHES = 2
# Times that a device may change its speed without a share between them that counts.
_MOST_CHANGES = 3

Job = tuple[TaskArguments, Path]


@dataclass
class _Member:
    """A device of the farm.

    Attributes:
        name: for sentences.
        device: that measures.
        facts: what it says of itself; {} until it is known.
        reference: seconds of its reference kernel, at first.
        noise: by what part of them it differed then.
        losses: sessions lost since the last measurement.
        changes: other speeds that it has taken since the last share that counted.
        unfit: why it cannot execute what is built for the target, or "".
        quarantined: why it is used no more, or "".
    """

    name: str
    device: MeasuringDevice
    facts: dict[str, Any] = field(default_factory=dict)
    reference: float = 0.0
    noise: float = 0.0
    losses: int = 0
    changes: int = 0
    unfit: str = ""
    quarantined: str = ""


@dataclass
class _Pending:
    """A job of a batch: its place there, and the sessions that it has cost."""

    place: int
    job: Job
    crashes: int = 0


class RpcRunner:
    """See :class:`compile.search.runner.Runner`; on ``count`` devices, each used by ``options``,
    of what is built for the target ``spec``.

    Raises:
        TargetError: no device can be used, and why not.
    """

    def __init__(
        self,
        options: DeviceOptions,
        count: int,
        spec: TargetSpec,
        reference: Job,
        expected: Path,
    ) -> None:
        self.warnings: list[str] = []
        self._reference, self._expected = reference, expected
        self._address, self._needs = options.address, TargetNeeds.of(spec)
        # Counts are the same every time.
        self._is_emulated = options.timing is not None
        self._members = [_Member(f"device {n + 1}", MeasuringDevice(options)) for n in range(count)]
        self._threads = ThreadPoolExecutor(count)
        try:
            list(self._threads.map(self._admit, self._members))
            if all(member.unfit for member in self._members):
                raise wrong_target(spec.name, self._address, self._members[0].unfit)
            self.device: dict[str, Any] = self._healthy()[0].facts
            for member in self._healthy():
                for name in DEVICE_FACTS:
                    if member.facts.get(name) != self.device.get(name):
                        self._quarantine(member, f"is another kind of device ({name} differs)")
        except BaseException:
            self.close()
            raise

    def measure(self, jobs: Sequence[Job]) -> list[Measurement]:
        """Each library with its arguments, shared out among the devices.

        Raises:
            TargetError: no device is left.
        """
        results: list[Measurement | None] = [None] * len(jobs)
        left = [_Pending(place, job) for place, job in enumerate(jobs)]
        while left:
            queue: SimpleQueue[_Pending] = SimpleQueue()
            for pending in left:
                queue.put(pending)
            healthy = self._healthy()
            shares = list(self._threads.map(self._share, healthy, [queue] * len(healthy)))
            for share in shares:
                for pending, measurement in share:
                    results[pending.place] = measurement
            left = [pending for pending in left if results[pending.place] is None]
        return [result for result in results if result is not None]

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> str:
        """Why the library's results are not those in ``expected``, or ""; where they are not, the
        device has to show that it computes the reference kernel right.

        Raises:
            TargetError: no device is left.
        """
        crashes = 0
        while True:
            member = self._healthy()[0]
            outcome = member.device.check(arguments, library, expected)
            if outcome.crashed:
                crashes += 1
                if self._is_healthy(member, outcome.error) and crashes >= _MOST_CRASHES:
                    return outcome.error
            elif not (wrong := outcome.error or outcome.value) or self._is_healthy(member):
                return wrong

    def reference(self) -> float:
        """Seconds of the first device's reference kernel; each device is watched by itself."""
        return self._healthy()[0].reference

    def close(self) -> None:
        """End all sessions."""
        for member in self._members:
            member.device.close()
        self._threads.shutdown()

    def _healthy(self) -> list[_Member]:
        healthy = [member for member in self._members if not member.quarantined]
        if not healthy:
            reasons = "; ".join(f"{m.name} {m.quarantined}" for m in self._members)
            raise TargetError(
                f"no device is left ({reasons}): mend them, and the same command goes on where "
                "this one stopped"
            )
        return healthy

    def _quarantine(self, member: _Member, why: str) -> None:
        member.quarantined = why
        self.warnings.append(f"{member.name} {why}: it is used no more")
        log.warning(self.warnings[-1])

    def _admit(self, member: _Member) -> None:
        told = member.device.facts()
        fits = told if told.error else member.device.why_not(self._needs)
        if fits.error:
            self._quarantine(member, f"cannot be used ({fits.error})")
            return
        member.facts, member.unfit = told.value, fits.value or ""
        if member.unfit:
            self._quarantine(member, f"does not run what is built for it ({member.unfit})")
            return
        if self._is_healthy(member) and not self._is_emulated:
            self._learn_noise(member)

    def _learn_noise(self, member: _Member) -> None:
        looks = [member.reference]
        for _ in range(_FIRST_LOOKS - 1):
            time.sleep(_SECONDS_BETWEEN)
            outcome = member.device.measure(*self._reference)
            if not outcome.error:
                looks.append(min(outcome.value))
        member.reference, member.noise = median(looks), noise_of(looks)
        if is_noisy(member.noise):
            self.warnings.append(
                f"{member.name} is noisy: its reference kernel differs by {member.noise:.0%} from "
                "one moment to the next, so believe no smaller difference"
            )

    def _is_healthy(self, member: _Member, lost: str = "") -> bool:
        """Whether the device computes the reference kernel right and as fast as at first; else it
        is quarantined. A ``lost`` session (how, in a few words) is forgiven a few times."""
        while True:
            if lost and self._is_gone():
                self._quarantine(member, f"is gone ({lost})")
                return False
            # Longer than any session may last.
            if lost and (opened := member.device.open()).error:
                self._quarantine(member, f"does not come back ({opened.error})")
                return False
            outcome = member.device.check(self._reference[0], self._reference[1], self._expected)
            if not outcome.error and outcome.value:
                self._quarantine(member, f"computes wrong results ({outcome.value})")
                return False
            if not outcome.error:
                outcome = member.device.measure(*self._reference)
            if not outcome.error:
                break
            lost = outcome.error if outcome.crashed else ""
            member.losses += 1
            if member.losses >= _MOST_LOSSES:
                self._quarantine(member, f"fails again and again ({outcome.error})")
                return False
        member.losses = 0
        return not self._drifts(member, outcome) or not self._stays_changed(member)

    def _is_gone(self) -> bool:
        """Whether the tracker knows fewer devices than are used, and stays at that: a server that
        a crash has ended registers again within seconds. Without this, the one that lost its device
        would take another's whenever that is free for a moment."""
        deadline = time.monotonic() + _SECONDS_TO_RETURN
        while time.monotonic() < deadline:
            with suppress(TargetError):
                if count_devices(self._address) >= len(self._healthy()):
                    return False
            time.sleep(0.5)
        return True

    def _drifts(self, member: _Member, outcome: Outcome) -> bool:
        now = min(outcome.value)
        member.reference = member.reference or now
        return has_drifted(now, member.reference, member.noise)

    def _stays_changed(self, member: _Member) -> bool:
        """After some more looks; where it does, it is quarantined, or goes on from its new speed.

        It goes on where it was disturbed at first and is faster now, and where it is the last one:
        a session on a phone that has become warm would end, and the next one begin from there.
        """
        for rest in _RESTS:
            time.sleep(rest * _SECONDS_TO_CALM)
            outcome = member.device.measure(*self._reference)
            if not outcome.error and not self._drifts(member, outcome):
                return False
        change = "" if outcome.error else f"{min(outcome.value) / member.reference - 1:+.0%}"
        is_last = len(self._healthy()) == 1
        if change and (is_last or change[0] == "-") and member.changes < _MOST_CHANGES:
            member.changes += 1
            member.reference = min(outcome.value)
            self.warnings.append(
                f"{member.name} has another speed than at first (reference kernel: {change} after "
                "a minute's rest): what it measured meanwhile is measured again"
            )
            log.warning(self.warnings[-1])
            self._learn_noise(member)
            return False
        how = outcome.error or (
            f"{change} after a minute's rest, and {member.noise:.0%} is its noise"
        )
        self._quarantine(member, f"does not keep its speed (reference kernel: {how})")
        return True

    def _share(
        self, member: _Member, queue: SimpleQueue[_Pending]
    ) -> list[tuple[_Pending, Measurement]]:
        """Measure from the queue until it is empty; what the device has measured counts only where
        it is the same behind it."""
        done: list[tuple[_Pending, Measurement]] = []
        changes = member.changes
        with suppress(Empty):
            while True:
                pending = queue.get_nowait()
                outcome = member.device.measure(*pending.job)
                if not outcome.crashed:
                    done.append((pending, Measurement(tuple(outcome.value or ()), outcome.error)))
                    continue
                pending.crashes += 1
                if not self._is_healthy(member, outcome.error):
                    return []
                if pending.crashes >= _MOST_CRASHES:
                    done.append((pending, Measurement(error=outcome.error)))
                else:
                    queue.put(pending)
        if not done or not self._is_healthy(member) or member.changes != changes:
            return []
        member.changes = 0
        return done
