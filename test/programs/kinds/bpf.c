// refused: bpf
// A map of BPF.
#include "kind.h"
#include <linux/bpf.h>
#include <sys/syscall.h>
int main(void) {
  union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2};
  CHECK(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a) >= 0);
  moved();
  right();
}
