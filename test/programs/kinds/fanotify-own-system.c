// refused: fanotify that tells of openings
// layer: yes
// fanotify of a whole tmpfs with what is read
#include "kind.h"
#include <sys/fanotify.h>
#include <sys/mount.h>
int main(void){ CHECK(mkdir("/tmp/t",0755)==0 && mount("none","/tmp/t","tmpfs",0,0)==0); mkdir("/tmp/t/d",0755); int f=open("/tmp/t/d/f",O_CREAT|O_RDWR,0644); CHECK(write(f,"x",1)==1); close(f);
 int g=fanotify_init(FAN_CLASS_NOTIF|FAN_NONBLOCK,O_RDONLY); CHECK(g>=0); CHECK(fanotify_mark(g,FAN_MARK_ADD|FAN_MARK_FILESYSTEM,FAN_OPEN|FAN_ACCESS|FAN_CLOSE|FAN_MODIFY,-100,"/tmp/t")==0); 
 moved(); char b[4096]; int l=read(g,b,4096); if(l>0)printf("broken: %d bytes of events of the move, first mask %llx of pid %d\n",l,((struct fanotify_event_metadata*)b)->mask,((struct fanotify_event_metadata*)b)->pid); right(); }
