#include "api/byte_range.h"

#include "common/agent_protocol.h"
#include "common/text.h"

#include <string.h>
#include <strings.h>

/* Moves *text beyond the digits. False if there are none. */
static bool take_number(const char **text, uint64_t *number)
{
	if (!text_is_digit(**text))
		return false;
	for (*number = 0; text_is_digit(**text); (*text)++) {
		uint64_t digit = (uint64_t)(**text - '0');

		*number = *number > (INT64_MAX - digit) / 10 ? INT64_MAX : *number * 10 + digit;
	}
	return true;
}

static void skip_blanks(const char **text)
{
	*text += strspn(*text, " \t");
}

bool byte_range_parse(const char *header, struct byte_range *range)
{
	static const char unit[] = "bytes=";
	const char *text = header;
	uint64_t first, last;
	bool has_first, has_last;

	if (strncasecmp(text, unit, sizeof(unit) - 1) != 0)
		return false;
	text += sizeof(unit) - 1;
	skip_blanks(&text);
	has_first = take_number(&text, &first);
	if (*text++ != '-')
		return false;
	has_last = take_number(&text, &last);
	skip_blanks(&text);
	if (*text || (!has_first && !has_last) || (has_first && has_last && last < first))
		return false;
	if (!has_first)
		*range = (struct byte_range) { AGENT_FILE_FROM_END, last };
	else
		*range = (struct byte_range) { first, has_last ? last - first + 1 : AGENT_FILE_TO_END };
	return true;
}
