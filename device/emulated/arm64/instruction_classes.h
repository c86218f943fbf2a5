/* What kinds of instructions there are, for the counting plugin: one file for each machine says
 * which an instruction is. */
#ifndef INSTRUCTION_CLASSES_H
#define INSTRUCTION_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

/* The order is the one of INSTRUCTION_CLASSES in targets/timing_model.py. */
enum instruction_class {
  DOT_PRODUCT, SIMD, LOAD, LOAD_QUAD, STORE, STORE_QUAD, OTHER, MULTIPLY, FLOATING, CLASSES
};

/* What an instruction is: how often it counts in each class (a pair of registers is loaded twice, an
 * instruction of x86 may load and compute), and whether it is counted in the tables of
 * bench/instructions.py as NEON, as load or store, and as dot product. */
struct instruction {
  uint8_t times[CLASSES];
  bool is_simd, is_load_store, is_dot;
};

#endif
