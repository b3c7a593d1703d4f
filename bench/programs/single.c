/* Single precision: vectors through a matrix, normalized, then a recursive filter over the result. */
#include "bench.h"
#include <math.h>

#define COUNT 2048

static float points[COUNT][4];

static void setup(void) {
  uint64_t random = 5;
  for (int i = 0; i < COUNT; i++)
    for (int j = 0; j < 4; j++) points[i][j] = (float)(int32_t)(next_random(&random) & 0xffff) / 65536.0f + 0.01f;
}

static uint64_t iterate(void) {
  static const float matrix[4][4] = {
      {0.8f, -0.1f, 0.3f, 0.5f}, {0.2f, 0.9f, -0.4f, 0.25f}, {-0.3f, 0.35f, 0.7f, 1.5f}, {0.01f, 0.02f, 0.03f, 1.0f}};
  uint64_t sum = 0;
  float state1 = 0, state2 = 0;
  for (int turn = 0; turn < 4; turn++)
    for (int i = 0; i < COUNT; i++) {
      float out[4];
      for (int r = 0; r < 4; r++) {
        float s = 0;
        for (int c = 0; c < 4; c++) s += matrix[r][c] * points[i][c];
        out[r] = s;
      }
      float scale = 1.0f / sqrtf(out[0] * out[0] + out[1] * out[1] + out[2] * out[2]);
      float input = (out[0] + out[1] + out[2]) * scale / out[3];
      float filtered = 0.2f * input + 1.1f * state1 - 0.4f * state2;
      state2 = state1, state1 = filtered;
      if (filtered > 1.0f) sum += 3;
    }
  return mix(sum, float_bits(state1) | (uint64_t)float_bits(state2) << 32);
}

const struct program single_program = {.name = "single", .setup = setup, .iterate = iterate};
