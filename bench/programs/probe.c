/*
 * The correctness probe: integer, floating-point, memory, atomic and process behaviour on many
 * values, folded into one number that every machine must agree on. It is no benchmark; what fails it is
 * not measured.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t edges[] = {0, 1, 2, 3, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
                                 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
                                 0xfffffffffffffffe, 0xffffffffffffffff, 0x123456789abcdef0};
#define EDGES (sizeof edges / sizeof edges[0])

__attribute__((noinline)) static uint64_t integers(uint64_t h, uint64_t a, uint64_t b) {
  int64_t sa = (int64_t)a, sb = (int64_t)b;
  uint32_t wa = (uint32_t)a, wb = (uint32_t)b;
  h = mix(h, a + b);
  h = mix(h, a - b);
  h = mix(h, a * b);
  h = mix(h, (uint64_t)wa * wb);
  h = mix(h, (uint64_t)((int64_t)(int32_t)wa * (int32_t)wb));
  h = mix(h, (a & b) ^ (a | ~b));
  h = mix(h, a << (b & 63) | a >> (-b & 63));
  h = mix(h, (uint64_t)(sa >> (b & 63)));
  h = mix(h, (uint32_t)(wa << (wb & 31)));
  h = mix(h, (uint64_t)(int64_t)((int32_t)wa >> (wb & 31)));
  h = mix(h, (uint64_t)(sa < sb) | (uint64_t)(a < b) << 1 | (uint64_t)((int32_t)wa < (int32_t)wb) << 2);
  if (b != 0) {
    h = mix(h, a / b);
    h = mix(h, a % b);
    if (!(sa == INT64_MIN && sb == -1)) {
      h = mix(h, (uint64_t)(sa / sb));
      h = mix(h, (uint64_t)(sa % sb));
    }
  }
  if (wb != 0) {
    h = mix(h, wa / wb);
    h = mix(h, wa % wb);
    if (!((int32_t)wa == INT32_MIN && (int32_t)wb == -1)) {
      h = mix(h, (uint64_t)(int64_t)((int32_t)wa / (int32_t)wb));
      h = mix(h, (uint64_t)(int64_t)((int32_t)wa % (int32_t)wb));
    }
  }
  h = mix(h, (uint64_t)__builtin_popcountll(a) << 32 | (uint64_t)(a == 0 ? 64 : __builtin_ctzll(a)));
  return mix(h, (uint64_t)(a == 0 ? 64 : __builtin_clzll(a)) ^ __builtin_bswap64(b));
}

/* Which NaN comes out is the processor's choice. */
static uint64_t fold(uint64_t h, double x) { return mix(h, isnan(x) ? 0x7ff8000000000000u : double_bits(x)); }
static uint64_t fold_single(uint64_t h, float x) { return mix(h, isnan(x) ? 0x7fc00000u : float_bits(x)); }

__attribute__((noinline)) static uint64_t reals(uint64_t h, uint64_t a, uint64_t b) {
  double x, y;
  float s, t;
  uint32_t wa = (uint32_t)a, wb = (uint32_t)(b >> 7);
  memcpy(&x, &a, 8), memcpy(&y, &b, 8), memcpy(&s, &wa, 4), memcpy(&t, &wb, 4);
  h = fold(fold(fold(fold(h, x + y), x - y), x * y), x / y);
  h = fold(h, sqrt(fabs(x)));
  h = fold_single(fold_single(fold_single(fold_single(h, s + t), s - t), s * t), s / t);
  h = fold_single(h, sqrtf(fabsf(t)));
  h = fold_single(h, (float)x);
  h = fold(h, (double)s);
  h = mix(h, (uint64_t)(x < y) | (uint64_t)(x <= y) << 1 | (uint64_t)(x == y) << 2 | (uint64_t)(s < t) << 3);
  if (fabs(x) < 9e18) h = mix(h, (uint64_t)(int64_t)x);
  if (fabs(y) < 2e9) h = mix(h, (uint64_t)(int64_t)(int32_t)y);
  if (x >= 0 && x < 1.8e19) h = mix(h, (uint64_t)x);
  h = fold(fold(h, (double)(int64_t)a), (double)b);
  return fold_single(fold_single(h, (float)(int64_t)b), (float)wa);
}

/* Loads and stores of all widths at all alignments, over a page's end. */
static uint64_t memory(uint64_t h) {
  static unsigned char area[3 * 4096];
  for (unsigned i = 0; i < sizeof area; i++) area[i] = (unsigned char)(i * 167 + (i >> 8));
  unsigned char *page = (unsigned char *)(((uintptr_t)area + 4095) & ~(uintptr_t)4095) + 4096;
  for (int at = -12; at < 12; at++) {
    uint64_t d;
    uint32_t w;
    uint16_t half;
    memcpy(&d, page + at, 8), memcpy(&w, page + at, 4), memcpy(&half, page + at, 2);
    int32_t sw = (int32_t)w;
    int16_t sh = (int16_t)half;
    int8_t sb = (int8_t)page[at];
    /* What is where depends on the area's place: fold only what does not. */
    d ^= w | (uint64_t)(d >> 32) << 32;
    h = mix(h, d ^ (uint64_t)((int64_t)sw - (int32_t)w) ^ (uint64_t)((int16_t)half - sh) ^ (uint64_t)(sb == (int8_t)page[at]));
    uint64_t value = 0x0102030405060708u * (uint64_t)(at + 13);
    memcpy(page + at, &value, 8);
    memmove(page + at + 3, page + at, 16);
    memcpy(&d, page + at + 3, 8);
    h = mix(h, d);
  }
  return h;
}

static uint64_t atomics(uint64_t h) {
  static uint64_t d = 5;
  static uint32_t w = 7;
  d = 5, w = 7;
  for (uint32_t i = 1; i < 50; i++) {
    h = mix(h, __atomic_fetch_add(&w, i * 77, __ATOMIC_SEQ_CST));
    h = mix(h, __atomic_fetch_xor(&w, i << 20, __ATOMIC_RELAXED));
    h = mix(h, __atomic_exchange_n(&w, w + i, __ATOMIC_ACQ_REL));
    uint32_t expected = w - (i & 1);
    h = mix(h, (uint64_t)__atomic_compare_exchange_n(&w, &expected, i * 3, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    h = mix(h, expected);
    h = mix(h, __sync_fetch_and_or(&d, (uint64_t)i << 33));
    h = mix(h, __sync_fetch_and_and(&d, ~((uint64_t)i << 31)));
  }
  return mix(h, d ^ w);
}

static sigjmp_buf back;
static volatile sig_atomic_t faults;

static void on_fault(int number) {
  (void)number;
  faults++;
  siglongjmp(back, 1);
}

/* Faults that are caught, protection that changes, copies made on write, a child's end. */
static uint64_t system_calls(uint64_t seed) {
  volatile uint64_t h = seed;
  struct sigaction action = {.sa_handler = on_fault}, old;
  sigaction(SIGSEGV, &action, &old);
  unsigned char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) die("mmap");
  at[0] = 17, at[4096] = 18;
  for (int i = 0; i < 4; i++) {
    mprotect(at + 4096, 4096, i & 1 ? PROT_READ | PROT_WRITE : PROT_READ);
    if (sigsetjmp(back, 1) == 0) at[4096] = (unsigned char)(20 + i);
    h = mix(h, (uint64_t)at[4096] << 8 | (uint64_t)faults);
  }
  faults = 0;
  sigaction(SIGSEGV, &old, NULL);
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    at[0]++;
    _exit(at[0]);
  }
  int status;
  if (waitpid(pid, &status, 0) != pid) die("waitpid");
  h = mix(h, (uint64_t)WEXITSTATUS(status) << 8 | at[0]);
  munmap(at, 8192);
  return h;
}

static uint64_t iterate(void) {
  uint64_t h = 0, random = 0xfeed;
  for (size_t i = 0; i < EDGES; i++)
    for (size_t j = 0; j < EDGES; j++) h = integers(h, edges[i], edges[j]);
  for (int i = 0; i < 2000; i++) {
    uint64_t a = next_random(&random), b = next_random(&random);
    h = integers(h, a, b);
    h = integers(h, a >> (b & 63), b >> (a & 63));
    h = reals(h, a, b);
    /* Near one another, so that sums cancel and products do not overflow. */
    h = reals(h, (a & 0x800fffffffffffffu) | 0x3ff0000000000000u | (b & 15) << 52, (b & 0x800fffffffffffffu) | 0x3ff0000000000000u);
    /* Subnormal. */
    h = reals(h, a & 0x801fffffffffffffu, b & 0x800fffffff8fffffu);
  }
  return system_calls(atomics(memory(h)));
}

const struct program probe_program = {.name = "probe", .iterate = iterate};
