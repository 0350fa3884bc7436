#include "api/utf8.h"

static const char replacement[] = "\xef\xbf\xbd";

/* Sets what a character that begins with `byte` needs; false if none begins so (Unicode 15, table 3-7). */
static bool begin_character(struct utf8_decoder *d, uint8_t byte)
{
	d->lowest = 0x80;
	d->highest = 0xbf;
	if (byte >= 0xc2 && byte <= 0xdf)
		d->n_needed = 2;
	else if (byte >= 0xe0 && byte <= 0xef)
		d->n_needed = 3;
	else if (byte >= 0xf0 && byte <= 0xf4)
		d->n_needed = 4;
	else
		return false;
	if (byte == 0xe0)
		d->lowest = 0xa0;
	if (byte == 0xed)
		d->highest = 0x9f;
	if (byte == 0xf0)
		d->lowest = 0x90;
	if (byte == 0xf4)
		d->highest = 0x8f;
	d->pending[0] = byte;
	d->n_pending = 1;
	return true;
}

void utf8_decode(struct utf8_decoder *d, const void *data, size_t size, struct buffer *out)
{
	const uint8_t *in = data;
	size_t i = 0;

	while (i < size) {
		size_t run = i;

		if (d->n_pending) {
			if (in[i] < d->lowest || in[i] > d->highest) {
				/* The byte that does not fit is looked at again, as a beginning. */
				d->n_pending = 0;
				buffer_put_text(out, replacement);
				continue;
			}
			d->pending[d->n_pending++] = in[i++];
			d->lowest = 0x80;
			d->highest = 0xbf;
			if (d->n_pending == d->n_needed) {
				buffer_put(out, d->pending, d->n_pending);
				d->n_pending = 0;
			}
			continue;
		}
		while (run < size && in[run] < 0x80)
			run++;
		buffer_put(out, in + i, run - i);
		i = run;
		if (i < size && !begin_character(d, in[i++]))
			buffer_put_text(out, replacement);
	}
}

void utf8_decode_end(struct utf8_decoder *d, struct buffer *out)
{
	if (d->n_pending)
		buffer_put_text(out, replacement);
	d->n_pending = 0;
}

bool utf8_is_valid(const void *data, size_t size)
{
	struct utf8_decoder d = { 0 };
	const uint8_t *in = data;

	for (size_t i = 0; i < size; i++) {
		if (d.n_pending) {
			if (in[i] < d.lowest || in[i] > d.highest)
				return false;
			d.lowest = 0x80;
			d.highest = 0xbf;
			d.n_pending = (uint8_t)((d.n_pending + 1) % d.n_needed);
		} else if (in[i] >= 0x80 && !begin_character(&d, in[i])) {
			return false;
		}
	}
	return d.n_pending == 0;
}
