/* The table of programs. */
#include "table.h"

#define PROGRAM(name) extern const struct program name##_program;
#include "programs.inc"
#undef PROGRAM

static const struct program *const programs[] = {
#define PROGRAM(name) &name##_program,
#include "programs.inc"
#undef PROGRAM
};

const struct program *find_program(const char *name) {
  for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
    if (strcmp(programs[i]->name, name) == 0) return programs[i];
  return NULL;
}
