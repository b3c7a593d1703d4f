// refused: a pid namespace of a thread's own
#include "apart.h"

int main(void) { return thread_apart(CLONE_NEWPID); }
