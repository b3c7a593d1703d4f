// Connections send segments as large as before: a smaller one for the same bytes is more work for everybody.
#include "tcp-util.h"

static int segment(int fd) {
  struct tcp_info info;
  socklen_t n = sizeof info;
  CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0);
  return info.tcpi_snd_mss;
}

int main(void) {
  int families[] = {4, 6, 46}, client_[3], server[3], before[6];
  for (int i = 0; i < 3; i++) {
    int l = listener(families[i] == 46 ? 4 : families[i], 7170 + i, 1);
    client_[i] = client(families[i], 7170 + i);
    CHECK((server[i] = accept(l, 0, 0)) >= 0);
    talks(client_[i], server[i]);
    before[2 * i] = segment(client_[i]), before[2 * i + 1] = segment(server[i]);
  }
  moved();
  for (int i = 0; i < 3; i++) {
    talks(client_[i], server[i]);
    int now[] = {segment(client_[i]), segment(server[i])};
    // Where nearly a whole window fits into one, a little less will do.
    if (now[0] * 100 >= before[2 * i] * 99 && now[1] * 100 >= before[2 * i + 1] * 99) continue;
    printf("broken: family %d: %d and %d, not %d and %d\n", families[i], now[0], now[1], before[2 * i], before[2 * i + 1]);
    fflush(stdout);
    _exit(1);
  }
  right();
}
