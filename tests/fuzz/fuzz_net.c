/* The network device, from both its sides, against a driver that does anything. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/virtio_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtio_driver f;

	FUZZ_CHECK(virtio_driver_open(&f));
	virtio_driver_attach(&f, virtio_driver_open_net(&f));
	f.choices = (struct choices) { data, size };
	while (!choices_are_over(&f.choices))
		virtio_driver_do(&f);
	virtio_driver_close(&f);
	return 0;
}
