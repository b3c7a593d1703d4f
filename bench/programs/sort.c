/* A quicksort of strings: comparisons and branches that cannot be foreseen. */
#include "bench.h"

#define COUNT 4000

static char (*words)[16];
static const char *order[COUNT];

static void setup(void) {
  words = malloc(COUNT * sizeof *words);
  if (words == NULL) die("malloc");
  uint64_t random = 2024;
  for (int i = 0; i < COUNT; i++) {
    unsigned length = 4 + (unsigned)(next_random(&random) % 11);
    for (unsigned j = 0; j < length; j++) words[i][j] = (char)('a' + next_random(&random) % (j < 3 ? 3 : 26));
    words[i][length] = 0;
  }
}

/* Byte by byte, so that it is the same everywhere: strcmp is a different program on each machine. */
static int compare(const char *a, const char *b) {
  while (*a != 0 && *a == *b) a++, b++;
  return (unsigned char)*a - (unsigned char)*b;
}

static void quicksort(const char **list, int count) {
  while (count > 12) {
    const char *pivot = list[count / 2];
    int i = 0, j = count - 1;
    for (;;) {
      while (compare(list[i], pivot) < 0) i++;
      while (compare(list[j], pivot) > 0) j--;
      if (i >= j) break;
      const char *swap = list[i];
      list[i++] = list[j], list[j--] = swap;
    }
    int split = i > j + 1 ? j + 1 : i;
    if (split <= 0) split = 1;
    quicksort(list, split);
    list += split, count -= split;
  }
  for (int i = 1; i < count; i++) {
    const char *word = list[i];
    int j = i;
    for (; j > 0 && compare(list[j - 1], word) > 0; j--) list[j] = list[j - 1];
    list[j] = word;
  }
}

static uint64_t iterate(void) {
  uint64_t sum = 0;
  for (int i = 0; i < COUNT; i++) order[i] = words[i];
  quicksort(order, COUNT);
  for (int i = 0; i < COUNT; i++) {
    if (i > 0 && compare(order[i - 1], order[i]) > 0) return 0;
    sum = sum * 31 + (unsigned char)order[i][2] + (unsigned char)order[i][3];
  }
  return mix(0, sum);
}

const struct program sort_program = {.name = "sort", .setup = setup, .iterate = iterate};
