// Open files of /proc and /sys: of the program itself, of its child, of the kernel, of its namespaces; folders; half-read.
#include "file.h"

static int go[2];
static void use(void) {
  char c;
  CHECK(read(go[0], &c, 1) == 1);
}

static char text[65536];
static const char *rest(int fd) {
  int n = 0, got;
  while ((got = read(fd, text + n, sizeof text - 1 - n)) > 0) n += got;
  CHECK(got == 0);
  text[n] = 0;
  return text;
}

int main(void) {
  char path[64], want[64];
  CHECK(pipe(go) == 0);
  pid_t pid = child(use);
  int own = open("/proc/self/status", O_RDONLY | O_CLOEXEC), comm = open("/proc/self/comm", O_RDWR);
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int other = open(path, O_RDONLY), fds = open("/proc/self/fd", O_RDONLY | O_DIRECTORY), self = open("/proc/self", O_PATH);
  int host = open("/proc/sys/kernel/hostname", O_RDWR), forward = open("/proc/sys/net/ipv4/ip_forward", O_RDWR);
  int mem = open("/proc/self/mem", O_RDWR), meminfo = open("/proc/meminfo", O_RDONLY);
  int sys = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY), folder = open("/sys/class", O_RDONLY | O_DIRECTORY);
  int net = open("/proc/self/net/dev", O_RDONLY), proc = open("/proc", O_RDONLY | O_DIRECTORY), thread = open("/proc/thread-self/comm", O_RDONLY);
  CHECK(own >= 0 && comm >= 0 && other >= 0 && fds >= 0 && self >= 0 && host >= 0 && forward >= 0 && mem >= 0);
  CHECK(meminfo >= 0 && sys >= 0 && folder >= 0 && net >= 0 && proc >= 0 && thread >= 0);
  CHECK(read(own, want, 6) == 6 && read(meminfo, want, 3) == 3);
  static volatile uint64_t word = 0x1234;
  moved();
  CHECK(lseek(own, 0, SEEK_CUR) == 6 && strncmp(rest(own), "proc-files\n", 11) == 0 && strstr(text, "\nState:\tR"));
  CHECK(lseek(own, 0, SEEK_SET) == 0);
  snprintf(want, sizeof want, "\nPid:\t%d\n", getpid());
  CHECK(strstr(rest(own), want) && strncmp(text, "Name:\tproc-files\n", 17) == 0);
  CHECK(fcntl(own, F_GETFD) == FD_CLOEXEC);
  CHECK(write(comm, "another", 7) == 7 && strcmp(rest(thread), "another\n") == 0);
  snprintf(want, sizeof want, "%d (proc-files) ", pid);
  CHECK(strncmp(rest(other), want, strlen(want)) == 0);
  CHECK(write(go[1], "x", 1) == 1);
  ends_well(pid);
  CHECK(lseek(other, 0, SEEK_SET) == 0 && read(other, want, 1) == -1 && errno == ESRCH);
  CHECK(strncmp(link_of(self), "/proc/", 6) == 0 && faccessat(self, "cmdline", F_OK, 0) == 0);
  DIR *d = fdopendir(fds);
  int n = 0;
  while (readdir(d)) n++;
  CHECK(n >= 16);
  CHECK(write(forward, "1", 1) == 1);
  int again = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY);
  CHECK(again >= 0 && read(again, want, 8) == 2 && want[0] == '1');
  CHECK(write(host, "renamed", 7) == 7 && gethostname(want, sizeof want) == 0 && strcmp(want, "renamed") == 0);
  uint64_t got = 0, new = 0x5678;
  CHECK(pread(mem, &got, 8, (uintptr_t)&word) == 8 && got == 0x1234);
  CHECK(pwrite(mem, &new, 8, (uintptr_t)&word) == 8 && word == 0x5678);
  CHECK(strncmp(rest(meminfo), "Total:", 6) == 0);
  CHECK(strstr(rest(sys), "never") && strstr(rest(net), "lo:"));
  CHECK(strstr(text, "eth") == 0);
  right();
}
