// refused: a watch \(inotify\) that tells of openings
// layer: yes
// inotify told of opening and reading in a tmpfs of its own: nothing of what the move does is to be told
#include "kind.h"
#include <sys/inotify.h>
#include <sys/mount.h>
int main(void){ CHECK(mkdir("/tmp/t",0755)==0 && mount("none","/tmp/t","tmpfs",0,0)==0); mkdir("/tmp/t/d",0755); close(open("/tmp/t/d/f",O_CREAT|O_RDWR,0644)); int n=inotify_init1(IN_NONBLOCK); CHECK(inotify_add_watch(n,"/tmp/t/d",IN_ALL_EVENTS)==1); CHECK(inotify_add_watch(n,"/tmp/t",IN_ALL_EVENTS)==2); moved(); char b[999]; int l=read(n,b,999); if(l>0)printf("broken: %d bytes of events of the move, first mask %x\n",l,((struct inotify_event*)b)->mask); right(); }
