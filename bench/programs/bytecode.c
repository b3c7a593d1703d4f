/* An interpreter of a stack machine's bytecode, that counts Collatz steps: a dispatch through a jump table. */
#include "bench.h"

enum op { PUSH, LOAD, STORE, ADD, MUL3, HALF, AND1, LESS, JUMP, JUMP_ZERO, END };

/* for (n = 1; n < limit; n++) { x = n; while (1 < x) { x = x & 1 ? 3x + 1 : x / 2; steps++; } } */
enum { N, XV, STEPS, LIMIT, VARIABLES };

static int32_t program[64];
static int length;

static int emit(int32_t word) {
  program[length] = word;
  return length++;
}

static void setup(void) {
  length = 0;
  emit(PUSH), emit(1), emit(STORE), emit(N);
  int outer = length;
  emit(LOAD), emit(N), emit(LOAD), emit(LIMIT), emit(LESS), emit(JUMP_ZERO);
  int to_end = emit(0);
  emit(LOAD), emit(N), emit(STORE), emit(XV);
  int inner = length;
  emit(PUSH), emit(1), emit(LOAD), emit(XV), emit(LESS), emit(JUMP_ZERO);
  int to_next = emit(0);
  emit(LOAD), emit(STEPS), emit(PUSH), emit(1), emit(ADD), emit(STORE), emit(STEPS);
  emit(LOAD), emit(XV), emit(AND1), emit(JUMP_ZERO);
  int to_even = emit(0);
  emit(LOAD), emit(XV), emit(MUL3), emit(PUSH), emit(1), emit(ADD), emit(STORE), emit(XV);
  emit(JUMP), emit(inner);
  program[to_even] = length;
  emit(LOAD), emit(XV), emit(HALF), emit(STORE), emit(XV);
  emit(JUMP), emit(inner);
  program[to_next] = length;
  emit(LOAD), emit(N), emit(PUSH), emit(1), emit(ADD), emit(STORE), emit(N);
  emit(JUMP), emit(outer);
  program[to_end] = length;
  emit(END);
}

__attribute__((noinline)) static int32_t execute(const int32_t *pc, int32_t limit) {
  int32_t stack[16], variables[VARIABLES] = {0};
  int32_t *sp = stack;
  const int32_t *start = pc;
  variables[LIMIT] = limit;
  for (;;) {
    switch (*pc++) {
    case PUSH: *sp++ = *pc++; break;
    case LOAD: *sp++ = variables[*pc++]; break;
    case STORE: variables[*pc++] = *--sp; break;
    case ADD: sp--, sp[-1] += *sp; break;
    case MUL3: sp[-1] *= 3; break;
    case HALF: sp[-1] >>= 1; break;
    case AND1: sp[-1] &= 1; break;
    case LESS: sp--, sp[-1] = sp[-1] < *sp; break;
    case JUMP: pc = start + *pc; break;
    case JUMP_ZERO: pc = *--sp == 0 ? start + *pc : pc + 1; break;
    default: return variables[STEPS];
    }
  }
}

static uint64_t iterate(void) { return (uint64_t)execute(program, 1000); }

const struct program bytecode_program = {.name = "bytecode", .setup = setup, .iterate = iterate};
