/* What the scoreboard has to know of an instruction, by the figures of a target file's [timing]. */
#ifndef IN_ORDER_STEP_H
#define IN_ORDER_STEP_H

#include "instruction_classes.h"
#include "scoreboard.h"

enum { ONE_CYCLE = 1000 };

/* In thousandths of a cycle: what an instruction keeps its pipe busy, by class; after how long its
 * result is there, where the core issues in order; and a sum for the next one of its kind. */
struct core_timing {
  uint64_t cost[CLASSES], latency[CLASSES], sum_latency;
};

static struct step step_of(const struct instruction *instruction, struct operands operands,
                           const struct core_timing *core) {
  struct step step = {.operands = operands,
                      .base_latency = core->latency[OTHER],
                      .sum_latency = core->sum_latency};
  for (unsigned class = 0; class < CLASSES; class++) {
    if (!instruction->times[class]) continue;
    step.cost += instruction->times[class] * core->cost[class];
    step.latency = core->latency[class];
    bool hands_on = class == DOT_PRODUCT || class == MULTIPLY;
    if (hands_on && operands.accumulator != NO_REGISTER) step.adds = 1 + class;
  }
  /* Registers of one load are there when the last of them has gone through the pipe. */
  if (instruction->is_load_store && step.cost > ONE_CYCLE) step.latency += step.cost - ONE_CYCLE;
  return step;
}

#endif
