#ifndef TABLE_H
#define TABLE_H
#include "bench.h"
/* The program of that name, or NULL. */
const struct program *find_program(const char *name);
#endif
