// refused: a watch \(inotify\) that tells of openings
// layer: yes
// inotify told of attributes and openings of a file of a tmpfs that stays closed; only IN_OPEN
#include "kind.h"
#include <sys/inotify.h>
#include <sys/mount.h>
int main(void){ CHECK(mkdir("/tmp/t",0755)==0 && mount("none","/tmp/t","tmpfs",0,0)==0); CHECK(close(open("/tmp/t/f",O_CREAT|O_RDWR,0644))==0); int n=inotify_init1(IN_NONBLOCK); CHECK(inotify_add_watch(n,"/tmp/t/f",IN_OPEN|IN_CLOSE|IN_ATTRIB)==1); moved(); char b[999]; int l=read(n,b,999); if(l>0)printf("broken: %d bytes of events, first mask %x\n",l,((struct inotify_event*)b)->mask); right(); }
