// A host name and a domain name that the program set at run time.
#include "kind.h"
#include <sys/utsname.h>

int main(void) {
  struct utsname names;
  CHECK(sethostname("changed-it", 10) == 0 && setdomainname("of.mine", 7) == 0);
  moved();
  CHECK(uname(&names) == 0);
  CHECK(strcmp(names.nodename, "changed-it") == 0 && strcmp(names.domainname, "of.mine") == 0);
  right();
}
