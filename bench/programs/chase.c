/* A chase through 16 MiB: each node names the next, in one random cycle; a node is a cache line. */
#include "bench.h"

#define NODES (1u << 18)
#define STEPS 200000

struct node {
  uint32_t next, value;
  uint32_t rest[14];
};

static struct node *nodes;

static void setup(void) {
  nodes = malloc(NODES * sizeof *nodes);
  uint32_t *order = malloc(NODES * sizeof *order);
  if (nodes == NULL || order == NULL) die("malloc");
  uint64_t random = 7;
  for (uint32_t i = 0; i < NODES; i++) order[i] = i;
  for (uint32_t i = NODES - 1; i > 0; i--) {
    uint32_t j = (uint32_t)(next_random(&random) % (i + 1)), swap = order[i];
    order[i] = order[j], order[j] = swap;
  }
  for (uint32_t i = 0; i < NODES; i++) {
    nodes[order[i]].next = order[(i + 1) % NODES];
    nodes[order[i]].value = i;
  }
  free(order);
}

static uint64_t iterate(void) {
  uint32_t at = 0, sum = 0;
  for (int i = 0; i < STEPS; i++) {
    sum += nodes[at].value;
    at = nodes[at].next;
  }
  return mix(at, sum);
}

const struct program chase_program = {.name = "chase", .setup = setup, .iterate = iterate};
