/*
 * A hot loop whose body lies on two pages: translators that end their unit at a page's end go round
 * the long way at each turn.
 *
 *   page n      … padding | first instructions of the function, the loop's beginning
 *   page n + 1  the rest of the loop | …
 *
 * The padding ends 64 bytes before the page's end; the loop is longer than that.
 */
#include "bench.h"

__asm__(".section .text.straddle,\"ax\",@progbits\n"
        ".balign 4096\n"
        ".skip 4096 - 64\n"
        ".previous\n");

#define STEP(a, b, n) \
  a += b << 3;        \
  b ^= a >> n;        \
  a = a * 5 + 0x1234;

__attribute__((noinline, noclone, section(".text.straddle"))) static uint32_t turn(uint32_t count) {
  uint32_t a = 1, b = 2;
  for (uint32_t i = 0; i < count; i++) {
    STEP(a, b, 3)
    STEP(b, a, 5)
    STEP(a, b, 7)
    STEP(b, a, 11)
    STEP(a, b, 13)
    STEP(b, a, 2)
  }
  return a ^ b;
}

static void setup(void) {
  /* The linker could have put something between: then this would measure something else. */
  if (((uintptr_t)turn & 4095) < 4096 - 64) die("straddle: the function is not at the end of a page");
}

static uint64_t iterate(void) { return turn(100000); }

const struct program straddle_program = {.name = "straddle", .setup = setup, .iterate = iterate};
