// Maps code, executes it until it is hot, unmaps or replaces it, executes it again: what is gone must fault, what has
// been replaced must be the new code. Pages of functions come from a file, so that the same ones are mapped again and
// again; they are reached in their own page, by a jump whose second half lies in the next one, and through three pages.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 200
#define CALLS 4000
#define PAGE 4096
#define FRAMES 8
#define PAGES 4
#define STRADDLING (PAGE - 2)
#define MISSING (-1)

static uint8_t contents[FRAMES * PAGE];
static uint8_t *base;
static int file;
static int mapped[PAGES];
static sigjmp_buf faulted;

static void put(uint8_t *page, int at, uint32_t instruction) { memcpy(page + at, &instruction, sizeof instruction); }
static uint32_t addi(int rd, int rs1, int imm) { return (uint32_t)imm << 20 | rs1 << 15 | rd << 7 | 0x13; }
static uint32_t slli4(int rd) { return 4 << 20 | rd << 15 | 1 << 12 | rd << 7 | 0x13; }
static uint32_t jump(int by) {
  const uint32_t imm = (uint32_t)by;
  return (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21 | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xff) << 12 | 0x6f;
}
#define RET 0x00008067
#define A0 10

static void fill(int frame) {
  uint8_t *page = contents + frame * PAGE;
  const int number = frame + 1;
  // The frame's number.
  put(page, 0x100, addi(A0, 0, number));
  put(page, 0x104, RET);
  // The numbers of three frames.
  put(page, 0x200, addi(A0, 0, number));
  put(page, 0x204, jump(PAGE + 0x300 - 0x204));
  put(page, 0x300, slli4(A0));
  put(page, 0x304, addi(A0, A0, number));
  put(page, 0x308, jump(PAGE + 0x380 - 0x308));
  put(page, 0x380, slli4(A0));
  put(page, 0x384, addi(A0, A0, number));
  put(page, 0x388, RET);
  // The number of the frame with the second half of the jump that begins at the end of the page before.
  for (int i = 0; i < FRAMES; i++) {
    put(page, 0x400 + 0x10 * i, addi(A0, 0, i + 1));
    put(page, 0x404 + 0x10 * i, RET);
  }
  const uint32_t straddling = jump(0x400 + 0x10 * frame - STRADDLING);
  memcpy(page, (uint8_t *)&straddling + 2, 2);
  memcpy(page + STRADDLING, &straddling, 2);
}

static void map(int page, int frame) {
  mapped[page] = frame;
  uint8_t *at = base + page * PAGE;
  if (frame == MISSING) {
    if (munmap(at, PAGE) != 0) abort();
  } else if (mmap(at, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, frame * PAGE) != at) abort();
}

static void onFault(int signal) { siglongjmp(faulted, signal); }

// What the function at an offset of the first page gives, called often; MISSING if it faults.
static int result(int offset, int calls) {
  int (*volatile f)(void) = (int (*)(void))(uintptr_t)(base + offset);
  if (sigsetjmp(faulted, 1) != 0) return MISSING;
  int x = 0;
  for (int i = 0; i < calls; i++) x = f();
  return x;
}

static const int offsets[] = {0x100, STRADDLING, 0x200};
static const int pagesOf[] = {1, 2, 3};

static int expected(int way) {
  int x = 0;
  for (int i = 0; i < pagesOf[way]; i++) {
    if (mapped[i] == MISSING) return MISSING;
    x = x * 16 + mapped[i] + 1;
  }
  return way == 1 ? mapped[1] + 1 : x;
}

int main(void) {
  file = memfd_create("code", 0);
  for (int i = 0; i < FRAMES; i++) fill(i);
  if (write(file, contents, sizeof contents) != sizeof contents) abort();
  base = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_handler = onFault};
  sigaction(SIGSEGV, &action, NULL);
  int unmapped = 0, replaced = 0, wrong = 0;
  for (int round = 0; round < ROUNDS; round++) {
    const int way = round % 3;
    const int changed = way == 0 ? 0 : round / 3 % pagesOf[way];
    for (int i = 0; i < PAGES; i++) map(i, (round + i) % FRAMES);
    if (result(offsets[way], CALLS) != expected(way)) wrong++;
    // Another page that has been executed is changed meanwhile.
    int (*last)(void) = (int (*)(void))(uintptr_t)(base + (PAGES - 1) * PAGE + 0x100);
    for (int i = 0; i < CALLS; i++)
      if (last() != mapped[PAGES - 1] + 1) wrong++;
    map(PAGES - 1, (round + 1) % FRAMES);
    if (result(offsets[way], 10) != expected(way)) wrong++;
    map(changed, MISSING);
    if (result(offsets[way], 10) != MISSING) unmapped++;
    map(changed, (round + 5) % FRAMES);
    if (result(offsets[way], 10) != expected(way)) replaced++;
    map(changed, (round + 2) % FRAMES);
    if (result(offsets[way], 10) != expected(way)) replaced++;
  }
  printf("%d rounds; executed though unmapped: %d, though replaced: %d, else wrong: %d\n", ROUNDS, unmapped, replaced,
         wrong);
  return 0;
}
