/* A core that issues in the order of the program: an instruction waits until what it reads is
 * there, and everything behind it waits too. Times are in thousandths of a cycle. */
#ifndef SCOREBOARD_H
#define SCOREBOARD_H

#include <stdbool.h>
#include <stdint.h>

enum { REGISTERS = 65, NO_REGISTER = 255 };

/* Registers by number, which are the instruction set's own business. `accumulator` is read and
 * written by an instruction that adds to it, `base` is an address that a load or store steps on. */
struct operands {
  uint8_t reads[8], writes[5], read_count, write_count, accumulator, base;
};

/* An instruction: what issuing it takes, and after how long its results are there. `adds` is the kind
 * of those that hand their sum to the next one of the same kind earlier, and 0 of all others. */
struct step {
  struct operands operands;
  uint32_t cost, latency, base_latency, sum_latency;
  uint8_t adds;
};

struct scoreboard {
  uint64_t now, ready[REGISTERS], sum_ready[REGISTERS];
  uint8_t summed_by[REGISTERS];
};

static inline void scoreboard_issue(struct scoreboard *board, const struct step *step) {
  const struct operands *used = &step->operands;
  uint64_t at = board->now;
  for (unsigned index = 0; index < used->read_count; index++)
    if (board->ready[used->reads[index]] > at) at = board->ready[used->reads[index]];
  if (used->accumulator != NO_REGISTER) {
    unsigned sum = used->accumulator;
    bool is_early = step->adds && board->summed_by[sum] == step->adds;
    uint64_t ready = is_early ? board->sum_ready[sum] : board->ready[sum];
    if (ready > at) at = ready;
  }
  for (unsigned index = 0; index < used->write_count; index++) {
    unsigned written = used->writes[index];
    board->ready[written] = at + step->latency;
    board->sum_ready[written] = at + step->sum_latency;
    board->summed_by[written] = step->adds;
  }
  if (used->base != NO_REGISTER) {
    board->ready[used->base] = at + step->base_latency;
    board->summed_by[used->base] = 0;
  }
  board->now = at + step->cost;
}

#endif
