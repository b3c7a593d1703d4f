/* The Mandelbrot set in double precision, 96 by 96 points. */
#include "bench.h"

#define SIDE 96
#define LIMIT 100

static uint64_t iterate(void) {
  uint64_t sum = 0;
  int side = SIDE;
  OPAQUE(side);
  for (int py = 0; py < side; py++)
    for (int px = 0; px < side; px++) {
      double cx = 3.0 * px / side - 2.0, cy = 2.5 * py / side - 1.25, x = 0, y = 0;
      int n = 0;
      while (n < LIMIT) {
        double xx = x * x, yy = y * y;
        if (xx + yy > 4.0) break;
        y = 2 * x * y + cy;
        x = xx - yy + cx;
        n++;
      }
      sum = sum * 31 + (uint64_t)n;
    }
  return mix(0, sum);
}

const struct program mandelbrot_program = {.name = "mandelbrot", .iterate = iterate};
