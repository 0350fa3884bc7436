/* Never leaves the guest, but for a dot now and then. */
#include "guest.h"

int main(void)
{
	print("spinning\n");
	for (;;) {
		for (volatile uint32_t i = 0; i < 1000000; i++)
			;
		print(".");
	}
	return 0;
}
