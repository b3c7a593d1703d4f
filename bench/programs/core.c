/* Lists, matrices, a state machine and a CRC: the mix that CoreMark made known, written anew. */
#include "bench.h"

#define ITEMS 400
#define SIDE 24
#define TEXT 1024

struct item {
  struct item *next;
  int16_t key, index;
};

static struct item items[ITEMS];
static int16_t left[SIDE][SIDE], right[SIDE][SIDE];
static int32_t product[SIDE][SIDE];
static char text[TEXT + 1];

static uint16_t crc16(uint16_t crc, uint16_t value) {
  for (int i = 0; i < 16; i++) {
    uint16_t bit = (uint16_t)((value ^ crc) & 1);
    crc >>= 1;
    if (bit) crc ^= 0xa001;
    value >>= 1;
  }
  return crc;
}

static int by_key(const struct item *a, const struct item *b) { return a->key - b->key; }
static int by_index(const struct item *a, const struct item *b) { return a->index - b->index; }

/* Merge sort of a list, from the bottom up. */
static struct item *sort(struct item *list, int (*compare)(const struct item *, const struct item *)) {
  for (int run = 1;; run *= 2) {
    struct item *rest = list, *tail = NULL;
    int merges = 0;
    list = NULL;
    while (rest != NULL) {
      struct item *a = rest, *b = rest;
      int a_left = 0, b_left = run;
      merges++;
      while (a_left < run && b != NULL) b = b->next, a_left++;
      while (a_left > 0 || (b_left > 0 && b != NULL)) {
        struct item *take;
        if (a_left > 0 && (b_left == 0 || b == NULL || compare(a, b) <= 0)) take = a, a = a->next, a_left--;
        else take = b, b = b->next, b_left--;
        if (tail != NULL) tail->next = take;
        else list = take;
        tail = take;
      }
      rest = b;
    }
    tail->next = NULL;
    if (merges <= 1) return list;
  }
}

static struct item *reverse(struct item *list) {
  struct item *done = NULL;
  while (list != NULL) {
    struct item *next = list->next;
    list->next = done, done = list, list = next;
  }
  return done;
}

static uint16_t lists(uint16_t crc) {
  for (int i = 0; i < ITEMS; i++) {
    items[i].next = i + 1 < ITEMS ? &items[i + 1] : NULL;
    items[i].key = (int16_t)((i * 7919) & 0x7fff);
    items[i].index = (int16_t)i;
  }
  struct item *list = reverse(&items[0]);
  for (int wanted = 0; wanted < 40; wanted++) {
    struct item *at = list;
    while (at != NULL && (at->key & 0xff) != wanted) at = at->next;
    crc = crc16(crc, (uint16_t)(at == NULL ? wanted : at->index));
    list = reverse(list);
  }
  list = sort(list, by_key);
  for (struct item *at = list; at != NULL; at = at->next) crc = crc16(crc, (uint16_t)at->key);
  list = sort(list, by_index);
  return crc16(crc, (uint16_t)list->key);
}

static uint16_t matrices(uint16_t crc) {
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      int32_t sum = 0;
      for (int k = 0; k < SIDE; k++) sum += (int32_t)left[i][k] * right[k][j];
      product[i][j] = sum;
    }
  int32_t last = 0, steps = 0;
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      int32_t bits = (product[i][j] >> 2 & 15) * (product[i][j] >> 5 & 127);
      steps += bits > last ? 10 : 1;
      last = bits;
    }
  return crc16(crc16(crc, (uint16_t)last), (uint16_t)steps);
}

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, POWER, WRONG, STATES };

/* Recognizes numbers between commas. */
static uint16_t machine(uint16_t crc) {
  uint32_t seen[STATES] = {0};
  enum state state = START;
  for (const char *p = text; *p != 0; p++) {
    char c = *p;
    int digit = c >= '0' && c <= '9';
    if (c == ',') {
      seen[state]++;
      state = START;
      continue;
    }
    switch (state) {
    case START: state = digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : WRONG; break;
    case SIGN: state = digit ? INTEGER : c == '.' ? POINT : WRONG; break;
    case INTEGER: state = digit ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : WRONG; break;
    case POINT: state = digit ? FRACTION : WRONG; break;
    case FRACTION: state = digit ? FRACTION : c == 'e' ? EXPONENT : WRONG; break;
    case EXPONENT: state = digit || c == '-' ? POWER : WRONG; break;
    case POWER: state = digit ? POWER : WRONG; break;
    default: break;
    }
  }
  for (int i = 0; i < STATES; i++) crc = crc16(crc, (uint16_t)seen[i]);
  return crc;
}

static void setup(void) {
  static const char *const words[] = {"5012", "-874", "+122", "35.54", ".1234e3", "-110.7", "1e-77", "5x0", "e", "+-2"};
  uint64_t random = 0x1234567;
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      left[i][j] = (int16_t)next_random(&random);
      right[i][j] = (int16_t)(next_random(&random) & 0xff);
    }
  size_t n = 0;
  for (;;) {
    const char *word = words[next_random(&random) % 10];
    if (n + strlen(word) + 1 > TEXT) break;
    n += (size_t)sprintf(text + n, "%s,", word);
  }
}

static uint64_t iterate(void) {
  uint16_t crc = 0xffff;
  for (int round = 0; round < 4; round++) {
    crc = lists(crc);
    crc = matrices(crc);
    crc = machine(crc);
  }
  return crc;
}

const struct program core_program = {.name = "core", .setup = setup, .iterate = iterate};
