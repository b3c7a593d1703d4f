/*
 * blocks verify DEVICE ROUNDS   Four threads on the harts there are, each with a part of the disk to itself: writes blocks of 1 to
 *                       16 pages past the page cache, reads them back, flushes now and then; stops when 1000 things were wrong. Says "wrong: N".
 * blocks log DEVICE     Fills the disk block by block and says, after each write that is done, how many there are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define BLOCK 4096
#define BLOCKS 1024
#define MOST 16
#define MOST_WRONG 1000

static const char *device;
static int rounds;
static long wrong;

static uint64_t next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* Every word of a block says which block and which version it is. */
static void fill(uint64_t *block, uint64_t number, uint64_t version) {
  for (int i = 0; i < BLOCK / 8; i++) block[i] = number << 32 | version << 12 | (uint64_t)i;
}

static void *work(void *which) {
  long me = (long)which;
  uint64_t state = 88172645463325252u + (uint64_t)me;
  uint64_t base = (uint64_t)me * BLOCKS;
  uint16_t version[BLOCKS] = {0};
  uint64_t *data = aligned_alloc(BLOCK, MOST * BLOCK), wanted[BLOCK / 8];
  int fd = open(device, O_RDWR | O_DIRECT);
  if (fd < 0 || data == NULL) {
    __atomic_add_fetch(&wrong, 1000000, __ATOMIC_RELAXED);
    return NULL;
  }
  for (int round = 1; round <= rounds && __atomic_load_n(&wrong, __ATOMIC_RELAXED) < MOST_WRONG; round++) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)((me + round / 64) % sysconf(_SC_NPROCESSORS_ONLN)), &set);
    sched_setaffinity(0, sizeof set, &set);
    uint64_t count = 1 + next(&state) % MOST, first = next(&state) % (BLOCKS - count);
    if (next(&state) % 2) {
      for (uint64_t i = 0; i < count; i++) fill(data + i * BLOCK / 8, base + first + i, ++version[first + i]);
      if (pwrite(fd, data, count * BLOCK, (off_t)((base + first) * BLOCK)) != (ssize_t)(count * BLOCK)) {
        __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
        continue;
      }
    } else {
      if (pread(fd, data, count * BLOCK, (off_t)((base + first) * BLOCK)) != (ssize_t)(count * BLOCK)) {
        __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
        continue;
      }
      for (uint64_t i = 0; i < count; i++) {
        if (version[first + i] == 0) memset(wanted, 0, BLOCK);
        else fill(wanted, base + first + i, version[first + i]);
        if (memcmp(wanted, data + i * BLOCK / 8, BLOCK) != 0) __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
      }
    }
    if (round % 500 == 0 && fdatasync(fd) < 0) __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
  }
  close(fd);
  return NULL;
}

static int verify(void) {
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  printf("%d rounds, wrong: %ld\n", THREADS * rounds, wrong);
  return wrong != 0;
}

static int keep_log(void) {
  uint64_t *data = aligned_alloc(BLOCK, BLOCK);
  int fd = open(device, O_RDWR | O_DIRECT);
  for (uint64_t n = 0; fd >= 0 && data != NULL; n++) {
    fill(data, n, 1);
    if (pwrite(fd, data, BLOCK, (off_t)(n * BLOCK)) != BLOCK) break;
    if (n % 32 == 31) {
      printf("written %lu\n", (unsigned long)(n + 1));
      fflush(stdout);
    }
  }
  printf("full\n");
  return 0;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  device = arguments[2];
  if (strcmp(arguments[1], "log") == 0) return keep_log();
  rounds = count > 3 ? atoi(arguments[3]) : 0;
  return verify();
}
