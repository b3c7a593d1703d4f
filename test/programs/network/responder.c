// Answers over TCP port 8000 what it is asked for in the first line: that many bytes, each its place modulo 251, and the end;
// it is rid of the connection at once, long before all has arrived. For 0 it says again what it hears.
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(int fd) {
  char line[32] = "", buf[251 * 64];
  size_t at = 0;
  while (at < sizeof line - 1 && read(fd, line + at, 1) == 1 && line[at] != '\n') at++;
  size_t left = strtoul(line, 0, 10);
  if (left == 0) {
    for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;) if (write(fd, buf, n) != n) _exit(1);
    _exit(0);
  }
  int room = 64 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0) _exit(2);
  for (size_t i = 0; i < sizeof buf; i++) buf[i] = (char)(i % 251);
  for (; left > 0;) {
    ssize_t n = write(fd, buf, left < sizeof buf ? left : sizeof buf);
    // A short write would begin again in the middle; with that much room there is none.
    if (n <= 0 || (n % 251 != 0 && (size_t)n != left)) _exit(3);
    left -= n;
  }
  _exit(0);
}

int main(void) {
  struct sockaddr_in at = {AF_INET, htons(8000), {INADDR_ANY}, {0}};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 16) != 0) return 1;
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int c = accept(fd, 0, 0);
    if (c < 0) continue;
    if (fork() == 0) { close(fd); serve(c); }
    close(c);
  }
}
