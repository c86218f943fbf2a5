"""The device's own time, by its events."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tvm
from opencl_kernels import TARGET, add_module, check_add, conv_module, draw_input, in_new_process
from tvm import relax, te
from tvm.s_tir import Schedule

from device.server.stopwatch import start_stopwatch


def _slow_library(rounds: int) -> tvm.runtime.Module:
    """A kernel of one work item that computes `rounds` times as long as one of one round."""
    a = te.placeholder((1000,), "float32", "a")
    axis = te.reduce_axis((0, 1000 * rounds), "axis")
    total = te.compute((1,), lambda i: te.sum(a[(axis * 7 + i) % 1000], axis), "total")
    schedule = Schedule(te.create_prim_func([a, total]))
    loop, _ = schedule.get_loops(schedule.get_sblock("total"))
    schedule.bind(loop, "threadIdx.x")
    return tvm.compile(schedule.mod, target=TARGET).jit()


def test_more_work_takes_more_time(opencl: tvm.runtime.Device):
    a = tvm.runtime.tensor(draw_input((1000,)), opencl)
    total = tvm.runtime.empty((1,), "float32", opencl)
    seconds = []
    for rounds in (100, 1000):
        measure = _slow_library(rounds).time_evaluator("main", opencl, number=3, repeat=3)
        seconds.append(min(measure(a, total).results))
    assert 0 < seconds[0] < seconds[1] / 5


def test_a_stopwatch_has_the_devices_time(opencl: tvm.runtime.Device):
    """And not what the host does meanwhile."""
    tensors = [tvm.runtime.tensor(draw_input((1000,)), opencl) for _ in range(3)]
    library = add_module().jit()
    library["main"](*tensors)
    begin = time.perf_counter()
    stop = start_stopwatch(opencl)
    library["main"](*tensors)
    time.sleep(0.2)
    seconds = stop()
    assert 0 < seconds < time.perf_counter() - begin - 0.1
    stop = start_stopwatch(tvm.cpu())
    time.sleep(0.1)
    assert stop() >= 0.1


def test_a_network(opencl: tvm.runtime.Device):
    machine = relax.VirtualMachine(conv_module()[0], opencl)
    x = tvm.runtime.tensor(draw_input(), opencl)
    measured = machine.time_evaluator("main", opencl, number=3, repeat=5)(x)
    assert len(measured.results) == 5 and 0 < min(measured.results) < max(measured.results) < 1


def test_without_commands(opencl: tvm.runtime.Device):
    """A function that launches nothing takes none of the device's time."""
    a = te.placeholder((10,), "float32", "a")
    module = te.create_prim_func([a, te.compute((10,), lambda i: a[i] + 1, "b")])
    library = tvm.compile(module, target="llvm").jit()
    tensors = [tvm.runtime.tensor(np.zeros(10, "float32")) for _ in range(2)]
    measured = library.time_evaluator("main", opencl, number=1, repeat=2)(*tensors)
    assert measured.results == (0, 0)


def test_runs_are_right_while_timed_and_after(opencl: tvm.runtime.Device):
    """Timing changes the queue: what was enqueued before goes first."""
    library = add_module().jit()
    one = tvm.runtime.tensor(np.ones(1000, "float32"), opencl)
    total, other = (tvm.runtime.tensor(np.zeros(1000, "float32"), opencl) for _ in range(2))
    for _ in range(10):
        library["main"](total, one, other)
        library.time_evaluator("main", opencl, number=1, repeat=1)(other, one, total)
    np.testing.assert_array_equal(total.numpy(), np.full(1000, 20))
    check_add(opencl, add_module())


def test_what_is_timed_waits_for_what_was_launched_before(
    opencl: tvm.runtime.Device, tmp_path: Path
):
    """Timed commands go to a queue of their own, which does not wait for the other one: so the
    timer has to, at its start and at its end.

    PoCL runs one after the other all the same, so a library before it writes down in which order
    what is asked for. TVM itself waits before it starts a timer; behind that wait, the library
    launches the last kernel again, as another thread may do.
    """
    source = tmp_path / "order.c"
    source.write_text(_ORDER)
    library, order = tmp_path / "order.so", tmp_path / "order.txt"
    link = ["-Wl,--no-as-needed", "-l:libOpenCL.so.1"]
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, *link], check=True)
    in_new_process(
        """
import tvm_ffi
from opencl_kernels import add_module, draw_input
device, library = tvm.opencl(0), add_module().jit()
a, b, c = (tvm.runtime.tensor(draw_input((1000,)), device) for _ in range(3))
tvm_ffi.register_global_func("mqnet.test.launch", lambda *_: library["main"](a, b, c))
measure = library.time_evaluator("main", device, number=2, repeat=1, f_preproc="mqnet.test.launch")
measure(a, b, c)
library["main"](a, b, c)
device.sync()
""",
        MQNET_OPENCL_LIBRARY=str(library),
        MQNET_TEST_ORDER=str(order),
    )
    said = order.read_text().split()
    plain, timed = dict.fromkeys(word[1:] for word in said)
    names = {plain: "p", timed: "t"}
    steps = "".join(word[0] + names[word[1:]] for word in said)
    # Launches (l) and waits (w) of the plain queue (p) and the timed one (t).
    assert "ltlt" in steps and steps.count("lp") >= 3, steps
    assert not re.search("lp(wt)*lt|lt(wp)*lp", steps), steps


# Writes "l" or "w" and the queue for each launch and each wait.
_ORDER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void say(const char *what, void *queue) {
  FILE *file = fopen(getenv("MQNET_TEST_ORDER"), "a");
  fprintf(file, "%s%p ", what, queue);
  fclose(file);
}
static struct {
  void *queue, *kernel;
  unsigned n;
  size_t global[3], local[3];
} last;
static int launched;
static void *plain;
int clEnqueueNDRangeKernel(void *queue, void *kernel, unsigned n, const size_t *offset,
                           const size_t *global, const size_t *local, unsigned m, void *wait,
                           void *event) {
  int (*next)(void *, void *, unsigned, const size_t *, const size_t *, const size_t *, unsigned,
              void *, void *) = dlsym(RTLD_NEXT, "clEnqueueNDRangeKernel");
  say("l", queue);
  if (plain == NULL) plain = queue;
  launched = queue == plain;
  last.queue = queue;
  last.kernel = kernel;
  last.n = n;
  memcpy(last.global, global, n * sizeof *global);
  memcpy(last.local, local, n * sizeof *local);
  return next(queue, kernel, n, offset, global, local, m, wait, event);
}
int clFinish(void *queue) {
  int (*next)(void *) = dlsym(RTLD_NEXT, "clFinish");
  say("w", queue);
  int code = next(queue);
  if (launched && queue == plain) {
    clEnqueueNDRangeKernel(queue, last.kernel, last.n, 0, last.global, last.local, 0, 0, 0);
    launched = 0;
  }
  return code;
}
"""


def test_an_error_while_timed(opencl: tvm.runtime.Device):
    """The timer goes with the error, and the next run is not timed."""
    library = add_module(dtype="float16").jit()
    half = tvm.runtime.empty((1000,), "float16", opencl)
    measure = library.time_evaluator("main", opencl, number=1, repeat=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cl_khr_fp16"):
            measure(half, half, half)
    check_add(opencl, add_module())
