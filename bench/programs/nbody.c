/* Five bodies under gravity in double precision (the Computer Language Benchmarks Game's problem). */
#include "bench.h"
#include <math.h>

#define BODIES 5
#define STEPS 5000

struct body {
  double x, y, z, vx, vy, vz, mass;
};

static const double PI = 3.141592653589793, YEAR = 365.24;

static void start(struct body *b) {
  const double sun = 4 * PI * PI;
  const struct body bodies[BODIES] = {
      {0, 0, 0, 0, 0, 0, sun},
      {4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01, 1.66007664274403694e-03 * YEAR,
       7.69901118419740425e-03 * YEAR, -6.90460016972063023e-05 * YEAR, 9.54791938424326609e-04 * sun},
      {8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01, -2.76742510726411899e-03 * YEAR,
       4.99852801234917238e-03 * YEAR, 2.30417297573763929e-05 * YEAR, 2.85885980666130812e-04 * sun},
      {1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01, 2.96460137564761618e-03 * YEAR,
       2.37847173959480950e-03 * YEAR, -2.96589568540237556e-05 * YEAR, 4.36624404335156298e-05 * sun},
      {1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01, 2.68067772490389322e-03 * YEAR,
       1.62824170038242295e-03 * YEAR, -9.51592254519715870e-05 * YEAR, 5.15138902046611451e-05 * sun}};
  memcpy(b, bodies, sizeof bodies);
}

static void advance(struct body *b, double dt) {
  for (int i = 0; i < BODIES; i++)
    for (int j = i + 1; j < BODIES; j++) {
      double dx = b[i].x - b[j].x, dy = b[i].y - b[j].y, dz = b[i].z - b[j].z;
      double square = dx * dx + dy * dy + dz * dz;
      double magnitude = dt / (square * sqrt(square));
      b[i].vx -= dx * b[j].mass * magnitude;
      b[i].vy -= dy * b[j].mass * magnitude;
      b[i].vz -= dz * b[j].mass * magnitude;
      b[j].vx += dx * b[i].mass * magnitude;
      b[j].vy += dy * b[i].mass * magnitude;
      b[j].vz += dz * b[i].mass * magnitude;
    }
  for (int i = 0; i < BODIES; i++) {
    b[i].x += dt * b[i].vx;
    b[i].y += dt * b[i].vy;
    b[i].z += dt * b[i].vz;
  }
}

static uint64_t iterate(void) {
  struct body bodies[BODIES];
  uint64_t sum = 0;
  start(bodies);
  for (int i = 0; i < STEPS; i++) advance(bodies, 0.01);
  for (int i = 0; i < BODIES; i++) sum = mix(sum, double_bits(bodies[i].x) ^ double_bits(bodies[i].vy));
  return sum;
}

const struct program nbody_program = {.name = "nbody", .iterate = iterate};
