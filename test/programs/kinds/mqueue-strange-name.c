// refused: a message queue whose name is not UTF-8
#include "kind.h"
#include <mqueue.h>
int main(void){ mq_unlink("/q\xff"); mqd_t mq=mq_open("/q\xff",O_CREAT|O_RDWR,0600,0); CHECK(mq>=0); moved(); CHECK(mq_open("/q\xff",O_RDWR)>=0); right(); }
