// refused: a UNIX socket with a path that is not UTF-8
// layer: yes
// a UNIX socket with a name of 108 bytes, of not UTF-8, two bound after another to the same path, in a folder nobody may enter
#include "kind.h"
#include <sys/socket.h>
#include <sys/un.h>
int main(void){ struct sockaddr_un u={AF_UNIX}; memset(u.sun_path,'n',108); memcpy(u.sun_path,"/tmp/",5); int a=socket(AF_UNIX,SOCK_STREAM,0); CHECK(bind(a,(void*)&u,110)==0&&listen(a,2)==0); struct sockaddr_un w={AF_UNIX,"/tmp/u\xff"}; int b=socket(AF_UNIX,SOCK_DGRAM,0); CHECK(bind(b,(void*)&w,sizeof w)==0); struct sockaddr_un x={AF_UNIX,"/tmp/same"}; int c=socket(AF_UNIX,SOCK_STREAM,0),d=socket(AF_UNIX,SOCK_STREAM,0); CHECK(bind(c,(void*)&x,sizeof x)==0&&listen(c,1)==0); unlink("/tmp/same"); CHECK(bind(d,(void*)&x,sizeof x)==0&&listen(d,1)==0);
 moved(); int e=socket(AF_UNIX,SOCK_STREAM,0); CHECK(connect(e,(void*)&u,110)==0&&accept(a,0,0)>=0); e=socket(AF_UNIX,SOCK_DGRAM,0); CHECK(connect(e,(void*)&w,sizeof w)==0); e=socket(AF_UNIX,SOCK_STREAM,0); CHECK(connect(e,(void*)&x,sizeof x)==0); fcntl(c,F_SETFL,O_NONBLOCK); CHECK(accept(c,0,0)==-1); CHECK(accept(d,0,0)>=0); right(); }
