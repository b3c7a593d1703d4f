// refused: fanotify that tells of openings
// fanotify on the root's mount (layer), and inode mark in a tmpfs with FID reporting, pidfd reporting
// layer: yes
#include "kind.h"
#include <sys/fanotify.h>
#include <sys/mount.h>
int main(void){ CHECK(mkdir("/tmp/t",0755)==0 && mount("none","/tmp/t","tmpfs",0,0)==0); for(int i=0;i<5;i++){close(open("/tmp/t/x",O_CREAT|O_RDWR,0644));unlink("/tmp/t/x");} mkdir("/tmp/t/d",0755);
 int f=fanotify_init(FAN_CLASS_NOTIF|FAN_NONBLOCK|FAN_REPORT_DFID_NAME,0); CHECK(f>=0); CHECK(fanotify_mark(f,FAN_MARK_ADD,FAN_CREATE|FAN_ONDIR,-100,"/tmp/t/d")==0); 
 int g=fanotify_init(FAN_CLASS_NOTIF|FAN_NONBLOCK|FAN_REPORT_PIDFD,O_RDONLY); CHECK(g>=0); CHECK(fanotify_mark(g,FAN_MARK_ADD|FAN_MARK_MOUNT,FAN_OPEN|FAN_ONDIR,-100,"/tmp/t")==0); 
 moved(); char b[4096]; CHECK(read(f,b,4096)==-1); int l=read(g,b,4096); if(l>0)printf("broken: events of the move\n"); CHECK(mkdir("/tmp/t/d/new",0755)==0); CHECK(read(f,b,4096)>0); close(open("/tmp/t/d",O_RDONLY)); CHECK(read(g,b,4096)>0); right(); }
