// refused: a ring of a packet socket
#include "net.h"
#include <linux/if_packet.h>

int main(void) {
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  struct tpacket_req ring = {.tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4};
  CHECK(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0);
  moved();
  right();
}
