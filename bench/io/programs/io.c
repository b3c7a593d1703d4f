/*
 * The runner of the I/O bench: takes orders from the host on standard input, answers on standard output.
 *
 *   host                              runner
 *                                     @serve                       once, when it is there
 *   CASE MILLISECONDS ADDRESS PORT
 *                                     @done UNITS NANOSECONDS      bytes, requests, round trips or connections
 *   check ADDRESS PORT
 *                                     @done SUMS 0                 of what was read from disk and network, in hex
 *   quit
 *
 * Instead of @done there may be "@failed WHY". The disk is /dev/vda: its first half is read, its second half written.
 * All accesses to it pass the page cache by (O_DIRECT), so that it is the device that is measured.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DISK "/dev/vda"
#define SEQUENTIAL (1 << 20)
#define RANDOM 4096
#define STREAM (256 << 10)
#define MESSAGE 64
#define CHECKED (8 << 20)

static uint8_t *buffer;
static struct sockaddr_in peer;

static const char *failed;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  static char text[160];
  snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
  failed = text;
}

static uint64_t random_number(void) {
  static uint64_t state = 0x9e3779b97f4a7c15u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* Units of one measurement until the time is over. */
static uint64_t disk(size_t size, int write_it, int at_random, uint64_t until) {
  int fd = open(DISK, (write_it ? O_RDWR : O_RDONLY) | O_DIRECT);
  uint64_t bytes = 0, done = 0;
  if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
    fail(DISK);
    return 0;
  }
  uint64_t blocks = bytes / 2 / size, base = write_it ? bytes / 2 : 0, block = 0;
  while (now() < until) {
    off_t at = (off_t)(base + (at_random ? random_number() % blocks : block) * size);
    block = (block + 1) % blocks;
    ssize_t n = write_it ? pwrite(fd, buffer, size, at) : pread(fd, buffer, size, at);
    if (n != (ssize_t)size) {
      fail(write_it ? "pwrite" : "pread");
      break;
    }
    done += at_random ? 1 : size;
  }
  close(fd);
  return done;
}

static int dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0) {
    fail("connect");
    close(fd);
    return -1;
  }
  return fd;
}

static int read_whole(int fd, uint8_t *into, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = read(fd, into + done, size - done);
    if (n <= 0) return -1;
    done += (size_t)n;
  }
  return 0;
}

/* What a connection is for is its first byte: d, u, r or c. */
static int ask(char what) {
  int fd = dial();
  if (fd >= 0 && write(fd, &what, 1) != 1) fail("write");
  return fd;
}

static uint64_t down(uint64_t until) {
  int fd = ask('d');
  uint64_t done = 0;
  while (fd >= 0 && now() < until) {
    ssize_t n = read(fd, buffer, STREAM);
    if (n <= 0) {
      fail("read");
      break;
    }
    done += (uint64_t)n;
  }
  close(fd);
  return done;
}

/* Counts what has arrived: the peer says so when it has all. */
static uint64_t up(uint64_t until) {
  int fd = ask('u');
  uint64_t done = 0, arrived = 0;
  while (fd >= 0 && now() < until) {
    ssize_t n = write(fd, buffer, STREAM);
    if (n <= 0) {
      fail("write");
      break;
    }
    done += (uint64_t)n;
  }
  if (fd < 0) return 0;
  shutdown(fd, SHUT_WR);
  if (read_whole(fd, (uint8_t *)&arrived, sizeof arrived) < 0) fail("read");
  else if (arrived != done) failed = "the peer did not get all";
  close(fd);
  return done;
}

static uint64_t round_trips(uint64_t until) {
  int fd = ask('r');
  uint64_t done = 0;
  while (fd >= 0 && now() < until) {
    if (write(fd, buffer, MESSAGE) != MESSAGE || read_whole(fd, buffer, MESSAGE) < 0) {
      fail("round trip");
      break;
    }
    done++;
  }
  close(fd);
  return done;
}

static uint64_t connections(uint64_t until) {
  uint64_t done = 0;
  while (now() < until) {
    uint8_t byte;
    int fd = ask('c');
    if (fd < 0) break;
    if (read_whole(fd, &byte, 1) < 0) fail("read");
    close(fd);
    if (failed != NULL) break;
    done++;
  }
  return done;
}

static uint64_t fnv(uint64_t sum, const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) sum = (sum ^ bytes[i]) * 0x100000001b3u;
  return sum;
}

/* The sums of what the disk and the network deliver, and of what the host then finds on the disk. */
static void check(void) {
  uint64_t sums[2] = {0xcbf29ce484222325u, 0xcbf29ce484222325u};
  int fd = open(DISK, O_RDWR | O_DIRECT);
  uint64_t bytes = 0;
  if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0) fail(DISK);
  for (size_t at = 0; failed == NULL && at < CHECKED; at += SEQUENTIAL) {
    if (pread(fd, buffer, SEQUENTIAL, (off_t)at) != SEQUENTIAL) fail("pread");
    sums[0] = fnv(sums[0], buffer, SEQUENTIAL);
    if (pwrite(fd, buffer, SEQUENTIAL, (off_t)(bytes / 2 + at)) != SEQUENTIAL) fail("pwrite");
  }
  fsync(fd);
  close(fd);
  int net = ask('d'), back = ask('u');
  for (size_t at = 0; failed == NULL && at < CHECKED; at += STREAM) {
    if (read_whole(net, buffer, STREAM) < 0) fail("read");
    sums[1] = fnv(sums[1], buffer, STREAM);
    for (size_t done = 0; done < STREAM;) {
      ssize_t n = write(back, buffer + done, STREAM - done);
      if (n <= 0) {
        fail("write");
        break;
      }
      done += (size_t)n;
    }
  }
  uint64_t arrived;
  shutdown(back, SHUT_WR);
  if (read_whole(back, (uint8_t *)&arrived, sizeof arrived) < 0) fail("read");
  close(net);
  close(back);
  if (failed == NULL) printf("@done %016llx%016llx 0\n", (unsigned long long)sums[0], (unsigned long long)sums[1]);
}

static uint64_t run(const char *name, uint64_t until) {
  if (strcmp(name, "sequentialRead") == 0) return disk(SEQUENTIAL, 0, 0, until);
  if (strcmp(name, "sequentialWrite") == 0) return disk(SEQUENTIAL, 1, 0, until);
  if (strcmp(name, "randomRead") == 0) return disk(RANDOM, 0, 1, until);
  if (strcmp(name, "randomWrite") == 0) return disk(RANDOM, 1, 1, until);
  if (strcmp(name, "networkDown") == 0) return down(until);
  if (strcmp(name, "networkUp") == 0) return up(until);
  if (strcmp(name, "roundTrips") == 0) return round_trips(until);
  if (strcmp(name, "connections") == 0) return connections(until);
  failed = "there is no such case";
  return 0;
}

int main(void) {
  struct termios t;
  if (tcgetattr(0, &t) == 0) {
    cfmakeraw(&t);
    tcsetattr(0, TCSANOW, &t);
  }
  if (posix_memalign((void **)&buffer, 4096, SEQUENTIAL) != 0) return 1;
  memset(buffer, 0x5a, SEQUENTIAL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("\n@serve\n");
  char line[200], name[40], address[40];
  while (fgets(line, sizeof line, stdin) != NULL) {
    unsigned milliseconds = 0;
    unsigned short port = 0;
    failed = NULL;
    if (strncmp(line, "quit", 4) == 0) break;
    if (sscanf(line, "%39s %u %39s %hu", name, &milliseconds, address, &port) != 4) failed = "no order";
    peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1) failed = "no address";
    if (failed == NULL && strcmp(name, "check") == 0) {
      check();
    } else if (failed == NULL) {
      uint64_t begun = now();
      uint64_t units = run(name, begun + milliseconds * 1000000ull);
      uint64_t ended = now();
      if (failed == NULL) printf("@done %llu %llu\n", (unsigned long long)units, (unsigned long long)(ended - begun));
    }
    if (failed != NULL) printf("@failed %s\n", failed);
  }
  return 0;
}
