// Code that one hart writes and the other one executes until it is hot, at times both; by turns. Who only writes, and
// does so again, has to hear from the other that there is code now.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ROUNDS 200
#define CALLS 4000
#define FUNCTIONS 4

static uint32_t *code;
static pthread_barrier_t barrier;
static uint64_t wrong[2];

// uint64_t f(uint64_t x) { return x + add; }, add under 2048.
static void emit(uint32_t *at, uint32_t add) {
  at[0] = add << 20 | 10 << 15 | 10 << 7 | 0x13;
  at[1] = 0x00008067;
}

static void *hart(void *argument) {
  const uintptr_t me = (uintptr_t)argument;
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(me, &here);
  if (sched_setaffinity(0, sizeof here, &here) != 0) abort();
  for (uint32_t round = 0; round < ROUNDS; round++) {
    const int writes = round / 8 % 2 == me;
    if (writes) {
      for (uint32_t i = 0; i < FUNCTIONS; i++) emit(code + 2 * i, (round + 7 * i) & 2047);
      // The kernel has all harts of the process do a fence.i.
      __builtin___clear_cache((char *)code, (char *)(code + 2 * FUNCTIONS));
    }
    pthread_barrier_wait(&barrier);
    for (uint32_t i = 0; i < FUNCTIONS && (!writes || round % 5 == 0); i++) {
      uint64_t (*f)(uint64_t) = (uint64_t(*)(uint64_t))(uintptr_t)(code + 2 * i);
      uint64_t x = 0;
      for (int call = 0; call < CALLS; call++) x = f(x);
      if (x != (uint64_t)CALLS * ((round + 7 * i) & 2047)) wrong[me]++;
    }
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

int main(void) {
  code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) abort();
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_t other;
  if (pthread_create(&other, NULL, hart, (void *)1) != 0) abort();
  hart((void *)0);
  pthread_join(other, NULL);
  printf("%d rounds, wrong: %lu and %lu\n", ROUNDS, (unsigned long)wrong[0], (unsigned long)wrong[1]);
  return 0;
}
