/* Every port with every width, and a string of each; only the reset line is spared. */
#include "tests/guests/guest.h"

int main(void)
{
	static uint8_t buffer[64];

	for (uint32_t port = 0; port < 0x10000; port++) {
		uint32_t value;

		__asm__ volatile("inb %w1, %b0" : "=a"(value) : "Nd"(port));
		__asm__ volatile("inw %w1, %w0" : "=a"(value) : "Nd"(port));
		__asm__ volatile("inl %w1, %0" : "=a"(value) : "Nd"(port));
		if (port >= 0x61 && port <= 0x64)
			continue;
		__asm__ volatile("outb %b0, %w1" : : "a"(0xfe), "Nd"(port));
		__asm__ volatile("outw %w0, %w1" : : "a"(0xfefe), "Nd"(port));
		__asm__ volatile("outl %0, %w1" : : "a"(0xfefefefe), "Nd"(port));
		if (port % 64 == 0) {
			void *at = buffer;
			uint64_t n = sizeof(buffer);

			__asm__ volatile("rep outsb" : "+S"(at), "+c"(n) : "d"(port) : "memory");
			at = buffer;
			n = sizeof(buffer);
			__asm__ volatile("rep insb" : "+D"(at), "+c"(n) : "d"(port) : "memory");
		}
	}
	print("all ports\n");
	reset();
	wait_for_the_end();
	return 0;
}
