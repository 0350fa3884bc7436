#include "report.h"
#include "exit_status.h"

#include <errno.h>
#include <stdio.h>

void report_make_safe(const char *text, char *out, size_t size)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < size; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned char next = (unsigned char)text[i + 1];

		out[i] = c < 0x20 || c == 0x7f ? ' ' : text[i];
		if (c == 0xc2 && next >= 0x80 && next < 0xa0) { /* U+0080 to U+009F control a terminal, too */
			out[i] = ' ';
			if (i + 2 < size)
				out[++i] = ' ';
		}
	}
	out[i] = '\0';
}

int report_flush_output(struct error *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return error_set(err, errno == EPIPE ? STATUS_SIGNAL + 13 : STATUS_SERVICE, "%s",
			 errno == EPIPE ? "" : "cannot write the output");
}

int report(const struct error *err)
{
	char text[sizeof(err->text)];

	report_make_safe(err->text, text, sizeof(text));
	if (text[0])
		fprintf(stderr, "hearth: %s\n", text);
	return err->code;
}
