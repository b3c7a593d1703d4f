// The same as spaces-mnt.c, where the domain has a root of its own.
// layer: yes
#include "spaces-mnt.c"
