/*
 * echo ADDRESS PORT MIB   Sends so many MiB of numbered words through a TCP connection to somebody who sends them back,
 *                         and looks at what comes: "echo: N bytes, wrong: W".
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORDS 4096

static int fd;
static uint64_t total;

static uint64_t word(uint64_t n) { return n * 0x9e3779b97f4a7c15u; }

static void *sender(void *unused) {
  static uint64_t words[WORDS];
  (void)unused;
  for (uint64_t n = 0; n < total; n += WORDS) {
    for (uint64_t i = 0; i < WORDS; i++) words[i] = word(n + i);
    for (size_t at = 0; at < sizeof words;) {
      ssize_t sent = write(fd, (char *)words + at, sizeof words - at);
      if (sent <= 0) return NULL;
      at += (size_t)sent;
    }
  }
  shutdown(fd, SHUT_WR);
  return NULL;
}

int main(int count, char **arguments) {
  static uint64_t words[WORDS];
  uint64_t bytes = 0, wrong = 0;
  pthread_t thread;
  if (count < 4) return 2;
  total = strtoull(arguments[3], NULL, 10) << 17;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2]))};
  inet_pton(AF_INET, arguments[1], &to.sin_addr);
  fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) wrong = 1;
  pthread_create(&thread, NULL, sender, NULL);
  for (size_t have = 0;;) {
    ssize_t got = read(fd, (char *)words + have, sizeof words - have);
    if (got <= 0) break;
    have += (size_t)got;
    size_t whole = have / 8;
    for (size_t i = 0; i < whole; i++) wrong += words[i] != word(bytes / 8 + i);
    bytes += whole * 8;
    have -= whole * 8;
    if (have > 0) words[0] = words[whole];
  }
  pthread_join(thread, NULL);
  printf("echo: %lu bytes, wrong: %lu\n", (unsigned long)bytes, (unsigned long)wrong);
  return wrong != 0;
}
