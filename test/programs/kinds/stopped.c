// Stopped jobs: by SIGSTOP, SIGTSTP and SIGTTIN, with several threads, asleep, with signals pending; their parent has heard of
// some and not of others, and of one that it was continued. SIGCONT works on all.
// fails: files resume
#include "kind.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static volatile int *counted;
static void forever(void) { for (;;) pause(); }
static void *counts(void *_) { for (;;) { (*counted)++; rest_ms(2); } }
static void threads(void) {
  pthread_t t;
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&t, 0, counts, 0) == 0);
  forever();
}
static void on_user(int signal) { _exit(signal == SIGUSR1 ? 11 : 12); }
static void pends(void) {
  signal(SIGUSR1, on_user);
  forever();
}
static void sleeps(void) {
  struct timespec t = {0, 300000000};
  CHECK(nanosleep(&t, 0) == 0);
  _exit(13);
}
static void calls(void) {
  int fds[2];
  char c;
  CHECK(pipe(fds) == 0);
  alarm(0);
  CHECK(read(fds[0], &c, 1) == 1);
}
static char state(pid_t pid) {
  char path[64], text[512] = {0};
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0 && close(fd) == 0);
  return strrchr(text, ')')[2];
}
static pid_t stop(void (*work)(void), int signal, int hear) {
  siginfo_t info;
  pid_t pid = fork();
  if (pid == 0) { setpgid(0, 0); work(); _exit(0); }
  setpgid(pid, pid);
  rest_ms(60);
  CHECK(kill(pid, signal) == 0);
  CHECK(waitid(P_PID, pid, &info, WSTOPPED | (hear ? 0 : WNOWAIT)) == 0 && info.si_code == CLD_STOPPED && info.si_status == signal);
  return pid;
}
static int asked(pid_t pid, int what, siginfo_t *info) {
  memset(info, 0, sizeof *info);
  CHECK(waitid(P_PID, pid, info, what | WNOHANG) == 0);
  return info->si_pid == pid;
}
static void goes_on(pid_t pid) {
  siginfo_t info;
  CHECK(state(pid) == 'T' && kill(pid, SIGCONT) == 0);
  CHECK(waitid(P_PID, pid, &info, WCONTINUED) == 0 && info.si_pid == pid && info.si_code == CLD_CONTINUED);
}
static void dies(pid_t pid) {
  int status;
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void) {
  siginfo_t info;
  sigset_t child, pending;
  int status;
  counted = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t heard = stop(forever, SIGSTOP, 1), unheard = stop(forever, SIGTSTP, 0), input = stop(threads, SIGTTIN, 1);
  pid_t pending_one = stop(pends, SIGSTOP, 1), sleeper = stop(sleeps, SIGSTOP, 0), caller = stop(calls, SIGSTOP, 1);
  CHECK(kill(pending_one, SIGUSR1) == 0);
  pid_t on = stop(forever, SIGSTOP, 1);
  CHECK(kill(on, SIGCONT) == 0 && waitid(P_PID, on, &info, WCONTINUED | WNOWAIT) == 0);
  pid_t twice = stop(forever, SIGSTOP, 1);
  CHECK(kill(twice, SIGCONT) == 0 && waitid(P_PID, twice, &info, WCONTINUED) == 0);
  CHECK(kill(twice, SIGTTOU) == 0 && waitid(P_PID, twice, &info, WSTOPPED) == 0);
  int count = *counted;
  moved();
  CHECK(*counted == count);
  CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGCHLD));
  CHECK(!asked(heard, WSTOPPED | WCONTINUED, &info) && !asked(input, WSTOPPED | WCONTINUED, &info));
  CHECK(asked(unheard, WSTOPPED, &info) && info.si_code == CLD_STOPPED && info.si_status == SIGTSTP && !asked(unheard, WSTOPPED, &info));
  CHECK(waitpid(sleeper, &status, WUNTRACED | WNOHANG) == sleeper && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  CHECK(!asked(on, WSTOPPED, &info) && asked(on, WCONTINUED, &info) && info.si_code == CLD_CONTINUED && !asked(on, WCONTINUED, &info));
  CHECK(state(on) == 'S' && !asked(twice, WSTOPPED | WCONTINUED, &info));
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  CHECK(sigprocmask(SIG_BLOCK, &child, 0) == 0);
  goes_on(heard);
  struct timespec second = {1, 0};
  CHECK(sigtimedwait(&child, &info, &second) == SIGCHLD && info.si_code == CLD_CONTINUED && info.si_pid == heard && info.si_status == SIGCONT);
  goes_on(unheard);
  goes_on(input);
  rest_ms(100);
  CHECK(*counted > count);
  CHECK(state(pending_one) == 'T' && kill(pending_one, SIGCONT) == 0);
  CHECK(waitpid(pending_one, &status, 0) == pending_one && WIFEXITED(status) && WEXITSTATUS(status) == 11);
  CHECK(state(sleeper) == 'T' && kill(sleeper, SIGCONT) == 0);
  CHECK(waitpid(sleeper, &status, 0) == sleeper && WIFEXITED(status) && WEXITSTATUS(status) == 13);
  goes_on(caller);
  rest_ms(20);
  CHECK(waitpid(caller, &status, WNOHANG) == 0);
  goes_on(twice);
  // And they can be stopped again.
  CHECK(kill(input, SIGSTOP) == 0 && waitid(P_PID, input, &info, WSTOPPED) == 0 && info.si_status == SIGSTOP);
  dies(input), dies(heard), dies(unheard), dies(caller), dies(on), dies(twice);
  right();
}
